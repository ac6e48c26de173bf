"""Read `shipit.toml` (or `[tool.shipit]` of pyproject.toml) into one frozen Settings, in one pass.

Top-level keys hold for every environment; `[env.NAME]` lays the same keys over them. A mistake is one
line: the file, the key, what is wrong, and the nearest valid name.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shipit.errors import UsageError
from shipit.models import Allowance
from shipit.sizes import parse_size

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(text: object) -> float:
    """Return the seconds of a duration such as `90s`, `5m` or `1h30m`.

    Raises ValueError for anything else, a bare number included: its unit would be a guess.
    """
    if not isinstance(text, str) or not text or _DURATION.sub("", text):
        raise ValueError(f"{text!r} is not a duration; write 90s, 5m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


Size = Annotated[int, BeforeValidator(lambda v: v if type(v) is int else parse_size(v))]
Duration = Annotated[float, BeforeValidator(lambda v: v if isinstance(v, float) else parse_duration(v))]


_SHARE = re.compile(r"(\d+(?:\.\d+)?)%")


def parse_allowance(value: object) -> Allowance | None:
    """Return how many may fail: of `2` or `"2"` a count, of `"10%"` a share, of `"any"` None.

    Raises ValueError for anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Allowance(count=value)
    text = value if isinstance(value, str) else ""
    if text.isdecimal():
        return Allowance(count=int(text))
    share = _SHARE.fullmatch(text)
    if share and float(share[1]) <= 100:
        return Allowance(percent=float(share[1]))
    if text == "any":
        return None
    raise ValueError(f'{value!r} is neither a count, nor a share such as "10%", nor "any"')


Tolerated = Annotated[
    Allowance | None, BeforeValidator(lambda v: v if isinstance(v, Allowance | None) else parse_allowance(v))
]


class _Table(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=True,
        validate_default=False,
    )


class BuildSettings(_Table):
    """Say what goes into a bundle: globs below `path`, the commands to run first, and their outputs."""

    path: str = "."
    include: tuple[str, ...] = ("**",)
    exclude: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    appspec: str = "appspec/appspec.yml"
    scripts: str = "scripts"
    allow_secrets: tuple[str, ...] = ()
    level: int = Field(default=1, ge=0, le=3)


class ReportSettings(_Table):
    """Say where instances report to and how Athena is asked.

    `scan_limit` is the most bytes that one query may read; Athena takes no less than 10 MB.
    """

    bucket: str = ""
    prefix: str = ""
    database: str = "shipit"
    table: str = "version_reports"
    history_table: str = "version_history"
    workgroup: str = "shipit"
    scan_limit: Annotated[Size, Field(ge=10**7)] = 10 * 10**9
    output: str = ""
    heartbeat: Duration = 300.0
    look_back: Duration = 3600.0
    grace: Duration = 600.0
    query_timeout: Duration = 120.0


class RolloutSettings(_Table):
    """Say how a rollout goes: in which waves, how patiently, how much may fail, and what is done then.

    `waves` are lists of wildcards over queues, `bake` the pause after each wave but the last; `rate` and `max_rate`
    are CodeDeploy calls a second, `lock_ttl` the life of a lock that nobody renews.
    """

    deployment_config: str = "CodeDeployDefault.AllAtOnce"
    ignore_application_stop_failures: bool = False
    poll: Annotated[Duration, Field(ge=0.05)] = 2.0
    timeout: Duration = 3600.0
    rate: float = Field(default=20.0, gt=0)
    max_rate: float = Field(default=200.0, gt=0)
    waves: tuple[tuple[str, ...], ...] = (("*",),)
    bake: Duration = 0.0
    promote: Literal["auto", "manual"] = "auto"
    max_failed_groups: Tolerated = Allowance()
    max_failed_instances: Tolerated = None
    on_failure: Literal["stop", "continue", "rollback"] = "stop"
    on_busy: Literal["wait", "stop", "skip", "fail"] = "wait"
    retries: int = Field(default=2, ge=0, le=10)
    look_every: Duration = 15.0
    lock_ttl: Annotated[Duration, Field(ge=10)] = 120.0
    lock_wait: Duration = 0.0


def _address(text: str) -> str:
    """Refuse what is no web address, without repeating it: whoever knows it may post there."""
    if text and not text.startswith(("http://", "https://")):
        raise ValueError("must be an address that begins with https:// or http://")
    return text


