"""Look at what an appspec points at in the bundle: sources, hook scripts, and how these behave.

Shell is read line by line, not parsed: a warning here may be wrong, so none of them stops a build.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Protocol

from shipit.appspec.model import AppSpec, FileMapping, Finding, Hook
from shipit.models import Severity

_LONGEST_SCRIPT = 1 << 20
_MOST_LINKS = 40
#: A release that is made beside the running one and switched to at the end.
_SWITCH = re.compile(rb"\bln\s+(-\S+\s+)*-\w*s|\bmv\s+(-\S+\s+)*-\w*T|\brenameat|os\.(replace|rename|symlink)\b")


class BundledFile(Protocol):
    """One entry of the bundle, as the look at its hooks needs it."""

    @property
    def executable(self) -> bool:
        """Tell whether its owner may execute it."""

    @property
    def link(self) -> str:
        """Return a symlink's target, empty for a file."""

    def read(self, limit: int) -> bytes:
        """Return the first `limit` bytes of a file."""


def check_bundle(appspec: AppSpec, bundle: Mapping[str, BundledFile], *, name: str = "appspec.yml") -> list[Finding]:
    """Return what is wrong with the sources and scripts that the appspec names, given the bundle by path."""
    findings: list[Finding] = []
    switches = False
    for mapping in appspec.files:
        findings += _check_source(mapping, bundle, name)
    for hooks in appspec.hooks.values():
        for hook in hooks:
            path = _resolve(hook.location, bundle)
            if path is None:
                findings.append(_missing(hook, bundle, name))
                continue
            text = bundle[path].read(_LONGEST_SCRIPT)
            switches = switches or bool(_SWITCH.search(text))
            findings += _check_script(path, text)
    if not switches:
        findings += [_live(mapping, name) for mapping in appspec.files]
    return list(dict.fromkeys(findings))  # one script may serve several events


def _check_source(mapping: FileMapping, bundle: Mapping[str, BundledFile], name: str) -> Iterator[Finding]:
    source = mapping.source
    if source and source not in bundle and not any(path.startswith(f"{source}/") for path in bundle):
        near = difflib.get_close_matches(source, {path.split("/")[0] for path in bundle}, n=1)
        yield Finding(
            file=name,
            line=mapping.line,
            reason=f"the source {source!r} is not in the bundle",
            fix=f"did you mean {near[0]!r}?" if near else "commit it, or add it to build.outputs",
        )


def _live(mapping: FileMapping, name: str) -> Finding:
    return Finding(
        file=name,
        line=mapping.line,
        reason=f"Install empties {mapping.destination} before it copies, under whatever runs from there",
        fix="install into a folder of its own, and switch a symlink in AfterInstall",
        severity=Severity.WARNING,
    )


def _resolve(path: str, bundle: Mapping[str, BundledFile]) -> str | None:
    """Return the path of the file that `path` is or links to, None where there is none."""
    for _ in range(_MOST_LINKS):
        if path not in bundle:
            return None
        if not bundle[path].link:
            return path
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), bundle[path].link))
    return None


def _missing(hook: Hook, bundle: Mapping[str, BundledFile], name: str) -> Finding:
    first = hook.location.split()[0]
    if first != hook.location and first in bundle:
        reason, fix = (
            f"the location {hook.location!r} has arguments, which the agent takes for the name",
            (f"write {first!r}, and let the script read LIFECYCLE_EVENT"),
        )
    else:
        near = difflib.get_close_matches(hook.location, bundle, n=1)
        reason = f"the script {hook.location!r} is not in the bundle"
        fix = f"did you mean {near[0]!r}?" if near else "commit it below build.scripts"
    return Finding(file=name, line=hook.line, column=hook.column, reason=reason, fix=fix)


def _check_script(path: str, text: bytes) -> Iterator[Finding]:
    first, _, _ = text.partition(b"\n")
    if text.startswith(b"\x7fELF"):
        return
    if not first.startswith(b"#!"):
        yield Finding(file=path, line=1, reason="has no #! line", fix="begin it with #!/bin/sh or the like")
    if b"\r\n" in text:
        line = text[: text.index(b"\r\n")].count(b"\n") + 1
        yield Finding(
            file=path,
            line=line,
            reason="lines end in CRLF, so the kernel looks for an interpreter named with it",
            fix="save it with LF, and add `*.sh text eol=lf` to .gitattributes",
        )
    elif re.match(rb"#!.*sh\b", first):
        yield from _check_background(path, text.decode("utf-8", errors="replace"))


def _check_background(path: str, text: str) -> Iterator[Finding]:
    """Warn of a child that would keep the agent waiting: it holds the stdout that the agent reads to its end."""
    if re.search(r"^\s*(exec\s[^|;]*>|wait\b)", text, re.MULTILINE):
        return
    for number, line in _logical_lines(text):
        command = _background(line)
        if command and not _is_silent(command):
            yield Finding(
                file=path,
                line=number,
                reason="a background child keeps stdout open: the event lasts until its timeout, then fails",
                fix="add `>/dev/null 2>&1 </dev/null` before the &, or start it through systemd",
                severity=Severity.WARNING,
            )


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines with their continuations, and the number of the last."""
    begun = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.endswith("\\"):
            begun += line[:-1]
        else:
            yield number, begun + line
            begun = ""


def _is_silent(command: str) -> bool:
    out = re.search(r"(^|[^0-9&<])1?>|&>", command)
    err = re.search(r"2>|&>|>&(?!\d)", command)
    return bool(out and err)


def _background(line: str) -> str:
    """Return the command of the line that a single & sends to the background, empty where there is none."""
    quote, start = "", 0
    for at, char in enumerate(line):
        if quote:
            quote = "" if char == quote and line[at - 1] != "\\" else quote
        elif char in "'\"" and line[at - 1 : at] != "\\":
            quote = char
        elif char == "#" and (at == 0 or line[at - 1].isspace()):
            return ""
        elif char in ";|" or line.startswith("&&", at):
            start = at + 1
        elif char == "&" and line[at - 1 : at] not in ("&", ">", "<", "|", "\\") and line[at + 1 : at + 2] != ">":
            return line[start:at].strip("& ")
    return ""
