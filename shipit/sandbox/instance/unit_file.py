"""Read systemd unit files: the few settings that decide what a worker's process is."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*")


class BadUnit(Exception):
    """Say why a unit cannot be loaded, in one line."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Hold what the stand-in honours of a service unit; times in seconds.

    `environment` is complete: Environment= and what the files of EnvironmentFile= held when the unit was read.
    `restart` is Restart= (no, on-failure, always, ...), `restart_delay` RestartSec=, `wants` Wants=. Everything else
    (User=, limits, other dependencies and Exec lines) is ignored.
    """

    name: str
    description: str
    command: tuple[str, ...]
    stop_commands: tuple[tuple[str, ...], ...]
    environment: dict[str, str]
    working_directory: str
    type: str
    kill_mode: str
    stop_timeout: float
    start_timeout: float
    restart: str
    restart_delay: float
    wants: tuple[str, ...] = ()


def load_unit(folder: Path, name: str) -> Unit:
    """Read unit `name` below `folder`; `worker@x.service` comes from the template `worker@.service`.

    Drop-ins, `*.conf` in the folders `<template>.d` and `<unit>.d`, add to it, also to a unit that has a file of its
    own (tried with systemd 252). Raises BadUnit where there is none, or one without a usable ExecStart=.
    """
    prefix, at, instance = name.removesuffix(".service").partition("@")
    names = [f"{prefix}@.service", name] if at else [name]
    path = next((folder / one for one in reversed(names) if (folder / one).is_file()), folder / name)
    if not path.is_file() or (at and not instance):
        raise BadUnit(f"Unit {name} not found.")
    specifiers = {"%i": instance, "%I": _unescape(instance), "%n": name, "%p": prefix, "%%": "%"}
    settings: dict[str, list[str]] = {}
    for part in (path, *(part for one in names for part in sorted((folder / f"{one}.d").glob("*.conf")))):
        _read_settings(part, specifiers, settings)

    def last(key: str, default: str) -> str:
        return (settings.get(key) or [default])[-1]

    def span(key: str, default: str) -> float:
        spans = map(_seconds, reversed([default, *settings.get(key, ())]))
        return next(found for found in spans if found is not None)

    command = shlex.split(last("ExecStart", ""))
    if not command or not command[0].startswith("/"):
        raise BadUnit(f"Unit {name} has a bad unit file setting: ExecStart= needs an absolute path.")
    try:
        return Unit(
            name=name,
            description=last("Description", name),
            command=tuple(command),
            stop_commands=tuple(_words(line) for line in settings.get("ExecStop", ())),
            environment=_environment(settings),
            working_directory=last("WorkingDirectory", "/"),
            type=last("Type", "simple"),
            kill_mode=last("KillMode", "control-group"),
            stop_timeout=span("TimeoutStopSec", "90"),
            start_timeout=span("TimeoutStartSec", "90"),
            restart=last("Restart", "no"),
            restart_delay=span("RestartSec", "100ms"),
            wants=tuple(wanted for line in settings.get("Wants", ()) for wanted in line.split()),
        )
    except (OSError, ValueError) as error:
        raise BadUnit(f"Unit {name} has a bad unit file setting: {error}") from error


def _words(line: str) -> tuple[str, ...]:
    """Take a command apart; a `-` in front, which makes its failure harmless, is left out, as any failure is here."""
    words = tuple(shlex.split(line.removeprefix("-")))
    if not words or not words[0].startswith("/"):
        raise ValueError(f"ExecStop= needs an absolute path, not {line!r}")
    return words


def _read_settings(path: Path, specifiers: dict[str, str], settings: dict[str, list[str]]) -> None:
    """Add each key's values in order; an empty value resets its key, as in systemd."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if not equals or key.startswith(("#", ";")):
            continue
        value = re.sub("%.", lambda match: specifiers.get(match[0], match[0]), value.strip())
        if value:
            settings.setdefault(key.strip(), []).append(value)
        else:
            settings.pop(key.strip(), None)


def _environment(settings: dict[str, list[str]]) -> dict[str, str]:
    """Join Environment= with EnvironmentFile=, which wins; a file behind `-` may be missing."""
    pairs = [pair for line in settings.get("Environment", []) for pair in shlex.split(line)]
    for name in settings.get("EnvironmentFile", []):
        path = Path(name.removeprefix("-"))
        if name.startswith("-") and not path.exists():
            continue
        lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
        pairs += [_assignment(line) for line in lines if line and line[0] not in "#;"]
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def _assignment(line: str) -> str:
    """Take quotes off a value; without any it keeps its blanks (systemd.exec(5), tried with systemd 252)."""
    key, equals, value = line.partition("=")
    value = value.strip()
    if value.startswith(("'", '"')):
        value = "".join(shlex.split(value))
    return f"{key}{equals}{value}"


def _unescape(instance: str) -> str:
    """Undo systemd's escaping of paths: `-` is `/`, `\\x2d` a byte (systemd.unit(5), %I)."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), instance.replace("-", "/"))


def _seconds(span: str) -> float | None:
    """Return the seconds of a time span; None for what is none, which systemd passes over with a word in its log."""
    if span == "infinity":
        return float("inf")
    if not span or _SPAN.sub("", span) or any(unit not in _SECONDS for _, unit in _SPAN.findall(span)):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _SPAN.findall(span))