def _json_text(text: str) -> str:
    """Refuse a template that is not JSON when the file is read, not when somebody waits to be told."""
    try:
        if text:
            json.loads(text)
    except ValueError as error:
        raise ValueError(f"must be JSON, in which ${{...}} stand inside strings: {error}") from None
    return text


class NotifySettings(_Table):
    """Say who hears of a rollout's start and end: a webhook, by a template of JSON, and a command."""

    webhook: Annotated[str, AfterValidator(_address)] = ""
    template: Annotated[str, AfterValidator(_json_text)] = ""
    command: str = ""


class LintSettings(_Table):
    """Say which rules of `inv lint` do not count for this project, by name."""

    ignore: tuple[str, ...] = ()


class SandboxSettings(_Table):
    """Shape the embedded sandbox: fleet, loopback port, idle shutdown, clock factor, what workers run.

    `visibility` is the timeout of its SQS queues, `instance_env` what /etc/shipit/instance.env says besides the
    facts, as a launch template's user data does.
    """

    port: int = Field(default=5959, ge=1024, le=65535)
    queues: int = Field(default=50, ge=1, le=1000)
    instances: int = Field(default=200, ge=0, le=10_000)
    even: bool = False
    queue_names: tuple[str, ...] = ()
    workers: str = Field(default="stub", pattern="^(stub|real|scripted)$")
    real_queues: tuple[str, ...] = ()
    visibility: Annotated[Duration, Field(ge=1)] = 60.0
    instance_env: dict[str, str] = Field(default_factory=dict)
    hook_processes: int = Field(default=4, ge=1, le=64)
    idle: Duration = 1800.0
    clock: float = Field(default=1.0, gt=0)


class RehearsedTask(_Table):
    """Name a task that a rehearsal lets flow, its queue, and what it is called with."""

    name: str
    queue: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = Field(default_factory=dict)


class RehearseSettings(_Table):
    """Shape a rehearsal: which tasks flow, how many a second in all, in how many groups of how many instances.

    `notice` is what a spot instance is given before it goes, `visibility` the queues' timeout, `instance_env` what
    /etc/shipit/instance.env says besides the facts.
    """

    tasks: tuple[RehearsedTask, ...] = ()
    rate: float = Field(default=4.0, gt=0, le=100)
    groups: int = Field(default=3, ge=1, le=20)
    instances: int = Field(default=2, ge=1, le=10)
    notice: Annotated[Duration, Field(ge=1, le=120)] = 20.0
    visibility: Annotated[Duration, Field(ge=2)] = 30.0
    instance_env: dict[str, str] = Field(default_factory=dict)


class Settings(_Table):
    """Hold all settings of one environment, read-only.

    `env`, `root` (the project's folder) and `source` (the file read) are filled by `load`.
    """

    env: str
    root: Path
    source: Path
    application: str
    bucket: str
    region: str = ""
    profile: str = ""
    endpoint_url: str = ""
    prefix: str = "builds"
    queue_tag: str = "queue"
    tags: dict[str, str] = Field(default_factory=dict)
    protected: bool = False
    build: BuildSettings = BuildSettings()
    reports: ReportSettings = ReportSettings()
    rollout: RolloutSettings = RolloutSettings()
    notify: NotifySettings = NotifySettings()
    lint: LintSettings = LintSettings()
    rehearse: RehearseSettings = RehearseSettings()
    sandbox: SandboxSettings | None = None


def load(env: str = "", *, start: Path | None = None) -> Settings:
    """Return the settings of `env`, else of SHIPIT_ENV, else of `default-env`.

    Looks for shipit.toml, then for `[tool.shipit]` in pyproject.toml, in `start` (default: the working
    directory) and upwards. Raises UsageError with one line for whatever is wrong.
    """
    source, data = _find(start or Path.cwd())
    environments = data.pop("env", {})
    default = data.pop("default-env", "")
    name = env or os.environ.get("SHIPIT_TARGET_ENV", "") or default
    if not isinstance(environments, dict) or not all(isinstance(v, dict) for v in environments.values()):
        raise UsageError(f"{source}: env: must be tables, [env.NAME]")
    if not name:
        raise UsageError(
            f"{source}: no environment chosen",
            hint=f"add default-env, or --env with one of: {', '.join(environments) or 'none defined yet'}",
        )
    if name not in environments:
        known = ", ".join(sorted(environments)) or "none"
        raise UsageError(f"{source}: env {name!r} is not defined{_nearest(name, environments)}; known: {known}")
    for reserved in ("root", "source"):
        if reserved in data or reserved in environments[name]:
            raise UsageError(f"{source}: {reserved}: is not a setting; shipit fills it")
    merged = _merge(data, environments[name])
    try:
        return Settings.model_validate({**merged, "env": name, "root": source.parent, "source": source})
    except ValidationError as error:
        raise _explain(error, source, name, environments[name]) from None


