"""Fill in what the dashboards, data sources and rules of one environment need: pure, but for reading the package."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from shipit.errors import UsageError
from shipit.models import stale_after

#: CloudWatch's SEARCH takes 1,024 characters (its guide, "search expression quotas"): so many of them for the values.
_SEARCH = 800
#: Steps, in minutes, that an hour is made of.
_STEPS = (10, 15, 20, 30, 60)
_HEAD = "# Written by `inv dashboards.export` for {env}: the same command writes it anew.\n"
_NAME = re.compile(r"[\w.][\w. -]{0,63}")

_BOARDS = ("versions", "queues")

#: What the files' names that begin with `@` stand for: a text, a number, or a whole list.
Names = Mapping[str, str | int | list[str]]


@dataclass(frozen=True, kw_only=True)
class Work:
    """Name a queue, the Auto Scaling groups that work on it, and its dead-letter queue where it has one."""

    queue: str
    asgs: tuple[str, ...]
    dead_letter: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Hold what an environment has of its own.

    `reports` and `history` are tables of `database` over what lies below `reports_at` and `history_at`, `output` is
    where Athena writes results (all three s3:// URLs), `heartbeat` the seconds between two reports of an instance.
    The alerts fire above `oldest` seconds and `depth` messages. `home` is the folder that Grafana finds the files in.
    """

    env: str
    region: str
    database: str
    reports: str
    history: str
    reports_at: str
    history_at: str
    workgroup: str
    output: str
    heartbeat: float
    works: tuple[Work, ...]
    oldest: int
    depth: int
    home: str

    def __post_init__(self) -> None:
        """Raise UsageError for an environment whose name Grafana would take apart."""
        if not _NAME.fullmatch(self.env):
            raise UsageError(
                f"{self.env!r} cannot be part of the names of dashboards",
                hint="name the environment with letters, digits, blanks and . _ - (at most 64)",
            )

    @property
    def key(self) -> str:
        """Return what the environment's things are called in Grafana's addresses, which take 40 characters."""
        plain = re.sub(r"[^a-zA-Z0-9-]", "-", self.env)
        if plain != self.env or len(plain) > 20:
            plain = f"{plain[:12]}-{_short(self.env)[:7]}"
        return f"shipit-{plain}"


def render(facts: Facts) -> dict[str, str]:
    """Return the files of one environment by their path in Grafana's folder of provisioning."""
    names = _names(facts)
    boards = {
        name: json.dumps(_filled(json.loads(_read(f"{name}.json")), names), indent=2) + "\n" for name in _BOARDS
    }
    # In these Grafana takes a dollar for a variable of its environment; the dashboards it leaves as they are.
    names = {name: value.replace("$", "$$") if isinstance(value, str) else value for name, value in names.items()}
    sources, provider, rules = (
        yaml.safe_load(_read(f"{name}.yaml")) for name in ("datasources", "provider", "alerts")
    )
    rules["groups"] = list(_groups(rules["groups"], facts, names))
    return {
        f"datasources/{facts.key}.yaml": _yaml(facts.env, _filled(sources, names)),
        f"dashboards/{facts.key}.yaml": _yaml(facts.env, _filled(provider, names)),
        **{f"dashboards/{facts.key}/{name}.json": text for name, text in boards.items()},
        f"alerting/{facts.key}.yaml": _yaml(facts.env, rules),
    }


def _names(facts: Facts) -> Names:
    queues = sorted({work.queue for work in facts.works})
    return {
        "environment": facts.env,
        "key": facts.key,
        "rule": f"shipit-{_short(facts.env)}",
        "region": facts.region,
        "database": facts.database,
        "reports": f"{_quoted(facts.database)}.{_quoted(facts.reports)}",
        "history": f"{_quoted(facts.database)}.{_quoted(facts.history)}",
        "at-reports": _pattern_of(facts.reports_at),
        "at-history": _pattern_of(facts.history_at),
        "workgroup": facts.workgroup,
        "output": facts.output,
        "home": facts.home.rstrip("/"),
        "quiet": int(stale_after(facts.heartbeat)),
        "step": next((s for s in _STEPS if s * 60 >= 2 * facts.heartbeat), _STEPS[-1]),
        "oldest": facts.oldest,
        "depth": facts.depth,
        "queues": queues,
        "first": queues[0] if queues else "",
        "asgs": sorted({asg for work in facts.works for asg in work.asgs}),
        "dead-letters": sorted({work.dead_letter for work in facts.works if work.dead_letter}),
    }


def _groups(groups: Sequence[Any], facts: Facts, names: Names) -> Iterator[Any]:
    """Yield the groups of rules; the one that speaks of a queue once for each."""
    for group in groups:
        if "@queue" not in group["name"]:
            yield _filled(group, names)
            continue
        for work in sorted(facts.works, key=lambda work: work.queue):
            rule = f"shipit-{_short(f'{facts.env}/{work.queue}')}"
            asgs = ", ".join(work.asgs).replace("$", "$$")
            yield _filled(group, {**names, "queue": work.queue, "asg": asgs, "rule": rule})


def _filled(value: Any, names: Names) -> Any:
    """Return the value with all names filled in; a text that is nothing but a number's name becomes the number."""
    if isinstance(value, dict):
        return {key: _targets(v, names) if key == "targets" else _filled(v, names) for key, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, names) for v in value]
    if not isinstance(value, str):
        return value
    whole = _whole(value, names)
    return whole if isinstance(whole, int) else _pattern(names).sub(lambda found: _text(names[found[1]]), value)


def _targets(targets: Sequence[Any], names: Names) -> list[Any]:
    """Return a panel's queries; one that asks for a whole list becomes as many as the length of a search demands."""
    made = []
    for target in targets:
        lists = {
            dimension: values
            for dimension, value in target.get("dimensions", {}).items()
            if isinstance(values := _whole(value, names), list)
        }
        if not lists:
            made.append(_filled(target, names))
            continue
        [(dimension, values)] = lists.items()
        chunks = list(_chunks(values))
        for number, chunk in enumerate(chunks, start=1):
            ref = target["refId"] if len(chunks) == 1 else f"{target['refId']}{number}"
            made.append({**_filled(target, names), "refId": ref, "dimensions": {dimension: chunk}})
    return made


def _whole(text: str, names: Names) -> str | int | list[str] | None:
    """Return what a text that is nothing but a name stands for; None for any other text."""
    return names.get(text[1:]) if text.startswith("@") else None


def _chunks(values: Iterable[str]) -> Iterator[list[str]]:
    """Yield the values in lists that a search takes: each costs its two quotes and an OR."""
    chunk: list[str] = []
    for value in values:
        if chunk and sum(len(v) + 6 for v in (*chunk, value)) > _SEARCH:
            yield chunk
            chunk = []
        chunk.append(value)
    if chunk:
        yield chunk


def _pattern(names: Names) -> re.Pattern[str]:
    # The longest first: `@queues` is not `@queue` with an s.
    return re.compile(f"@({'|'.join(sorted(names, key=len, reverse=True))})")


def _text(value: str | int | list[str]) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def _pattern_of(url: str) -> str:
    """Return the regular expression of exactly this URL: of what URLs of reports hold, only the dot means more."""
    return url.replace(".", "[.]")


def _quoted(identifier: str) -> str:
    escaped = identifier.replace('"', '""')
    return f'"{escaped}"'


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _yaml(env: str, value: Any) -> str:
    return _HEAD.format(env=env) + yaml.safe_dump(value, sort_keys=False, width=110, allow_unicode=True)


def _read(name: str) -> str:
    return (files("shipit.dashboards") / name).read_text(encoding="utf-8")
