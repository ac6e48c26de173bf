"""Events and values that the tests of the displays share: one of each type, and rollouts of any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from fakes import NOON, group, published

from shipit.diagnose import cluster, explain, judge
from shipit.events import (
    BuildFinished,
    BuildsRan,
    BuildStep,
    Event,
    GroupBlocked,
    GroupDiagnosed,
    GroupEnded,
    GroupProgress,
    GroupRetried,
    GroupStarted,
    Linted,
    Notice,
    Published,
    RolloutFinished,
    RolloutHalted,
    RolloutStarted,
    Throttled,
    Tick,
    UploadProgress,
    Verified,
    WavePaused,
    WaveStarted,
)
from shipit.models import (
    Action,
    EventStatus,
    Finding,
    LifecycleEvent,
    Node,
    NodeState,
    Overview,
    Period,
    Phase,
    PlannedGroup,
    QueryCost,
    RolloutPlan,
    Severity,
    Target,
    TargetStatus,
    Verification,
)

TAIL = "\n".join(f"line {n} of the log" for n in range(30)) + "\nModuleNotFoundError: No module named 'celery'"


def plan(count: int = 3, *, instances: int = 2, prefix: str = "queue-") -> RolloutPlan:
    return RolloutPlan(
        id="r-20261120-120000",
        env="sandbox",
        published=published(),
        groups=tuple(
            PlannedGroup(
                group=group(f"{prefix}{n:03}", instances=instances),
                action=Action.DEPLOY,
                reason="runs v1",
                running="v1",
            )
            for n in range(count)
        ),
        deployment_config="CodeDeployDefault.OneAtATime",
    )


def failure(name: str = "queue-001", *, cause: str = "", instances: int = 2, exit_code: int = 1) -> GroupDiagnosed:
    """Explain a group whose script failed on all instances; `cause` replaces what is said of it."""
    event = LifecycleEvent(
        name="AfterInstall",
        status=EventStatus.FAILED,
        error_code="ScriptFailed",
        script="scripts/after_install.sh",
        message=f"Script at specified location: scripts/after_install.sh failed with exit code {exit_code}",
        log_tail=TAIL,
    )
    end = GroupEnded(
        group=name,
        deployment_id=f"d-{name.upper()}",
        phase=Phase.FAILED,
        overview=Overview(failed=instances),
        seconds=9.0,
        at=NOON,
        error_code="HEALTH_CONSTRAINTS",
    )
    targets = [
        Target(instance_id=f"i-{name}-{n}", status=TargetStatus.FAILED, events=(event,)) for n in range(instances)
    ]
    found = explain(end, judge(targets, {}, {}), build="v2")
    return replace(found, cause=cause or found.cause)


def verification(*, bad: bool = True, nodes: int = 300) -> Verification:
    states = [NodeState.CURRENT] * nodes
    if bad:
        states[3], states[7] = NodeState.OUTDATED, NodeState.SILENT
    return Verification(
        env="sandbox",
        build="v2",
        nodes=tuple(
            Node(
                instance_id=f"i-{n:03}",
                group=f"queue-{n // 6:03}",
                queue=f"queue-{n // 6:03}",
                state=state,
                running={NodeState.OUTDATED: "v1", NodeState.CURRENT: "v2"}.get(state, ""),
                age=None if state is NodeState.SILENT else 252.0,
                next_step="" if state is NodeState.CURRENT else f"inv deploy --build v2 --only queue-{n // 6:03}",
            )
            for n, state in enumerate(states)
        ),
        cost=QueryCost(query_id="q", scanned=2_300_000, seconds=3.1, dollars=0.00005),
        at=NOON,
    )


def finding() -> Finding:
    return Finding(
        rule="systemd-kill-mode",
        severity=Severity.ERROR,
        file="systemd/worker@.service",
        line=3,
        what="KillMode is not set: control-group",
        why="measured: 2 of 4 tasks were lost",
        fix="KillMode=mixed",
    )


def ran() -> BuildsRan:
    """Return a rollback: three periods of a group, of the second of which not every end is known."""

    def period(build: str, since: float, until: float | None, *deployments: str, **more: int) -> Period:
        counts = {"instances": 2, "unended": 2 if until is None else 0, **more}
        ended = None if until is None else NOON - timedelta(minutes=until)
        began = NOON - timedelta(minutes=since)
        return Period(group="email", build=build, deployments=deployments, since=began, until=ended, **counts)

    return BuildsRan(
        env="prod",
        periods=(
            period("v1", 30, None, "d-3"),
            period("v2", 60, 30, "d-2", unended=1),
            period("v1", 180, 62, "d-1", "d-4", "d-5", instances=1200),
        ),
        look_back=86400.0,
        cost=QueryCost(query_id="q-2", scanned=2 * 10**6, seconds=1.5, dollars=0.00005),
    )


def one_of_each() -> list[Event]:
    """Return every type of event, in the order of a command that builds, deploys and verifies."""
    build = published().build
    return [
        BuildStep(stage="command", detail="make assets"),
        BuildFinished(build=build, path="dist/worker-v2.tgz", files=12, seconds=0.4),
        UploadProgress(version="v2", sent=10, total=20),
        Published(build=build, location="s3://b/builds/v2/worker-v2.tgz", already=False),
        Linted(findings=(finding(),), files=12, queues=2, ignored=1),
        ran(),
        Notice(text="two groups were empty", warning=True),
        *rollout(3, failing=("queue-001",)),
        WaveStarted(wave=1, of=2, groups=("queue-000", "queue-001"), at=NOON),
        GroupBlocked(group="queue-000", holder_id="d-HOLDER", at=NOON, holder="d-HOLDER (user, 5.0 s old): hotfix"),
        GroupRetried(group="queue-000", deployment_id="d-QUEUE-000", reason="i-1 was reclaimed", at=NOON),
        WavePaused(wave=1, of=2, seconds=300.0, at=NOON),
        WavePaused(wave=1, of=2, seconds=None, at=NOON),
        RolloutHalted(reason="2 of 3 groups failed, and 0 may", at=NOON),
        Throttled(operation="BatchGetDeployments", rate=2.5),
        Verified(verification=verification()),
    ]


def rollout(count: int, *, failing: tuple[str, ...] = (), instances: int = 2, ticks: int = 3) -> Iterator[Event]:
    """Yield a whole rollout: all start, all move at every tick of five seconds, all end."""
    made, at = plan(count, instances=instances), NOON
    yield RolloutStarted(plan=made, at=at)
    names = [p.group.name for p in made.groups]
    for name in names:
        yield GroupStarted(group=name, deployment_id=f"d-{name.upper()}", instances=instances, at=at)
    for tick in range(ticks):
        at += timedelta(seconds=5)
        for name in names:
            moving = Overview(
                in_progress=1, pending=instances - 1 - min(tick, instances - 1), succeeded=min(tick, instances - 1)
            )
            yield GroupProgress(group=name, deployment_id=f"d-{name.upper()}", overview=moving, at=at)
        yield Tick(at=at)
    phases: dict[str, Phase] = {}
    failures: list[GroupDiagnosed] = []
    for name in names:
        phases[name] = Phase.FAILED if name in failing else Phase.SUCCEEDED
        end = Overview(failed=instances) if name in failing else Overview(succeeded=instances)
        yield GroupEnded(
            group=name,
            deployment_id=f"d-{name.upper()}",
            phase=phases[name],
            overview=end,
            seconds=5.0 * ticks,
            at=at,
            error_code="HEALTH_CONSTRAINTS" if name in failing else "",
        )
        if name in failing:
            failures.append(failure(name, instances=instances))
            yield failures[-1]
    yield RolloutFinished(
        rollout_id=made.id,
        version="v2",
        phases=phases,
        seconds=5.0 * ticks,
        calls={"CreateDeployment": count, "BatchGetDeployments": 2 * ticks},
        at=at,
        clusters=cluster(failures),
    )
