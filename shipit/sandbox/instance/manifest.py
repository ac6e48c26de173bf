"""What the agent reads of an appspec.yml: files and hooks, taken as leniently as the agent takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_HOOKS = frozenset(
    {
        "ApplicationStop",
        "BeforeBlockTraffic",
        "AfterBlockTraffic",
        "BeforeInstall",
        "AfterInstall",
        "ApplicationStart",
        "BeforeAllowTraffic",
        "AfterAllowTraffic",
        "ValidateService",
    }
)
_DEFAULT_TIMEOUT = 3600


class BadManifest(Exception):
    """Say why the agent would refuse an appspec.yml, in one line."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """Name one script of a hook: `location` from the top of the bundle, `timeout` in seconds."""

    location: str
    timeout: int = _DEFAULT_TIMEOUT
    runas: str = ""


@dataclass(frozen=True, kw_only=True)
class FileMapping:
    """Copy `source` (from the top of the bundle) below the folder `destination` (from the file system's root)."""

    source: str
    destination: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Hold what an appspec.yml orders; `file_exists_behavior` is empty where it leaves that to the API."""

    files: tuple[FileMapping, ...] = ()
    hooks: Mapping[str, tuple[Script, ...]] = field(default_factory=dict)
    file_exists_behavior: str = ""


def read_manifest(archive: Path) -> Manifest:
    """Read the appspec of an unpacked bundle.

    Unknown keys at the top are ignored, an unknown hook is refused (reference codedeploy.md, section 3); the
    `permissions` section is not carried out. Raises BadManifest.
    """
    path = next((archive / name for name in ("appspec.yml", "appspec.yaml") if (archive / name).is_file()), None)
    if path is None:
        raise BadManifest(
            "The CodeDeploy agent did not find an AppSpec file within the unpacked revision directory"
            ' at revision-relative path "appspec.yml"'
        )
    try:
        return _manifest(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadManifest(f"{path.name}: {' '.join(str(error).split()) or type(error).__name__}") from error


def _manifest(data: Any) -> Manifest:
    if data.get("version") != 0.0:
        raise BadManifest(f"unsupported version: {data.get('version')}")
    if data.get("os") != "linux":
        raise BadManifest(f"unsupported os: {data.get('os')}")
    hooks = data.get("hooks") or {}
    unknown = sorted(set(hooks) - _HOOKS)
    if unknown:
        raise BadManifest(f"unknown hook: {unknown[0]}")
    return Manifest(
        files=tuple(
            FileMapping(source=str(entry["source"]), destination=str(entry["destination"]))
            for entry in data.get("files") or ()
        ),
        hooks={event: tuple(_script(entry) for entry in entries or ()) for event, entries in hooks.items()},
        file_exists_behavior=str(data.get("file_exists_behavior") or ""),
    )


def _script(entry: Any) -> Script:
    return Script(
        location=str(entry["location"]),
        timeout=int(entry.get("timeout") or _DEFAULT_TIMEOUT),
        runas=str(entry.get("runas") or ""),
    )
