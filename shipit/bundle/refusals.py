"""What must never be in a bundle: names that do not travel, links that lead out of it, secrets."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping

from shipit.bundle.entry import Entry
from shipit.bundle.globs import Globs
from shipit.errors import PreflightError
from shipit.wording import listing

_MOST_LINKS = 40
_SHOWN = 5
_SEARCHED = 1 << 16
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_OUTSIDE = re.compile(r"(^|/)\.{0,2}(/|$)")

_SECRET_NAME = re.compile(
    r"""(^|/)(
        \.env(\.(?!example$|sample$|template$|dist$)[^/]+)?   # samples are meant to be shared
      | id_(rsa|dsa|ecdsa|ed25519)(_sk)?
      | \.aws/credentials | \.docker/config\.json | \.kube/config
      | \.netrc | \.pgpass | \.pypirc | \.htpasswd | \.git-credentials
      | [^/]+\.(p12|pfx|jks|keystore|ppk|kdbx)
    )$""",
    re.VERBOSE | re.IGNORECASE,
)
#: Looked for first, for this is quick: most files end here.
_HINTS = (b"PRIVATE KEY", b"aws_secret_access_key")
#: A key as files hold it, not a mention of one in a program: the marker alone on its line, and base64 below it.
_SECRET_TEXT = re.compile(
    rb"^[ \t]*-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----[ \t]*\r?\n"
    rb"(?:[\w-]+: ?.*\r?\n)*\s*[A-Za-z0-9+/=]{16,}"
    rb"|^[ \t]*aws_secret_access_key[ \t]*=[ \t]*[\"']?[A-Za-z0-9/+]{40}\b",
    re.MULTILINE,
)
_ALLOW = "remove it from git, add it to build.exclude, or to build.allow-secrets if it is none"


def check_names(entries: Iterable[Entry]) -> None:
    """Raise PreflightError for an entry whose name, or the lack of one, would not survive tar, S3 and a shell."""
    names: set[str] = set()
    for entry in entries:
        if reason := _oddity(entry.name):
            raise PreflightError(f"{entry.name!r} {reason}", hint="rename it, or add it to build.exclude")
        if entry.name in names:
            raise PreflightError(f"{entry.name} would be in the bundle twice")
        names.add(entry.name)
    if not names:
        raise PreflightError("the bundle would be empty", hint="check build.path, build.include and build.exclude")
    for folder in sorted(_folders(names)):
        if folder in names:
            raise PreflightError(f"{folder} would be both a file and a folder in the bundle", hint="rename one")


def check_links(entries: Iterable[Entry]) -> None:
    """Raise PreflightError for a symlink that is absolute or leads out of the bundle, also through other links."""
    links = {entry.name: entry.link for entry in entries if entry.link}
    for name, target in links.items():
        if target.startswith("/"):
            reason = "is absolute"
        elif _escapes(name, links):
            reason = "leads out of the bundle, or round in a circle"
        else:
            continue
        raise PreflightError(
            f"{name}: the symlink to {target} {reason}", hint="make it relative and local, or add it to build.exclude"
        )


def check_secret_names(entries: Iterable[Entry], allowed: Globs) -> None:
    """Raise PreflightError naming the entries that look like secrets by their names, but for the allowed ones."""
    found = [e.name for e in entries if _SECRET_NAME.search(e.name) and not allowed.match(e.name)]
    if found:
        raise PreflightError(f"looks like a secret: {listing(found, _SHOWN)}", hint=_ALLOW)


def check_secret_text(name: str, beginning: bytes, allowed: Globs) -> None:
    """Raise PreflightError where the first 64 KB of a file hold a private key or an AWS secret."""
    if any(beginning.find(hint, 0, _SEARCHED) >= 0 for hint in _HINTS) and not allowed.match(name):
        found = _SECRET_TEXT.search(beginning)
        if found:
            line = beginning[: found.start()].count(b"\n") + 1
            raise PreflightError(f"{name}:{line}: holds a private key or an AWS secret", hint=_ALLOW)


def _folders(names: Iterable[str]) -> set[str]:
    folders: set[str] = set()
    for name in names:
        while (name := posixpath.dirname(name)) and name not in folders:
            folders.add(name)
    return folders


def _oddity(name: str) -> str:
    if not name.isascii():
        try:
            name.encode()
        except UnicodeEncodeError:
            return "is not UTF-8"
    if "\ufffd" in name:  # what a decoder puts where there was no UTF-8
        return "is not UTF-8"
    if _CONTROL.search(name):
        return "has a control character in its name"
    if _OUTSIDE.search(name):
        return "is not a path inside the bundle"
    return ""


def _escapes(name: str, links: Mapping[str, str]) -> bool:
    """Walk as the kernel will, link by link: `a/../b` is not `b` where `a` is a link."""
    todo = name.split("/")[::-1]
    here: list[str] = []
    followed = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not here:
                return True
            here.pop()
            continue
        target = links.get("/".join([*here, part]))
        if target is None:
            here.append(part)
            continue
        followed += 1
        if target.startswith("/") or followed > _MOST_LINKS:
            return True
        todo += target.split("/")[::-1]
    return False
