"""Format values for people: durations, bytes, counts, tables. Pure, and safe to print whatever came in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from shipit import wording

#: Controls, bidirectional overrides, zero-width and separator characters, and halves of surrogate pairs.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
#: They only choose how the character before them looks, and terminals disagree on the width that results.
_SELECTORS = re.compile("[\ufe00-\ufe0f]")
_NARROWEST = 4


class Line(NamedTuple):
    """One line to print: `tone` is `good`, `bad`, `warn`, `dim`, `head` or nothing; only a terminal shows it."""

    text: str
    tone: str = ""


def clean(text: str) -> str:
    """Return the text on one line with everything escaped that could move a cursor or hide other text."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_escape, _SELECTORS.sub("", text.replace("\t", "    ")))


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def width(text: str) -> int:
    """Return the columns that a clean text takes on a terminal: wide characters count two, combining ones none."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def clip(text: str, limit: int, mark: str = "…") -> str:
    """Return the text cut to `limit` columns, `mark` at the cut."""
    if width(text) <= limit:
        return text
    room = limit - width(mark)
    if room < 0:
        return ""
    kept = 0
    for at, char in enumerate(text):
        kept += _columns(char)
        if kept > room:
            return text[:at] + mark
    return text


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Return the text filled with spaces to `columns`, aligned left unless `right`."""
    space = " " * (columns - width(text))
    return space + text if right else text + space


def wrap(text: str, limit: int | None, indent: str = "") -> list[str]:
    """Return lines of at most `limit` columns, the second and later ones behind `indent`; no limit, one line.

    Words are broken only when one alone is wider than a line.
    """
    if limit is None or width(text) <= limit:
        return [text]
    indent = indent if len(indent) <= limit // 2 else ""
    body = text.lstrip(" ")
    lead = text[: len(text) - len(body)]
    lines, current = [], lead if len(lead) <= limit // 2 else ""
    for word in body.split(" "):
        joined = f"{current} {word}" if current.strip() else current + word
        if width(joined) <= limit:
            current = joined
            continue
        if current.strip():
            lines.append(current)
            current = indent
        current += word
        while width(current) > limit:
            cut = next((n for n in range(len(current), 1, -1) if width(current[:n]) <= limit), 1)
            lines.append(current[:cut])
            current = indent + current[cut:]
            if limit < 2:
                break
    return [*lines, current] if current.strip() else lines


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Collection[int] = (),
    limit: int | None = None,
    mark: str = "…",
) -> list[str]:
    """Return aligned lines, the head first; columns in `right` are aligned right.

    Where the lines would be wider than `limit`, the widest column gives way until they fit.
    """
    cells = [[clean(c) for c in row] for row in (head, *rows)]
    columns = [max(width(row[n]) for row in cells) for n in range(len(head))]
    while limit is not None and sum(columns) + 2 * (len(columns) - 1) > limit and max(columns) > _NARROWEST:
        excess = sum(columns) + 2 * (len(columns) - 1) - limit
        widest, second = max(columns), max((c for c in columns if c < max(columns)), default=_NARROWEST)
        share = -(-excess // columns.count(widest))
        columns = [max(second, _NARROWEST, c - share) if c == widest else c for c in columns]
    lines = []
    for row in cells:
        line = "  ".join(
            pad(clip(c, w, mark), w, right=n in right) for n, (c, w) in enumerate(zip(row, columns, strict=True))
        )
        lines.append((line if limit is None else clip(line, limit, mark)).rstrip())
    return lines


def folded(head: Sequence[str], rows: Iterable[Sequence[str]], limit: int) -> list[list[str]]:
    """Return for the head and for each row its lines: columns that do not fit beside the others go below them.

    Every row breaks before the same columns, so that those of a line stay aligned; later lines are indented.
    A cell that is wider than a line is wrapped.
    """
    cells = [[clean(c) for c in row] for row in (head, *rows)]
    columns = [max(width(row[n]) for row in cells) for n in range(len(head))]
    breaks: list[list[int]] = []
    used = limit + 1
    for n, wide in enumerate(columns):
        used += 2 + wide
        if used > limit:
            breaks.append([])
            used = wide + (2 if n else 0)
        breaks[-1].append(n)
    found = []
    for row in cells:
        lines: list[str] = []
        for number, group in enumerate(breaks):
            text = "  ".join(pad(row[n], columns[n]) for n in group).rstrip()
            lines += wrap(f"  {text}" if number else text, limit, "    ") if text else []
        found.append(lines)
    return found


def size(count: int) -> str:
    """Return bytes in decimal units: `512 B`, `2.3 MB`."""
    if count < 1000:
        return f"{count} B"
    amount = float(count)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if round(amount, 1) < 1000:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} TB"


def dollars(amount: float) -> str:
    """Return dollars: cents, or as many digits as a query's price needs (`$0.00005`)."""
    return f"${amount:,.2f}" if amount >= 0.01 or amount == 0 else f"${amount:.5f}"


def listing(names: Sequence[str], most: int = 5) -> str:
    """Return names as `shipit.wording.listing` does, control characters escaped."""
    return wording.listing([clean(n) for n in names], most)
