"""moto in this process: its HTTP application, and the few of its backends that the sandbox reaches into.

Everything that knows moto's insides is in this file and, for SQS, in moto_queues.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

# Loading moto's list of images takes 3 s (reference codedeploy.md, section 6), and must be off before it is imported.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

from moto.backends import get_backend
from moto.ec2.models.instances import StateReason
from moto.ec2.models.tags import TagBackend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app

from shipit.models import Revision
from shipit.sandbox.instance.facts import ACCOUNT

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["Moto", "MotoRequestHandler"]

#: What EC2 says of an instance that spot took back, and by which it is told from one that somebody terminated, which
#: Auto Scaling is too: Client.UserInitiatedShutdown (EC2's API reference, StateReason).
_SPOT_TERMINATION = "Server.SpotInstanceTermination"

_SERVICE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([a-z0-9-]+)/aws4_request")
_DESCRIBES = re.compile(rb"(?:^|&)Action=Describe")


class Moto:
    """Serve S3, EC2, Auto Scaling, IAM, STS, SSM, SQS and CloudWatch, and look into the first three."""

    def __init__(self, region: str) -> None:
        """Use the backends of `region`; S3 knows none."""
        self._app = DomainDispatcherApplication(create_backend_app)
        self._region = region
        self._s3 = get_backend("s3")[ACCOUNT]["aws"]
        self._ec2 = get_backend("ec2")[ACCOUNT][region]
        self._asg = get_backend("autoscaling")[ACCOUNT][region]
        #: The backend of SQS, for `FairQueues`.
        self.sqs: Any = get_backend("sqs")[ACCOUNT][region]
        _look_tags_up(self._ec2)
        _launch_as_the_template_says(self._ec2)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer

    def create_bucket(self, name: str) -> None:
        """Create a versioned bucket."""
        self._s3.create_bucket(name, self._region)
        self._s3.put_bucket_versioning(name, "Enabled")

    def create_fleet_template(self, name: str) -> None:
        """Register an image and a launch template of spot instances that groups are made from."""
        image = self._ec2.register_image(name="shipit-worker", description="what the sandbox's instances run")
        data = {
            "ImageId": image.id,
            "InstanceType": "c7g.large",
            "InstanceMarketOptions": {"MarketType": "spot"},
        }
        self._ec2.create_launch_template(name, "", data, {})

    def create_group(self, name: str, template: str, size: int, tags: Mapping[str, str]) -> None:
        """Create an Auto Scaling group of `size` instances; moto has them InService at once."""
        self._asg.create_auto_scaling_group(
            name=name,
            availability_zones=[f"{self._region}{letter}" for letter in "abc"],
            desired_capacity=size,
            max_size=max(10, 2 * size),
            min_size=0,
            launch_config_name="",
            launch_template={"LaunchTemplateName": template, "Version": "$Latest"},
            vpc_zone_identifier=None,
            default_cooldown=None,
            health_check_period=None,
            health_check_type="EC2",
            load_balancers=[],
            target_group_arns=[],
            placement_group=None,
            termination_policies=[],
            tags=[
                {
                    "Key": key,
                    "Value": value,
                    "PropagateAtLaunch": "true",
                    "ResourceId": name,
                    "ResourceType": "auto-scaling-group",
                }
                for key, value in tags.items()
            ],
        )

    def members(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield all members of all groups: group, instance id, lifecycle state, availability zone."""
        for name, group in list(self._asg.autoscaling_groups.items()):
            for member in list(group.instance_states):
                yield name, member.instance.id, member.lifecycle_state, member.instance.placement.zone or ""

    def in_service(self, group: str) -> list[str]:
        """Return the instances of a group that are in service; none for an unknown group."""
        found = self._asg.autoscaling_groups.get(group)
        states = list(found.instance_states) if found else []
        return [s.instance.id for s in states if s.lifecycle_state == "InService"]

    def tags(self, group: str) -> dict[str, str]:
        """Return the tags of a group."""
        found = self._asg.autoscaling_groups[group]
        return {str(tag["Key"]): str(tag["Value"]) for tag in found.tags}

    def require(self, ids: list[str]) -> None:
        """Raise ValueError unless all of them are instances of groups."""
        known = {instance for _, instance, _, _ in self.members()}
        if unknown := sorted(set(ids) - known):
            raise ValueError(f"no instances of any group: {', '.join(unknown)}")

    def reclaim(self, ids: list[str]) -> None:
        """End instances as a spot reclaim does; their groups launch others. Raises ValueError for an unknown one."""
        self.require(ids)
        for instance, _ in self._ec2.terminate_instances(ids):
            message = f"{_SPOT_TERMINATION}: Spot instance termination"
            instance.state_reason = StateReason(message, _SPOT_TERMINATION)
            instance._reason = message
        self._asg.notify_terminate_instances(ids)

    def scale(self, name: str, by: int, *, on_shrink: Callable[[str, int], None] = lambda group, count: None) -> None:
        """Change a group's desired capacity, as a scaling policy does; raises ValueError beyond its bounds.

        `on_shrink` hears by how many instances the group will shrink, and may `hold` them first.
        """
        group = self._asg.autoscaling_groups[name]
        least, most = group.min_size or 0, group.max_size or 0
        size = (group.desired_capacity or 0) + by
        if not least <= size <= most:
            raise ValueError(f"{name} has {least} to {most} instances, not {size}")
        if by < 0:
            on_shrink(name, -by)
        before = {state.instance.id: place for place, state in enumerate(group.instance_states)}
        self._asg.set_desired_capacity(name, size)
        # moto puts those that stay into a set: without this, the same seed would choose others each time.
        group.instance_states.sort(key=lambda state: before.get(state.instance.id, len(before)))

    def create_termination_hook(self, group: str, name: str, timeout: int) -> None:
        """Give a group a lifecycle hook that holds what it lets go, for so many seconds."""
        self._asg.create_lifecycle_hook(name, group, "autoscaling:EC2_INSTANCE_TERMINATING", timeout, "CONTINUE")

    def hook_timeout(self, group: str, hook: str) -> float | None:
        """Return after how many seconds a termination hook lets an instance go; None where there is no such hook."""
        found = [
            one
            for one in self._asg.describe_lifecycle_hooks(group, [hook])
            if one.lifecycle_transition == "autoscaling:EC2_INSTANCE_TERMINATING"
        ]
        return float(found[0].heartbeat_timeout) if found else None

    def hold(self, group: str, count: int, held: Callable[[str], bool]) -> list[str]:
        """Let the first `count` instances in service wait for their end, where `held` says so; return who waits.

        Each of them counts no more for the group's size, which is for the caller to change.
        """
        leaving = [s for s in self._asg.autoscaling_groups[group].instance_states if s.lifecycle_state == "InService"]
        waiting = [state for state in leaving[:count] if held(state.instance.id)]
        for state in waiting:
            state.lifecycle_state = "Terminating:Wait"
            state.protected_from_scale_in = True  # or moto would end it as the next one to go
        return [state.instance.id for state in waiting]

    def let_go(self, instance_id: str) -> None:
        """End an instance that waits; its group launches no other."""
        for group in self._asg.autoscaling_groups.values():
            if any(state.instance.id == instance_id for state in group.instance_states):
                group.instance_states = [s for s in group.instance_states if s.instance.id != instance_id]
                self._ec2.terminate_instances([instance_id])

    def groups(self) -> list[str]:
        """Return the names of all groups."""
        return list(self._asg.autoscaling_groups)

    def fetch(self, revision: Revision) -> bytes:
        """Return a bundle as the agent would get it; raises OSError in the agent's words where it is not that one."""
        if not self.has_bucket(revision.bucket):
            raise OSError(f"The specified bucket does not exist: {revision.bucket}")
        key = self._s3.get_object(revision.bucket, revision.key, version_id=revision.version_id or None)
        if key is None:
            raise OSError(f"The specified key does not exist: {revision}")
        if revision.etag and key.etag.strip('"') != revision.etag.strip('"'):
            raise OSError(f"expected etag {revision.etag} of {revision}, but S3 has {key.etag}")
        return bytes(key.value)

    def list(self, bucket: str, prefix: str) -> Iterator[tuple[str, int, str]]:
        """Yield key, size and etag of the objects below a prefix, in the order of keys."""
        found, *_ = self._s3.list_objects(self._s3.head_bucket(bucket), prefix, None, None, None)
        for key in sorted(found, key=lambda k: str(k.name)):
            yield key.name, key.size, key.etag

    def has_bucket(self, name: str) -> bool:
        """Tell whether the bucket exists."""
        return name in self._s3.buckets

    def get(self, bucket: str, key: str) -> bytes | None:
        """Return an object, None where there is none."""
        found = self._s3.get_object(bucket, key)
        return None if found is None else bytes(found.value)

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Write an object."""
        self._s3.put_object(bucket, key, body)


def _look_tags_up(ec2: Any) -> None:
    """Let one resource's tags cost a look-up; moto searches all tags, for each instance that it describes."""

    def describe_tags(filters: dict[str, list[str]] | None = None) -> Any:
        searched = ec2
        if filters and set(filters) == {"resource-id"} and not any("*" in name for name in filters["resource-id"]):
            searched = TagBackend()
            searched.tags |= {name: ec2.tags[name] for name in filters["resource-id"] if name in ec2.tags}
        return TagBackend.describe_tags(searched, filters)

    ec2.describe_tags = describe_tags


def _launch_as_the_template_says(ec2: Any) -> None:
    """Let Auto Scaling launch spot instances where the launch template wants them; moto drops its market options."""
    run_instances = ec2.run_instances

    def run(*args: Any, **options: Any) -> Any:
        if options.get("launch_template"):
            template = ec2._get_template_from_args(options["launch_template"])
            options.setdefault("instance_market_options", template.data.get("InstanceMarketOptions"))
        return run_instances(*args, **options)

    ec2.run_instances = run


def is_about_instances(authorization: str) -> bool:
    """Tell by a request's signature whether it goes to EC2 or Auto Scaling; the bodies of those are small forms."""
    service = _SERVICE.search(authorization)
    return service is not None and service[1] in ("autoscaling", "ec2")


def may_change_instances(form: bytes) -> bool:
    """Tell whether such a request may change who is in which group: whatever does not merely describe."""
    return _DESCRIBES.search(form) is None
