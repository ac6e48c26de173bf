"""Tell which of two builds is newer, and by which evidence. Pure, but for what it asks of the repository."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import Protocol

from shipit.models import Build

_PIECES = re.compile(r"[0-9]+|-|[^0-9-]+")
#: How a piece of a version sorts against another of a different kind; the end of the text stands between.
_DASH, _END, _WORD, _NUMBER = range(4)


class Ancestry(Protocol):
    """What the order needs of a repository."""

    def is_ancestor(self, older: str, newer: str) -> bool | None:
        """Tell whether `newer` descends from `older`, None where the repository does not know one of them."""


class Order(StrEnum):
    """Say how the wanted build stands to the running one."""

    SAME = "same"  # the same build, or another of the same commit: neither is older
    NEWER = "newer"
    OLDER = "older"


class Evidence(StrEnum):
    """Say what shows the order."""

    ANCESTRY = "ancestry"
    DATE = "commit date"
    VERSION = "version"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Hold how the build `wanted` stands to the build `running` (their versions), and by which evidence."""

    wanted: str
    running: str
    order: Order
    by: Evidence
    detail: str

    @property
    def sentence(self) -> str:
        """Say it to people: `v1 is older than v2 by ancestry: its commit is behind the other's`."""
        if self.order is Order.SAME:
            return f"{self.wanted} and {self.running} are of the same age: {self.detail}"
        return f"{self.wanted} is {self.order} than {self.running} by {self.by}: {self.detail}"


def compare(wanted: Build, running: Build, ancestry: Ancestry) -> Comparison:
    """Return how `wanted` stands to `running`.

    Their commits decide, where the repository knows both and one descends from the other. Else, in a shallow clone,
    another repository, or where branches have diverged, the dates of the commits do; of one second, the text of the
    versions, in which numbers count as numbers and `v2-rc1` comes before `v2`.
    """

    def found(order: Order, by: Evidence, detail: str) -> Comparison:
        return Comparison(wanted=wanted.version, running=running.version, order=order, by=by, detail=detail)

    if wanted.version == running.version:
        return found(Order.SAME, Evidence.VERSION, "they are one build")
    if wanted.sha and wanted.sha == running.sha:
        return found(Order.SAME, Evidence.ANCESTRY, "they are of one commit")
    forwards = backwards = None
    if wanted.sha and running.sha:
        forwards = ancestry.is_ancestor(running.sha, wanted.sha)
        backwards = ancestry.is_ancestor(wanted.sha, running.sha)
    if forwards and backwards:
        return found(Order.SAME, Evidence.ANCESTRY, "they are of one commit")
    if forwards:
        return found(Order.NEWER, Evidence.ANCESTRY, "its commit descends from the other's")
    if backwards:
        return found(Order.OLDER, Evidence.ANCESTRY, "the other's commit descends from its own")
    why = "their branches have diverged" if forwards is backwards is False else "git here does not know both commits"
    if wanted.committed_at != running.committed_at:
        order = Order.NEWER if wanted.committed_at > running.committed_at else Order.OLDER
        dates = f"{_utc(wanted)} against {_utc(running)}"
        return found(order, Evidence.DATE, f"{dates} ({why})")
    order = Order.NEWER if version_key(wanted.version) > version_key(running.version) else Order.OLDER
    return found(order, Evidence.VERSION, f"both commits are of {_utc(wanted)} ({why})")


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Return what versions sort by: numbers as numbers, and a part behind a dash before the version without it."""
    pieces = [_piece(text) for text in _PIECES.findall(version)]
    return (*pieces, (_END, 0, ""))


def _piece(text: str) -> tuple[int, int, str]:
    if text == "-":
        return (_DASH, 0, "")
    return (_NUMBER, int(text), text) if text[0] in "0123456789" else (_WORD, 0, text)


def _utc(build: Build) -> str:
    return f"{build.committed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
