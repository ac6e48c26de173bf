"""Look at a bundle's files, and at its queues if they are given: all rules, less what the project chose to ignore."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from shipit.appspec import BundledFile
from shipit.errors import UsageError
from shipit.events import Linted
from shipit.lint import celery, hooks, queues, requirements, units
from shipit.lint.rules import Rule
from shipit.lint.sources import Sources
from shipit.models import Finding, QueueFacts, Severity

UNKNOWN_RULE = Rule(
    id="unknown-rule",
    finds="a `shipit: ignore[…]` that names no rule",
    why="it ignores nothing",
    fix="correct the name, or remove the comment",
)
RULES: tuple[Rule, ...] = (
    *celery.RULES,
    *requirements.RULES,
    *units.RULES,
    *hooks.RULES,
    *queues.RULES,
    UNKNOWN_RULE,
)
_NAMES = {rule.id for rule in RULES}
_IGNORED = re.compile(r"[#;]\s*shipit:\s*ignore\[([^\]]*)\]")
_ALONE = re.compile(r"\s*[#;]")
_ORDER = list(Severity)


def examine(
    files: Mapping[str, BundledFile],
    *,
    application: str,
    ignore: Iterable[str] = (),
    asked: Sequence[QueueFacts] = (),
    shown: Mapping[str, str] | None = None,
    notes: bool = False,
    appspec: bool = True,
    most: int | None = None,
) -> Linted:
    """Return what is wrong with the files of a bundle, by name, and with the queues `asked`.

    `ignore` names rules that do not count, `shown` what findings call a file; `notes` adds what could not be known;
    without `appspec` its rules are left out; of more than `most` Python files the likeliest are read. Reads files,
    runs nothing of them. `check_names` says beforehand whether `ignore` is right.
    """
    sources = Sources(files)
    found = celery.read_celery(sources, most=most)
    every = [
        *celery.check_celery(found, sources, notes=notes),
        *requirements.check_requirements(sources),
        *units.check_units(sources, application),
        *(hooks.check_hooks(sources) if appspec else ()),
    ]
    looked = sorted({*sources.read, *(f.file for f in every)})
    left, names = set(ignore), shown or {}
    comments = {name: _comments(sources.text(name)) for name in looked}
    kept = [f for f in every if f.rule not in left and f.rule not in comments[f.file].get(f.line, ())]
    live = list(queues.check_queues(asked, found))
    kept += [f for f in live if f.rule not in left]
    ignored = len(every) + len(live) - len(kept)
    kept += [f for name in looked for f in _unknown(name, sources.text(name))]
    findings = [_named(f, names) for f in dict.fromkeys(kept)]
    findings.sort(key=lambda f: (f.file == queues.PLACE, f.file, f.line, _ORDER.index(f.severity), f.rule, f.what))
    return Linted(findings=tuple(findings), files=len(looked), queues=len(asked), ignored=ignored)


def check_names(ignore: Iterable[str]) -> None:
    """Raise UsageError for a rule that does not exist, with the nearest that does."""
    for name in ignore:
        if name not in _NAMES:
            raise UsageError(
                f"lint.ignore: there is no rule {name!r}{_nearest(name)}", hint="docs/lint.md lists them"
            )


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name, sorted(_NAMES), n=1, cutoff=0.4)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _comments(text: str) -> dict[int, set[str]]:
    """Return the rules ignored by line: the line of the comment, or the one below where it stands alone."""
    found: dict[int, set[str]] = {}
    for number, names, alone in _ignores(text):
        found.setdefault(number + 1 if alone else number, set()).update(names)
    return found


def _ignores(text: str) -> Iterator[tuple[int, list[str], bool]]:
    if "shipit:" not in text:
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _IGNORED.search(line):
            names = [name.strip() for name in match[1].split(",")]
            yield number, names, bool(_ALONE.match(line))


def _unknown(file: str, text: str) -> Iterator[Finding]:
    for number, names, _ in _ignores(text):
        for name in names:
            if name not in _NAMES:
                yield UNKNOWN_RULE.at(file, number, f"there is no rule {name!r}{_nearest(name)}")


def _named(finding: Finding, names: Mapping[str, str]) -> Finding:
    name = names.get(finding.file, finding.file)
    return finding if name == finding.file else replace(finding, file=name)
