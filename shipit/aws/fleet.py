"""Read the fleet: Auto Scaling groups by tag, joined one to one with CodeDeploy's deployment groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from shipit.aws.autoscaling import AsgRecord, AutoScaling
from shipit.aws.codedeploy import CodeDeploy, GroupRecord
from shipit.aws.ec2 import Ec2
from shipit.errors import PreflightError
from shipit.models import Deployment, Fleet, Group, InstanceFacts


class FleetReader:
    """Read the groups of one environment: `queue_tag` names the work, `tags` choose the environment's ASGs."""

    def __init__(
        self, codedeploy: CodeDeploy, autoscaling: AutoScaling, ec2: Ec2, *, queue_tag: str, tags: Mapping[str, str]
    ) -> None:
        """Read through the three gateways."""
        self._codedeploy = codedeploy
        self._autoscaling = autoscaling
        self._ec2 = ec2
        self._queue_tag = queue_tag
        self._tags = tags

    def read(self) -> Fleet:
        """Return the fleet with what each group runs, in a handful of calls; no EC2 facts.

        Raises PreflightError where no ASG bears the tags, or an ASG has no deployment group, or several have it.
        """
        asgs = self._autoscaling.groups(self._queue_tag, self._tags)
        if not asgs:
            wanted = "".join(f", {key}={value}" for key, value in self._tags.items())
            raise PreflightError(
                f"no Auto Scaling group bears the tag {self._queue_tag!r}{wanted}",
                hint="tag the groups, or check `queue-tag`, `tags` and `region` in shipit.toml",
            )
        pairs = pair(asgs, self._codedeploy.groups(), self._queue_tag)
        ids = {i for record, _ in pairs for i in (record.last_success_id, record.last_attempt_id) if i}
        known = self._codedeploy.deployments(sorted(ids))
        return Fleet(groups=tuple(_group(record, asg, self._queue_tag, known) for record, asg in pairs))

    def read_with_launch_times(self) -> Fleet:
        """Return the fleet with EC2's launch time and lifecycle of each instance: a few calls more."""
        fleet = self.read()
        facts = self._ec2.instances(i.id for group in fleet.groups for i in group.instances)
        return Fleet(groups=tuple(_dated(group, facts) for group in fleet.groups))


def pair(
    asgs: Iterable[AsgRecord], groups: Iterable[GroupRecord], queue_tag: str
) -> tuple[tuple[GroupRecord, AsgRecord], ...]:
    """Join each ASG with its only deployment group, by the group's name.

    Raises PreflightError for an ASG with none or with several, and for a group that holds several ASGs: two
    groups on one ASG race on every instance (reference codedeploy.md, §5 line 11).
    """
    holders: dict[str, list[GroupRecord]] = defaultdict(list)
    for group in groups:
        for name in group.asgs:
            holders[name].append(group)
    pairs = []
    for asg in asgs:
        found = holders[asg.name]
        queue = asg.tags.get(queue_tag, "")
        if not found:
            raise PreflightError(
                f"{asg.name} (queue {queue}) has no CodeDeploy deployment group",
                hint=f"create one that holds this ASG alone, or remove the tag {queue_tag!r} from it",
            )
        if len(found) > 1:
            names = ", ".join(sorted(g.name for g in found))
            raise PreflightError(
                f"{asg.name} is in {len(found)} deployment groups: {names}",
                hint="leave it in one: two groups on one ASG race on every instance",
            )
        if len(found[0].asgs) > 1:
            raise PreflightError(
                f"deployment group {found[0].name} holds {len(found[0].asgs)} ASGs: {', '.join(found[0].asgs)}",
                hint="give each ASG a deployment group of its own",
            )
        pairs.append((found[0], asg))
    return tuple(sorted(pairs, key=lambda p: p[0].name))


def _group(record: GroupRecord, asg: AsgRecord, queue_tag: str, known: Mapping[str, Deployment]) -> Group:
    return Group(
        name=record.name,
        queue=asg.tags[queue_tag],
        asg=asg.name,
        instances=asg.instances,
        last_success=known.get(record.last_success_id),
        last_attempt=known.get(record.last_attempt_id),
    )


def _dated(group: Group, facts: Mapping[str, InstanceFacts]) -> Group:
    instances = tuple(
        replace(i, launched_at=facts[i.id].launched_at, lifecycle=facts[i.id].lifecycle) if i.id in facts else i
        for i in group.instances
    )
    return replace(group, instances=instances)
