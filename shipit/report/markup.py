"""Make HTML of which every text is escaped: what is not made by `el` is text."""

from __future__ import annotations

import re
from html import escape

_COLOURS = re.compile("\x1b\\[[0-9;]*m")
#: Controls but for tab and newline, what turns or hides text, and halves of surrogate pairs (no file can hold them).
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_VOID = frozenset({"meta", "br"})


class Html(str):
    """Mark text as HTML already: only `el` and `join`, and constants of this package, may make it."""

    __slots__ = ()


def el(name: str, /, *children: str | None, **attributes: str | bool | None) -> Html:
    """Return an element; text among its children and its attributes is escaped, None left out.

    An attribute's underscores become dashes (`class_` is `class`); True stands for its bare name, False for none.
    """
    said = "".join(_attribute(key, value) for key, value in attributes.items() if value not in (None, False))
    if name in _VOID:
        return Html(f"<{name}{said}>")
    return Html(f"<{name}{said}>{join(*children)}</{name}>")


def join(*children: str | None) -> Html:
    """Return the children one after another, text escaped, None left out."""
    return Html("".join(c if isinstance(c, Html) else text(c) for c in children if c is not None))


def text(value: str) -> Html:
    """Return a text escaped; colours of a terminal are dropped, other characters that cannot be seen are named."""
    plain = _COLOURS.sub("", value.replace("\r\n", "\n"))
    return Html(escape(_UNSEEN.sub(_named, plain)))


def _named(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _attribute(name: str, value: str | bool | None) -> str:
    key = name.rstrip("_").replace("_", "-")
    return f" {key}" if value is True else f' {key}="{text(str(value))}"'
