"""Bundles in memory for the rules of the linter: names, texts, and which files may be executed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import dedent

from shipit.events import Linted
from shipit.lint import examine
from shipit.models import QueueFacts


@dataclass(frozen=True)
class File:
    text: str | bytes = ""
    executable: bool = False
    link: str = ""

    def read(self, limit: int) -> bytes:
        raw = self.text.encode() if isinstance(self.text, str) else self.text
        return raw[:limit]


def bundle(files: Mapping[str, str | File]) -> dict[str, File]:
    """Make files of texts; those in bin/ and scripts/ may be executed."""
    return {
        name: text
        if isinstance(text, File)
        else File(dedent(text).lstrip("\n"), executable=name.startswith(("bin/", "scripts/")))
        for name, text in files.items()
    }


def look(files: Mapping[str, str | File], *, queues: Sequence[QueueFacts] = (), **more: object) -> Linted:
    """Lint files; an appspec.yml is only looked at where there is one."""
    return examine(bundle(files), application="worker", asked=queues, **more)  # type: ignore[arg-type]  # by name


def found(files: Mapping[str, str | File], **more: object) -> list[tuple[str, str, int]]:
    """Return rule, file and line of each finding."""
    linted = look(files, **more)  # type: ignore[arg-type]  # passed on by name
    return [(f.rule, f.file, f.line) for f in linted.findings]


def rules(files: Mapping[str, str | File], **more: object) -> set[str]:
    return {rule for rule, _, _ in found(files, **more)}
