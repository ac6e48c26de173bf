"""The Invoke tasks: what a user types. Each hands its flags to the flow that does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.collection import Collection

from shipit.command import command
from shipit.dashboard_tasks import DASHBOARDS
from shipit.report_tasks import REPORTS, SETUP, VERSIONS

if TYPE_CHECKING:
    from shipit.wiring import Tool

_BUILD = "a published build; default: build and publish HEAD"
_ONLY = "queues by wildcard, with commas: 'email-*,reports'"
_ROLLOUT = "a rollout's id; default: the last one"
_WAY = {
    "why": "a few words for the lock, the record and the notifications",
    "verify": "check that every instance runs the build, after each wave and at the end",
    "timeout": "stop watching after this long: 90s, 10m; the deployments go on",
    "lock_wait": "wait this long for another rollout to end: 10m",
    "on_busy": "a group that another deployment holds: wait, stop it, skip the group, fail",
    "on_failure": "once more failed than may: stop, continue, rollback",
    "promote": "between waves: auto, or manual (inv promote)",
    "ignore_stop_failures": "let the installed build's ApplicationStop fail",
    "yes": "confirm in advance, as a CI job must",
}
#: The flags of all faults; which take which, `inv sandbox.fault` lists.
_FAULT = {
    "share": "reset, errors, reclaim, kill, metadata, agent, hook: which part is hit, 0.05 or 5%",
    "probability": "throttle: how likely a call is refused, 0.3 or 30%",
    "rate": "throttle: calls a second that are let through",
    "service": "codedeploy, athena, s3, ec2 or autoscaling; default: all",
    "operation": "an operation of AWS, such as CreateDeployment; default: all",
    "seconds": "latency, outage, metadata, hook slow, busy: for how long, 60 or 2m",
    "code": "refuse: the error code, such as AccessDeniedException",
    "after": "refuse: begin so many seconds from now",
    "calls": "refuse: let so many requests through first",
    "number": "limit: deployments at a time; reclaim, kill, metadata, agent, hook: how many instances",
    "ids": "reclaim, kill, metadata, agent, hook: these instances, with commas",
    "group": "reclaim, kill, metadata, agent, hook, scale, busy: in these groups, by wildcard, with commas",
    "during": "reclaim: die in the middle of this lifecycle event",
    "notice": "reclaim: die so long after the metadata says so, 20 or 2m",
    "by": "scale: by how many instances, +2 or -1",
    "event": "hook: of this lifecycle event",
    "how": "hook: hang, exit, flood (10 MB, then exits), child (left on stdout) or slow",
    "status": "hook: the exit status of exit and flood; default 1",
    "seed": "another choice at random; the same seed chooses alike",
}


def _way(*names: str) -> dict[str, str]:
    return {name: _WAY[name] for name in names}


@command(on="run the build commands on this machine over SSH, as [user@]host[:port], and bring their files back")
def build(tool: Tool, on: str = "") -> None:
    """Build the versioned bundle of HEAD."""
    tool.build(on)


@command(
    live="ask SQS for the fleet's queues too",
    all="show also what cannot be known from the files",
    strict="fail for warnings too",
)
def lint(tool: Tool, live: bool = False, all: bool = False, strict: bool = False) -> None:
    """Find what would lose, double or strand tasks: Celery's settings, units, hooks, queues."""
    from shipit.flows.lint import lint as flow

    flow(tool, live=live, notes=all, strict=strict)


@command()
def publish(tool: Tool) -> None:
    """Upload the bundle of HEAD to S3; the same build again uploads nothing."""
    tool.publish(*tool.build())


@command()
def version(tool: Tool) -> None:
    """Print what a build of HEAD is called."""
    tool.display.text(tool.head().version)


@command(
    build="a published build; default: what HEAD would be",
    only=_ONLY,
    allow_older="go back where a group runs a newer build",
)
def plan(tool: Tool, build: str = "", only: str = "", allow_older: bool = False) -> None:
    """Show what a deploy would do to each group, and why."""
    from shipit.flows import deploy as flow

    flow.plan(tool, flow.Wish(build=build, only=only, allow_older=allow_older))


