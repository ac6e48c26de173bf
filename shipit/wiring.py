"""The composition root: which gateway serves which verb, made from the settings on first use."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from shipit.events import GroupEnded, GroupStarted, Notice, Throttled
from shipit.models import Build, Fleet, Phase, PublishedBuild

if TYPE_CHECKING:
    from pathlib import Path

    from invoke.context import Context

    from shipit.aws.codedeploy import CodeDeploy
    from shipit.aws.fleet import FleetReader
    from shipit.aws.s3 import Bucket
    from shipit.aws.session import AwsSession
    from shipit.display import Display
    from shipit.events import Event
    from shipit.ledger import Ledger
    from shipit.publish import Builds
    from shipit.sandbox.config import SandboxConfig
    from shipit.settings import Settings


class SystemClock:
    """The real time."""

    def now(self) -> datetime:
        """Return the moment, aware, in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(frozen=True)
class PartOfFleet:
    """Show only some groups of a fleet; satisfies `shipit.verify.FleetSource`."""

    whole: FleetReader
    groups: frozenset[str]

    def read_with_launch_times(self) -> Fleet:
        """Return the chosen groups with their instances and when these were launched."""
        fleet = self.whole.read_with_launch_times()
        return replace(fleet, groups=tuple(g for g in fleet.groups if g.name in self.groups))


