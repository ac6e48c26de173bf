"""The parts of one command, each made from the settings when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from shipit.clock import SystemClock
from shipit.events import Listener, Notice, Throttled
from shipit.models import Build, HealthRule, PublishedBuild, RolloutPlan, Verification, Wanted
from shipit.wiring.sandbox import SandboxTool

if TYPE_CHECKING:
    from pathlib import Path

    from invoke.context import Context

    from shipit.aws.athena import Athena
    from shipit.aws.autoscaling import AutoScaling
    from shipit.aws.cloudwatch import CloudWatch
    from shipit.aws.codedeploy import CodeDeploy
    from shipit.aws.ec2 import Ec2
    from shipit.aws.fleet import FleetReader
    from shipit.aws.history import HistoryReader
    from shipit.aws.reports import ReportReader
    from shipit.aws.s3 import Bucket
    from shipit.aws.session import AwsSession
    from shipit.aws.setup.athena import AthenaSetup
    from shipit.aws.setup.s3 import BucketRules
    from shipit.aws.sqs import Queues
    from shipit.build import Git
    from shipit.display import Display
    from shipit.ledger import Ledger
    from shipit.lock import Lock
    from shipit.notify import Message
    from shipit.publish import Builds
    from shipit.settings import Settings
    from shipit.wiring.restarter import Restarter
    from shipit.wiring.scout import Scout
    from shipit.wiring.stage import Stage


class Tool:
    """Hold the parts of one command, each made when it is first asked for."""

    def __init__(self, context: Context, settings: Settings, display: Display, home: Path | None = None) -> None:
        """Wire for one environment; a sandbox is kept in `home`, by default the project's folder."""
        self.context = context
        self.settings = settings
        self.display = display
        self.clock = SystemClock()
        self._rules: dict[str, HealthRule] = {}
        self.sandbox = SandboxTool(settings, display, home)

    def stage(self, queues: Sequence[str], *, kill: bool) -> Stage:
        """Return a sandbox for one rehearsal, for these queues; it is there between `with` and its end."""
        from shipit.wiring.stage import Stage

        return Stage(self.context, self.settings, self.display, queues, kill=kill)

    @cached_property
    def session(self) -> AwsSession:
        """Open AWS; an environment that is a sandbox is started first where it does not run."""
        from shipit.aws.budget import RateBudget
        from shipit.aws.session import AwsSession, Credentials

        sandbox = self.settings.sandbox is not None
        url = self.sandbox.url() if sandbox else self.settings.endpoint_url
        return AwsSession(
            budget=RateBudget(self.settings.rollout.rate, self.settings.rollout.max_rate),
            region=self.sandbox.config.region if sandbox else self.settings.region,
            profile="" if sandbox else self.settings.profile,
            endpoint_url=url,
            credentials=Credentials(access_key="sandbox", secret_key="sandbox") if sandbox else None,
            on_throttle=lambda operation, rate: self.display(Throttled(operation=operation, rate=rate)),
        )

    @cached_property
    def codedeploy(self) -> CodeDeploy:
        """Return the gateway to CodeDeploy."""
        from shipit.aws.codedeploy import CodeDeploy

        session = self.session
        return CodeDeploy(
            session.client("codedeploy"), self.settings.application, once=session.client("codedeploy", attempts=1)
        )

    @cached_property
    def autoscaling(self) -> AutoScaling:
        """Return the gateway to Auto Scaling."""
        from shipit.aws.autoscaling import AutoScaling

        return AutoScaling(self.session.client("autoscaling"))

    @cached_property
    def ec2(self) -> Ec2:
        """Return the gateway to EC2."""
        from shipit.aws.ec2 import Ec2

        return Ec2(self.session.client("ec2"))

    @cached_property
    def queues(self) -> Queues:
        """Return the gateway to the queues."""
        from shipit.aws.sqs import Queues

        return Queues(self.session.client("sqs"))

    @cached_property
    def cloudwatch(self) -> CloudWatch:
        """Return the gateway to CloudWatch."""
        from shipit.aws.cloudwatch import CloudWatch

        return CloudWatch(self.session.client("cloudwatch"))

    @cached_property
    def fleet(self) -> FleetReader:
        """Return the reader of the environment's fleet."""
        from shipit.aws.fleet import FleetReader

        return FleetReader(
            self.codedeploy,
            self.autoscaling,
            self.ec2,
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

    def look(
        self,
        groups: Mapping[str, Wanted],
        *,
        wait: float,
        stop_when: Callable[[Verification], bool],
        listen: Listener,
    ) -> Verification:
        """Compare what the groups' instances report with the builds that they are expected to run.

        Goes on for `wait` seconds at most and returns the last look. Raises AwsError, and UsageError for a build that
        is not published.
        """
        from shipit.plan import running_build
        from shipit.verify import Expectation, verify
        from shipit.wiring.part import PartOfFleet

        reports = self.settings.reports
        published = dict.fromkeys(self.builds.versions(), "")
        for build in {wanted.build for wanted in groups.values()}:
            published[build] = self.builds.get(build).build.content_digest
        part = PartOfFleet(self.fleet, self.reports, frozenset(groups))
        return verify(
            part,
            part,
            Expectation(
                env=self.settings.env,
                groups=groups,
                published=published,
                heartbeat=reports.heartbeat,
                grace=reports.grace,
                build_of=lambda deployment: running_build(deployment, self.settings.prefix),
            ),
            clock=self.clock,
            look_back=reports.look_back,
            wait=wait,
            poll=min(15.0, 5 * self.settings.rollout.poll),
            stop_when=stop_when,
            listen=listen,
        )

    @property
    def place(self) -> dict[str, str]:
        """Return where reports lie and by which database they are read, as the statements of `shipit.sql` take it."""
        return {
            "database": self.settings.reports.database,
            "bucket": self.settings.reports.bucket or self.settings.bucket,
            "prefix": self.settings.reports.prefix or self.settings.env,
        }

    @property
    def athena_output(self) -> str:
        """Return the s3:// URL that Athena's results go to."""
        return self.settings.reports.output or f"s3://{self.place['bucket']}/athena/"

    @cached_property
    def athena(self) -> Athena:
        """Return the gateway to Athena."""
        return self._athena(self.settings.reports.database)

    @property
    def ddl(self) -> Athena:
        """Return an Athena for statements that name their database: it may not exist yet."""
        return self._athena("")

    def _athena(self, database: str) -> Athena:
        from shipit.aws.athena import Athena

        reports = self.settings.reports
        return Athena(
            self.session.client("athena"),
            database=database,
            workgroup=reports.workgroup,
            output=self.athena_output,
            timeout=reports.query_timeout,
            fetch=self.bucket.get_bytes,
        )

    @cached_property
    def athena_setup(self) -> AthenaSetup:
        """Return the gateway to what Athena's tables are described in."""
        from shipit.aws.setup.athena import AthenaSetup

        return AthenaSetup(self.session.client("athena"))

    @cached_property
    def report_rules(self) -> BucketRules:
        """Return the gateway to what expires in the bucket of reports."""
        from shipit.aws.setup.s3 import BucketRules

        return BucketRules(self.session.client("s3"), self.place["bucket"])

    @cached_property
    def reports(self) -> ReportReader:
        """Return the reader of what the instances report."""
        from shipit.aws.reports import ReportReader

        return ReportReader(
            self.athena, **self.place, table=self.settings.reports.table, on_stray=self._tell_of_a_stray
        )

    @cached_property
    def past(self) -> HistoryReader:
        """Return the reader of what instances were started with."""
        from shipit.aws.history import HistoryReader

        return HistoryReader(self.athena, **self.place, table=self.settings.reports.history_table)

    def _tell_of_a_stray(self, path: str) -> None:
        text = (
            f"reports that count for nobody, since their keys do not say who wrote them: {path} is one (docs/iam.md)"
        )
        self.display(Notice(text=text, warning=True))

    def slots(self, config: str, hosts: int) -> int:
        """Return on how many of so many hosts a deployment configuration works at a time."""
        if config not in self._rules:
            self._rules[config] = self.codedeploy.health_rule(config)
        return self._rules[config].slots(hosts)

    @property
    def restarter(self) -> Restarter:
        """Return a CodeDeploy that starts anew what a group runs, whatever it is told to bring."""
        from shipit.wiring.restarter import Restarter

        return Restarter(self.codedeploy)

    def notify(self, message: Message) -> None:
        """Tell those who are to hear of a rollout; a failure is a notice."""
        from shipit.notify import http_post, notify, run_command

        wanted = self.settings.notify
        notify(
            message,
            webhook=wanted.webhook,
            template=wanted.template,
            command=wanted.command,
            run=run_command,
            post=http_post,
            listen=self.display,
        )

    def scout_for(self, made: RolloutPlan) -> Scout:
        """Return who looks after the instances of the plan's groups."""
        from shipit.wiring.scout import Scout

        return Scout(
            codedeploy=self.codedeploy,
            autoscaling=self.autoscaling,
            ec2=self.ec2,
            asgs={p.group.name: p.group.asg for p in made.groups},
        )

    @cached_property
    def lock(self) -> Lock:
        """Return the lock of the environment: one rollout at a time."""
        from shipit.lock import Lock

        return Lock(self.bucket, self.settings.env, clock=self.clock, ttl=self.settings.rollout.lock_ttl)

    @cached_property
    def repository(self) -> Git:
        """Return the repository around the project."""
        from shipit.build import Git, Shell

        return Git(Shell(self.context, str(self.settings.root)))