@command(
    build=_BUILD,
    only=_ONLY,
    dry_run="print the plan and stop",
    resume="carry on the last rollout, whose process is gone",
    allow_older="go back where a group runs a newer build",
    **_WAY,
)
def deploy(
    tool: Tool,
    build: str = "",
    only: str = "",
    dry_run: bool = False,
    resume: bool = False,
    allow_older: bool = False,
    why: str = "",
    verify: bool = True,
    timeout: str = "",
    lock_wait: str = "",
    on_busy: str = "",
    on_failure: str = "",
    promote: str = "",
    ignore_stop_failures: bool = False,
    yes: bool = False,
) -> None:
    """Bring a build to every group in parallel, watch it, and prove that it runs."""
    from shipit.flows import deploy as flow

    wish = flow.Wish(
        build=build,
        only=only,
        allow_older=allow_older,
        why=why,
        verify=verify,
        timeout=timeout,
        lock_wait=lock_wait,
        on_busy=on_busy,
        on_failure=on_failure,
        promote=promote,
        ignore_stop_failures=ignore_stop_failures,
        yes=yes,
    )
    if resume:
        from shipit.flows.resume import resume as carry_on

        carry_on(tool, wish, dry_run=dry_run)
    else:
        flow.deploy(tool, wish, dry_run=dry_run)


@command(
    "build",
    build="the build to go back to; default: the last good one before the fleet's",
    only=_ONLY,
    **_way("why", "verify", "timeout", "lock_wait", "on_busy", "yes"),
    ignore_stop_failures="let the ApplicationStop of the build that is left fail",
)
def rollback(
    tool: Tool,
    build: str = "",
    only: str = "",
    why: str = "",
    verify: bool = True,
    timeout: str = "",
    lock_wait: str = "",
    on_busy: str = "",
    ignore_stop_failures: bool = True,
    yes: bool = False,
) -> None:
    """Go back to an older build: the last good one, or one by name."""
    from shipit.flows.deploy import Wish
    from shipit.flows.rollback import rollback as flow

    flow(
        tool,
        Wish(
            build=build,
            only=only,
            why=why,
            verify=verify,
            timeout=timeout,
            lock_wait=lock_wait,
            on_busy=on_busy,
            ignore_stop_failures=ignore_stop_failures,
            yes=yes,
        ),
    )


@command(only=_ONLY, **_way("why", "verify", "timeout", "lock_wait", "yes"))
def restart(
    tool: Tool,
    only: str = "",
    why: str = "",
    verify: bool = True,
    timeout: str = "",
    lock_wait: str = "",
    yes: bool = False,
) -> None:
    """Start the workers anew on the build that they run."""
    from shipit.flows import deploy as flow

    flow.restart(tool, flow.Wish(only=only, why=why, verify=verify, timeout=timeout, lock_wait=lock_wait, yes=yes))


@command(
    only="rehearse with these queues, by wildcard, with commas; default: a few",
    since="the commit to come from; default: the one before HEAD",
    kill="kill -9 workers in between: what they held must be done elsewhere, soon",
)
def rehearse(tool: Tool, only: str = "", since: str = "", kill: bool = False) -> None:
    """Try the rollout on this machine: real workers, tasks that flow, a broken build, a rollback."""
    from shipit.flows import rehearse as flow

    flow.rehearse(tool, flow.Wish(only=only, since=since, kill=kill))


@command("rollout", rollout=_ROLLOUT)
def watch(tool: Tool, rollout: str = "") -> None:
    """Attach to a running rollout, from any machine."""
    from shipit.flows.watch import watch as flow

    flow(tool, rollout)


@command("rollout", rollout=_ROLLOUT, rollback="take back what it brought", lock_wait=_WAY["lock_wait"])
def stop(tool: Tool, rollout: str = "", rollback: bool = False, lock_wait: str = "") -> None:
    """Stop a rollout: nothing more starts, and what runs is stopped."""
    from shipit.flows import attend
    from shipit.flows.deploy import Wish

    attend.stop(tool, rollout, rollback=rollback, wish=Wish(lock_wait=lock_wait))


@command("rollout", rollout=_ROLLOUT)
def promote(tool: Tool, rollout: str = "") -> None:
    """Let the next wave of a waiting rollout start."""
    from shipit.flows import attend

    attend.promote(tool, rollout)