class Tool:
    """Hold the parts of one command, each made when it is first asked for."""

    def __init__(self, context: Context, settings: Settings, display: Display) -> None:
        """Wire for one environment."""
        self.context = context
        self.settings = settings
        self.display = display
        self.clock = SystemClock()

    @cached_property
    def session(self) -> AwsSession:
        """Open AWS; an environment that is a sandbox is started first where it does not run."""
        from shipit.aws.budget import RateBudget
        from shipit.aws.session import AwsSession, Credentials

        sandbox = self.settings.sandbox is not None
        url = self._sandbox_url() if sandbox else self.settings.endpoint_url
        return AwsSession(
            budget=RateBudget(self.settings.rollout.rate, self.settings.rollout.max_rate),
            region=self.sandbox.region if sandbox else self.settings.region,
            profile="" if sandbox else self.settings.profile,
            endpoint_url=url,
            credentials=Credentials(access_key="sandbox", secret_key="sandbox") if sandbox else None,
            on_throttle=lambda operation, rate: self.display(Throttled(operation=operation, rate=rate)),
        )

    @cached_property
    def codedeploy(self) -> CodeDeploy:
        """Return the gateway to CodeDeploy."""
        from shipit.aws.codedeploy import CodeDeploy

        return CodeDeploy(self.session.client("codedeploy"), self.settings.application)

    @cached_property
    def fleet(self) -> FleetReader:
        """Return the reader of the environment's fleet."""
        from shipit.aws.autoscaling import AutoScaling
        from shipit.aws.ec2 import Ec2
        from shipit.aws.fleet import FleetReader

        return FleetReader(
            self.codedeploy,
            AutoScaling(self.session.client("autoscaling")),
            Ec2(self.session.client("ec2")),
            queue_tag=self.settings.queue_tag,
            tags=self.settings.tags,
        )

    @cached_property
    def bucket(self) -> Bucket:
        """Return the gateway to the bucket of builds and records."""
        from shipit.aws.s3 import Bucket

        return Bucket(self.session.client("s3"), self.settings.bucket)

    @cached_property
    def builds(self) -> Builds:
        """Return the published builds."""
        from shipit.publish import Builds

        return Builds(self.bucket, application=self.settings.application, prefix=self.settings.prefix)

    @cached_property
    def ledger(self) -> Ledger:
        """Return the records of the environment's rollouts."""
        from shipit.ledger import Ledger

        return Ledger(self.bucket, self.settings.env)

    @property
    def author(self) -> str:
        """Return who runs this: the CI job's address where one is known, else user@host."""
        job = os.environ.get("GITHUB_RUN_ID", "")
        if job:
            server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
            return f"{server}/{os.environ.get('GITHUB_REPOSITORY', '')}/actions/runs/{job}"
        return os.environ.get("CI_JOB_URL", "") or f"{getpass.getuser()}@{socket.gethostname()}"

    def build(self, on: str = "") -> tuple[Build, Path]:
        """Build the bundle of HEAD, here or on the machine `on`; return the build with the path of its bundle."""
        if on:
            from shipit.hosts import build_on, connect

            return build_on(connect(on), self.context, self.settings, listen=self.display)
        from shipit.build import build

        return build(self.context, self.settings, listen=self.display)

    def publish(self, build: Build, bundle: Path) -> PublishedBuild:
        """Upload a bundle."""
        return self.builds.publish(build, bundle, self.display)

    def head(self) -> Build:
        """Name the build of HEAD; builds nothing."""
        from shipit.build import name_build

        return name_build(self.context, self.settings)

    def verify(self, build: str, groups: frozenset[str], *, wait: float) -> None:
        """Check the groups against a published build; returns only where they are converged."""
        from shipit.aws.athena import Athena
        from shipit.aws.reports import ReportReader
        from shipit.verify import Expectation, outcome, verify

        reports = self.settings.reports
        bucket = reports.bucket or self.settings.bucket
        athena = Athena(
            self.session.client("athena"),
            database=reports.database,
            workgroup=reports.workgroup,
            output=reports.output or f"s3://{bucket}/athena/",
            timeout=reports.query_timeout,
        )
        published = dict.fromkeys(self.builds.versions(), "")
        published[build] = self.builds.get(build).build.content_digest
        verification = verify(
            PartOfFleet(self.fleet, groups),
            ReportReader(athena, database=reports.database, table=reports.table),
            Expectation(
                env=self.settings.env,
                build=build,
                published=published,
                heartbeat=reports.heartbeat,
                grace=reports.grace,
            ),
            clock=self.clock,
            look_back=reports.look_back,
            wait=wait,
            listen=self.display,
        )
        outcome(verification)

    def teller(self, build: str, note: Callable[[GroupStarted], None]) -> Callable[[Event], None]:
        """Return a listener that shows events, notes started groups, and explains each group that failed."""

        def listen(event: Event) -> None:
            self.display(event)
            if isinstance(event, GroupStarted):
                note(event)
            if isinstance(event, GroupEnded) and event.phase is not Phase.SUCCEEDED:
                self._explain(event, build)

        return listen

    def _explain(self, end: GroupEnded, build: str) -> None:
        from shipit.diagnose import diagnose
        from shipit.errors import AwsError

        try:
            targets = self.codedeploy.targets(end.deployment_id) if end.deployment_id else ()
        except AwsError as error:
            self.display(Notice(text=f"{end.group}: its instances could not be read: {error.message}", warning=True))
            targets = ()
        self.display(diagnose(end, targets, build=build))

    @cached_property
    def sandbox(self) -> SandboxConfig:
        """Return what the environment's sandbox is made of; raises UsageError where it is none."""
        from shipit.sandbox.config import from_settings

        return from_settings(self.settings)

    def sandbox_start(self) -> None:
        """Start the sandbox where it does not run."""
        self._sandbox_url()
        self.sandbox_status()

    def sandbox_stop(self) -> None:
        """Stop the sandbox."""
        from shipit.sandbox import lifecycle

        self.display.text("stopped" if lifecycle.stop(self.sandbox) else "it was not running")

    def sandbox_reset(self) -> None:
        """Throw the sandbox away and start it anew."""
        from shipit.sandbox import lifecycle

        lifecycle.reset(self.sandbox, self._notice)
        self.sandbox_status()

    def sandbox_status(self) -> None:
        """Show the sandbox."""
        from shipit.sandbox import lifecycle

        found: Mapping[str, object] = lifecycle.status(self.sandbox) or {"running": "no"}
        self.display.value("sandbox", found)

    def _sandbox_url(self) -> str:
        from shipit.sandbox import lifecycle

        return lifecycle.ensure(self.sandbox, self._notice)

    def _notice(self, text: str) -> None:
        self.display(Notice(text=text))