def _find(start: Path) -> tuple[Path, dict[str, Any]]:
    for folder in (start, *start.parents):
        plain = folder / "shipit.toml"
        if plain.is_file():
            return plain, _toml(plain)
        project = folder / "pyproject.toml"
        if project.is_file():
            tool = _toml(project).get("tool", {})
            if isinstance(tool, dict) and isinstance(tool.get("shipit"), dict):
                return project, tool["shipit"]
    raise UsageError(
        f"no shipit.toml and no [tool.shipit] in pyproject.toml, in {start} or above",
        hint="create shipit.toml with application, bucket and one [env.NAME]; docs/settings.md lists all keys",
    )


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}") from None


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return {key: _tuples(value) for key, value in merged.items()}


def _tuples(value: Any) -> Any:
    """Turn TOML's lists into tuples, which is what frozen settings hold."""
    if isinstance(value, dict):
        return {k: _tuples(v) for k, v in value.items()}
    if isinstance(value, list):
        return tuple(_tuples(v) for v in value)
    return value


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _names(path: tuple[str, ...]) -> list[str]:
    """Return the keys that are valid in the table at `path`."""
    table: type[BaseModel] = Settings
    for part in path:
        if part not in _TABLES:
            return []
        table = _TABLES[part]
    hidden = {"env", "root", "source"} if table is Settings else set()
    return [name.replace("_", "-") for name in table.model_fields if name not in hidden]


_TABLES: dict[str, type[BaseModel]] = {
    "build": BuildSettings,
    "reports": ReportSettings,
    "rollout": RolloutSettings,
    "notify": NotifySettings,
    "lint": LintSettings,
    "rehearse": RehearseSettings,
    "sandbox": SandboxSettings,
}


def _explain(error: ValidationError, source: Path, env: str, overlay: Mapping[str, Any]) -> UsageError:
    # Of a needed key with a slip in it both are said, that it is missing and that it is not known: this one helps.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    path = tuple(str(part) for part in first["loc"])
    key = ".".join(path)
    where = f"env.{env}.{key}" if _is_in(overlay, path) else key
    match str(first["type"]):
        case "extra_forbidden":
            valid = _names(path[:-1])
            hint = _nearest(path[-1], valid)
            return UsageError(f"{source}: {where}: unknown key{hint}", hint=f"valid here: {', '.join(valid)}")
        case "missing":
            return UsageError(f"{source}: {key}: is missing", hint=f"add `{key} = …` or set it in [env.{env}]")
        case "value_error":
            return UsageError(f"{source}: {where}: {str(first['msg']).removeprefix('Value error, ')}")
        case "literal_error":
            allowed = re.findall(r"'([^']*)'", str(first["ctx"]["expected"]))
            nearest = _nearest(str(first["input"]), allowed)
            return UsageError(f"{source}: {where}: must be one of {', '.join(allowed)}{_shown(first, path)}{nearest}")
        case kind if kind in _KINDS:
            hint = _WAVES if path[:2] == ("rollout", "waves") else ""
            return UsageError(f"{source}: {where}: must be {_KINDS[kind]}{_shown(first, path)}", hint=hint)
        case _:
            said = str(first["msg"]).replace("Input should be", "must be")
            return UsageError(f"{source}: {where}: {said}{_shown(first, path)}")


_KINDS = {
    "tuple_type": "a list",
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "dict_type": "a table",
    "model_type": "a table",
}
_WAVES = 'each wave is a list of wildcards over queues: waves = [["canary-*"], ["*"]]'


def _is_in(overlay: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """Tell whether the environment's own table holds the value at `path`, or the table around what is missing."""
    if not path or path[0] not in overlay:
        return False
    below = overlay[path[0]]
    return _is_in(below, path[1:]) if isinstance(below, dict) and path[1:] else True


def _shown(error: ErrorDetails, path: tuple[str, ...]) -> str:
    """Return the value that was refused, as TOML has it; nothing where it may be a secret."""
    value = error["input"]
    return "" if path[:1] == ("notify",) else f", not {list(value) if isinstance(value, tuple) else value!r}"