@command(
    build="the build to expect; default: what the rollouts brought to each group",
    only=_ONLY,
    wait="keep looking: 90s, 10m",
    all="show every instance that is not current, also those that do not count: leaving, departed",
    junit="write the verdict to this file as JUnit XML",
    markdown="write the verdict to this file in Markdown",
    publish_metrics="tell CloudWatch the counts by state, for alarms (docs/verify.md)",
)
def verify_versions(
    tool: Tool,
    build: str = "",
    only: str = "",
    wait: str = "",
    all: bool = False,
    junit: str = "",
    markdown: str = "",
    publish_metrics: bool = False,
) -> None:
    """Check through Athena that every instance's running process reports the build."""
    from shipit.flows.check import verify_versions as flow

    flow(
        tool, build, only, wait=wait, everything=all, junit=junit, markdown=markdown, publish_metrics=publish_metrics
    )


@command()
def status(tool: Tool) -> None:
    """Show what each group runs, and the drift in one line."""
    from shipit.flows import ask

    ask.status(tool)


@command(count="how many; default: 20")
def history(tool: Tool, count: str = "20") -> None:
    """List the last rollouts: who, when, which build, how they ended."""
    from shipit.flows import ask

    ask.history(tool, count)


@command(build="a published build; default: HEAD")
def diff(tool: Tool, build: str = "") -> None:
    """Show the commits between what runs and HEAD, with their authors."""
    from shipit.flows import ask

    ask.diff(tool, build)


@command("rollout", rollout=_ROLLOUT, output="the file; default: shipit-ENV-ID.html")
def report(tool: Tool, rollout: str = "", output: str = "") -> None:
    """Write one HTML page of a rollout: its timeline, failures and proof."""
    from shipit.flows import ask

    ask.report(tool, rollout, output)


@command()
def lock_status(tool: Tool) -> None:
    """Show who has the lock of the environment."""
    from shipit.flows import locks

    locks.status(tool)


@command(message="why: whoever is kept out reads it")
def lock_acquire(tool: Tool, message: str = "") -> None:
    """Lock the environment by hand, until it is released."""
    from shipit.flows import locks

    locks.acquire(tool, message)


@command()
def lock_release(tool: Tool) -> None:
    """Free the lock, whoever has it."""
    from shipit.flows import locks

    locks.release(tool)


@command(workers="what instances run: stub, real, scripted; default: as shipit.toml says")
def sandbox_start(tool: Tool, workers: str = "") -> None:
    """Start the embedded sandbox, an AWS on this machine."""
    tool.sandbox.start(workers)


@command()
def sandbox_stop(tool: Tool) -> None:
    """Stop the sandbox and every process it started."""
    tool.sandbox.stop()


@command()
def sandbox_status(tool: Tool) -> None:
    """Show whether the sandbox runs, where, and what is in it."""
    tool.sandbox.status()


@command()
def sandbox_reset(tool: Tool) -> None:
    """Throw the sandbox's state away and start it anew."""
    tool.sandbox.reset()


@command(
    "name",
    name="which fault, or clear; without one: those in effect, and all that there are",
    between="reclaim: die between two lifecycle events",
    **_FAULT,
)
def fault(tool: Tool, name: str = "", between: bool = False, **flags: str) -> None:
    """Let something go wrong in the sandbox: throttle, reclaim, outage, and eleven more; clear lifts all."""
    tool.sandbox.fault(name, {**flags, "between": between})


namespace = Collection(
    version,
    lint,
    build,
    publish,
    plan,
    rehearse,
    deploy,
    rollback,
    restart,
    watch,
    stop,
    promote,
    verify_versions,
    status,
    history,
    diff,
    report,
)
_LOCK = Collection("lock")
_LOCK.add_task(lock_status, name="status")
_LOCK.add_task(lock_acquire, name="acquire")
_LOCK.add_task(lock_release, name="release")
namespace.add_collection(_LOCK)
for collection in (DASHBOARDS, SETUP, REPORTS, VERSIONS):
    namespace.add_collection(collection)
_SANDBOX = Collection("sandbox")
_SANDBOX.add_task(sandbox_start, name="start")
_SANDBOX.add_task(sandbox_stop, name="stop")
_SANDBOX.add_task(sandbox_status, name="status")
_SANDBOX.add_task(sandbox_reset, name="reset")
_SANDBOX.add_task(fault)
namespace.add_collection(_SANDBOX)
