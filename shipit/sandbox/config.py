"""What a sandbox is made of: the part of the settings that its daemon must know, as a file beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from shipit.errors import UsageError
from shipit.settings import Settings

REGION = "us-east-1"

_FAMILIES = ("email", "reports", "images", "billing", "imports", "search", "video", "webhooks", "orders", "users")


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """Describe a sandbox: durations in seconds, `clock` the factor by which its time runs."""

    root: str
    port: int
    application: str
    bucket: str
    report_bucket: str
    report_prefix: str
    database: str
    table: str
    queue_tag: str
    history_table: str = "version_history"
    workgroup: str = "primary"
    scan_limit: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    region: str = REGION
    queues: tuple[str, ...] = ()
    instances: int = 0
    even: bool = False
    workers: str = "stub"
    hook_processes: int = 4
    heartbeat: float = 300.0
    real_queues: tuple[str, ...] = ()
    visibility: float = 60.0
    instance_env: Mapping[str, str] = field(default_factory=dict)
    idle: float = 1800.0
    clock: float = 1.0

    @property
    def url(self) -> str:
        """Return the address of the daemon."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def reports(self) -> str:
        """Return where instances report to, as `s3://bucket/prefix`."""
        return f"s3://{self.report_bucket}/{self.report_prefix}/reports/v1"

    @property
    def history(self) -> str:
        """Return where what instances report of starts, deployments and ends is kept for longer."""
        return f"s3://{self.report_bucket}/{self.report_prefix}/history/v1"

    def to_json(self) -> str:
        """Return the configuration as JSON; `from_json` reads it back."""
        return json.dumps(asdict(self), sort_keys=True)

    def differences(self, made: SandboxConfig) -> list[str]:
        """Return a few words for each value in which `made` differs from this configuration."""
        pairs = [(f.name.replace("_", "-"), getattr(made, f.name), getattr(self, f.name)) for f in fields(self)]
        return [_difference(*pair) for pair in pairs if pair[1] != pair[2]]

    @staticmethod
    def from_json(text: str) -> SandboxConfig:
        """Read what `to_json` wrote."""
        values = json.loads(text)
        return SandboxConfig(
            **{**values, "queues": tuple(values["queues"]), "real_queues": tuple(values["real_queues"])}
        )


def from_settings(settings: Settings) -> SandboxConfig:
    """Return the sandbox that the environment describes; raises UsageError where it describes none."""
    wanted = settings.sandbox
    if wanted is None:
        raise UsageError(
            f"the environment {settings.env!r} is not a sandbox",
            hint=f"choose one with --env, or add a table [env.{settings.env}.sandbox]",
        )
    return SandboxConfig(
        root=str(settings.root),
        port=wanted.port,
        application=settings.application,
        bucket=settings.bucket,
        report_bucket=settings.reports.bucket or settings.bucket,
        report_prefix=settings.reports.prefix or settings.env,
        database=settings.reports.database,
        table=settings.reports.table,
        history_table=settings.reports.history_table,
        workgroup=settings.reports.workgroup,
        scan_limit=settings.reports.scan_limit,
        queue_tag=settings.queue_tag,
        tags=dict(settings.tags),
        region=settings.region or REGION,
        queues=wanted.queue_names or _names(wanted.queues),
        instances=wanted.instances,
        even=wanted.even,
        workers=wanted.workers,
        hook_processes=wanted.hook_processes,
        heartbeat=settings.reports.heartbeat,
        real_queues=wanted.real_queues,
        visibility=wanted.visibility,
        instance_env=dict(wanted.instance_env),
        idle=wanted.idle,
        clock=wanted.clock,
    )


def state_folder(root: Path) -> Path:
    """Return where the sandbox of a project keeps its pid file, its log and its instances."""
    return root / ".shipit" / "sandbox"


def _difference(name: str, made: object, wanted: object) -> str:
    if isinstance(made, tuple):
        return f"it has {len(made)} other {name}"
    return f"{name} is {made}, not {wanted}"


def _names(count: int) -> tuple[str, ...]:
    return tuple(f"{_FAMILIES[n % len(_FAMILIES)]}-{n // len(_FAMILIES) + 1:02d}" for n in range(count))
