"""The Invoke tasks: what a user types. Each hands its flags to the flow that does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.collection import Collection

from shipit.command import command

if TYPE_CHECKING:
    from shipit.wiring import Tool

_BUILD = "a published build; default: build and publish HEAD"
_ONLY = "queues by wildcard, with commas: 'email-*,reports'"


@command(on="run the build commands on this machine over SSH, as [user@]host[:port], and bring their files back")
def build(tool: Tool, on: str = "") -> None:
    """Build the versioned bundle of HEAD."""
    tool.build(on)


@command()
def publish(tool: Tool) -> None:
    """Upload the bundle of HEAD to S3; the same build again uploads nothing."""
    tool.publish(*tool.build())


@command()
def version(tool: Tool) -> None:
    """Print what a build of HEAD is called."""
    tool.display.text(tool.head().version)


@command(build=_BUILD, only=_ONLY)
def plan(tool: Tool, build: str = "", only: str = "") -> None:
    """Show what a deploy would do to each group, and why."""
    from shipit import flows

    flows.plan(tool, build, only)


@command(
    build=_BUILD,
    only=_ONLY,
    dry_run="print the plan and stop",
    verify="check at the end that every instance runs the build",
    timeout="stop watching after this long: 90s, 10m; the deployments go on",
)
def deploy(
    tool: Tool, build: str = "", only: str = "", dry_run: bool = False, verify: bool = True, timeout: str = ""
) -> None:
    """Bring a build to every group in parallel, watch it, and prove that it runs."""
    from shipit import flows

    flows.deploy(tool, build=build, only=only, dry_run=dry_run, verify=verify, timeout=timeout)


@command(rollout="a rollout's id; default: the last one")
def watch(tool: Tool, rollout: str = "") -> None:
    """Attach to a running rollout, from any machine."""
    from shipit import flows

    flows.watch(tool, rollout)


@command(build="the build to expect; default: that of the last rollout", only=_ONLY, wait="keep looking: 90s, 10m")
def verify_versions(tool: Tool, build: str = "", only: str = "", wait: str = "") -> None:
    """Check through Athena that every instance's running process reports the build."""
    from shipit import flows

    flows.verify_versions(tool, build=build, only=only, wait=wait)


@command()
def start(tool: Tool) -> None:
    """Start the embedded sandbox, an AWS on this machine."""
    tool.sandbox_start()


@command()
def stop(tool: Tool) -> None:
    """Stop the sandbox and every process it started."""
    tool.sandbox_stop()


@command()
def status(tool: Tool) -> None:
    """Show whether the sandbox runs, where, and what is in it."""
    tool.sandbox_status()


@command()
def reset(tool: Tool) -> None:
    """Throw the sandbox's state away and start it anew."""
    tool.sandbox_reset()


namespace = Collection(version, build, publish, plan, deploy, watch, verify_versions)
namespace.add_collection(Collection("sandbox", start, stop, status, reset))
