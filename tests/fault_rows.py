"""Each thing that may go wrong in the middle of a rollout, and how the command line must end under it.

The rows are played by the real command line in sandboxes of their own: by tests/e2e/test_faults.py on a small fleet,
by benchmarks/faults.py on a larger one; fault_stage.py has the stage.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: What the sandbox is asked for: the name of a fault with its flags.
Fault = Mapping[str, object]
SCRIPTED, STUB = "scripted", "stub"


def queues(count: int) -> tuple[str, ...]:
    """Return the names of so many queues, at least five."""
    return ("email-in", "email-out", "images", "reports", "webhooks", *(f"orders-{n:02d}" for n in range(5, count)))


def fault(name: str, **flags: object) -> Fault:
    """Return a fault as `inv sandbox.fault` takes it."""
    return {"name": name, **flags}


@dataclass(frozen=True, kw_only=True)
class Row:
    """Say what goes wrong and how the deploy must end.

    `first` is in effect when it begins, `middle` when its first deployments run; then `number` is sent to it, or the
    wall clock of its process `steps` away from the machine's, by so many seconds one after the other, the first time
    before it has a plan. Each lifecycle event takes `seconds`. It ends with `code` and all of `words`; `groups` are
    those that must succeed, None all of them; none has more than `most` deployments. With `resume` the faults are
    lifted and `inv deploy --resume` must end it well. `spoils`: hangs are left behind, so that the next row needs a
    new sandbox. `edits` are made to the project first: file, text, text in its place. `quick` rows are tests, too.
    """

    name: str
    first: Sequence[Fault] = ()
    middle: Sequence[Fault] = ()
    number: int = 0
    steps: Sequence[float] = ()
    seconds: float = 0.05
    workers: str = SCRIPTED
    clock: float = 1.0
    flags: Sequence[str] = ()
    code: int = 0
    words: Sequence[str] = ()
    groups: int | None = None
    most: int = 1
    resume: bool = False
    twice: bool = False
    spoils: bool = False
    edits: Sequence[tuple[str, str, str]] = ()
    quick: bool = True


def rows(minute: float = 60.0) -> tuple[Row, ...]:
    """Return all rows; services that are down stay so for `minute` seconds."""
    hang = fault("hook", event="AfterInstall", how="hang", group="reports")
    expired = fault("refuse", code="ExpiredTokenException")
    stub = {"workers": STUB, "quick": False}
    return (
        Row(name="nothing", quick=False),
        Row(name="30 % of calls throttled", first=(fault("throttle", probability=0.3, seed=1),), quick=False),
        Row(name="5 % of requests reset", first=(fault("reset", share=0.05, seed=1),), quick=False),
        Row(name="half of all creations reset", first=(fault("reset", share=0.5, operation="CreateDeployment"),)),
        Row(name="5 % of requests answered 5xx", first=(fault("errors", share=0.05, seed=1),), quick=False),
        Row(
            name="half of all creations answered 5xx",
            first=(fault("errors", share=0.5, operation="CreateDeployment"),),
            quick=False,
        ),
        Row(name="2 s of latency", first=(fault("latency", seconds=2),), quick=False),
        Row(name="10 % reclaimed during an event", first=(fault("reclaim", share=0.1, during="Install"),), most=3),
        Row(name="10 % reclaimed between events", first=(fault("reclaim", share=0.1, between=True),), most=3),
        Row(name="10 % reclaimed at once", seconds=0.3, middle=(fault("reclaim", share=0.1),), most=3, quick=False),
        Row(
            name="scale-out", seconds=0.3, middle=(fault("scale", group="images,reports", by=1),), most=2, quick=False
        ),
        Row(name="scale-in", seconds=0.3, middle=(fault("scale", group="webhooks", by=-1),), most=3),
        Row(
            name="dead agents",
            quick=False,
            first=(fault("agent", group="reports"),),
            clock=60,
            code=1,
            words=("reports", "agent", "1 of"),
            groups=-1,
            spoils=True,
        ),
        Row(
            name="a hook hangs",
            first=(hang,),
            flags=("--timeout", "10s"),
            code=6,
            words=("1 of", "still deploying", "inv watch"),
            groups=-1,
            spoils=True,
        ),
        Row(
            name="hooks exit 1",
            first=(fault("hook", event="AfterInstall", how="exit", group="email-*"),),
            code=1,
            words=("AfterInstall, exit 1", " in 2 groups", "the sandbox was told to let this hook fail", "2 of"),
            groups=-2,
        ),
        Row(
            name="a real hook exits 1",
            first=(fault("hook", event="AfterInstall", how="exit", group="reports"),),
            code=1,
            words=("AfterInstall", "scripts/after_install.sh", "the sandbox was told to let this hook fail", "1 of"),
            groups=-1,
            **stub,
        ),
        Row(
            name="hooks print 10 MB",
            first=(fault("hook", event="AfterInstall", how="flood", status=0, group="*"),),
            **stub,
        ),
        Row(
            name="a hook prints 10 MB and fails",
            first=(fault("hook", event="AfterInstall", how="flood", group="reports"),),
            code=1,
            words=("AfterInstall", "flood: xxx"),
            groups=-1,
            **stub,
        ),
        Row(
            name="a hook leaves a child on stdout",
            first=(fault("hook", event="AfterInstall", how="child", group="reports"),),
            edits=(("appspec/appspec.yml", "timeout: 300", "timeout: 3"),),
            code=1,
            words=("AfterInstall", "failed to close STDOUT"),
            groups=-1,
            **stub,
        ),
        Row(
            name="somebody else's deployment",
            quick=False,
            first=(fault("busy", group="reports", seconds=4),),
            words=("waits for d-",),
        ),
        Row(name="the account's limit", seconds=0.1, first=(fault("limit", number=2),)),
        Row(
            name="credentials expire",
            quick=False,
            seconds=0.3,
            middle=(expired,),
            code=7,
            words=("credentials have expired", "aws sso login"),
            resume=True,
        ),
        Row(
            name="credentials expire between creations",
            quick=False,
            seconds=0.3,
            first=(fault("limit", number=3),),
            middle=(expired,),
            code=7,
            words=("credentials have expired",),
            resume=True,
        ),
        Row(
            name="creations alone meet expired credentials",
            first=(fault("refuse", code="ExpiredTokenException", operation="CreateDeployment", calls=2),),
            code=7,
            words=("credentials have expired", "inv deploy --resume"),
            resume=True,
        ),
        Row(
            name="CreateDeployment is denied from the third on",
            first=(fault("refuse", code="AccessDeniedException", operation="CreateDeployment", calls=2),),
            code=7,
            words=("could not be started", "AWS denied CreateDeployment", "docs/iam.md"),
            groups=2,
        ),
        Row(
            name="creations are denied, and a build is bad",
            first=(
                fault("refuse", code="AccessDeniedException", operation="CreateDeployment", calls=4),
                fault("hook", event="AfterInstall", how="exit", group="*"),
            ),
            code=1,
            words=("AWS denied CreateDeployment", "AfterInstall, exit 1", "groups failed"),
            groups=0,
            quick=False,
        ),
        Row(
            name="S3 is down",
            quick=False,
            seconds=0.3,
            middle=(fault("outage", service="s3", seconds=minute),),
        ),
        Row(
            name="S3 is down when the deploy is proved",
            middle=(fault("outage", service="s3", seconds=minute),),
            **stub,
        ),
        Row(
            name="Athena is down",
            first=(fault("outage", service="athena", seconds=minute),),
            **stub,
        ),
        Row(
            name="CodeDeploy is down",
            seconds=0.3,
            middle=(fault("outage", service="codedeploy", seconds=minute),),
            quick=False,
        ),
        Row(name="two at the same instant", seconds=1.0, twice=True),
        Row(name="the clock steps", seconds=2.0, steps=(3600, -3600, 0)),
        Row(
            name="Ctrl-C",
            quick=False,
            seconds=0.3,
            number=signal.SIGINT,
            code=130,
            words=("go on in AWS", "inv deploy --resume"),
            resume=True,
        ),
        Row(
            name="SIGTERM before all have started",
            seconds=0.3,
            first=(fault("limit", number=2),),
            number=signal.SIGTERM,
            code=130,
            words=("go on in AWS", "inv deploy --resume"),
            resume=True,
        ),
        Row(
            name="throttles, resets, 5xx and reclaims",
            seconds=0.1,
            first=(
                fault("throttle", probability=0.3, seed=2),
                fault("reset", share=0.05, seed=2),
                fault("errors", share=0.05, seed=2),
                fault("reclaim", share=0.1, during="AfterInstall", seed=2),
            ),
            most=3,
            quick=False,
        ),
        Row(
            name="resets, reclaims and a proof",
            first=(fault("reset", share=0.05, seed=3), fault("reclaim", share=0.1, during="AfterInstall", seed=3)),
            most=3,
            **stub,
        ),
    )
