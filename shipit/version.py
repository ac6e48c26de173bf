"""Name a build from git facts: pure, deterministic, sortable by time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from shipit.errors import UsageError

#: What a version may look like: it becomes an S3 key, a directory name and a systemd instance name, escaped in none
#: of them (systemd.unit(5) has no `+`). scripts/before_install.sh has the same rule, and a test holds them equal.
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, kw_only=True)
class GitFacts:
    """Hold what git says of the commit to build.

    `committed_at` is the committer's date in epoch seconds; `tag` an annotated tag at HEAD, if any;
    `dirty_digest` a hex digest of the uncommitted changes, empty for a clean tree.
    """

    sha: str
    committed_at: int
    tag: str = ""
    dirty_digest: str = ""


def version_of(facts: GitFacts) -> str:
    """Return the tag, else `YYYY.MM.DD-HHMMSS-g<sha>` of the commit in UTC; `-dirty-<digest>` where dirty.

    Raises UsageError where the tag cannot be a version, or would be too long with what tells of a dirty tree.
    """
    moment = datetime.fromtimestamp(facts.committed_at, UTC)
    base = facts.tag or f"{moment:%Y.%m.%d-%H%M%S}-g{facts.sha[:9]}"
    version = f"{base}-dirty-{facts.dirty_digest[:8]}" if facts.dirty_digest else base
    if not VERSION.fullmatch(version):
        raise UsageError(
            f"the tag {facts.tag!r} at HEAD cannot name a build",
            hint=f"{version} would be its name: use letters, digits and . _ - (at most 128), or remove the tag",
        )
    return version
