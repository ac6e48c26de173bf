#!/usr/bin/env python3
"""Compare what was installed with what was built: check_bundle.py FOLDER, by the digest in its build.json.

The digest is that of a listing, one line of mode, sha256 and name for each file in the order of the names' bytes;
shipit.bundle makes the same when it packs. It covers all but build.json itself. Standard library alone, Python 3.9.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from pathlib import Path

BUILD_JSON = "build.json"


def listing(folder: bytes) -> tuple[int, str]:
    """Return how many files and links lie below a folder, and the digest of their listing."""
    found = [os.path.join(top, name) for top, folders, files in os.walk(folder) for name in (*folders, *files)]
    names = sorted(os.path.relpath(path, folder) for path in found if os.path.islink(path) or os.path.isfile(path))
    digest, count = hashlib.sha256(), 0
    for name in names:
        if name != BUILD_JSON.encode():
            digest.update(b"%s %s\n" % (_content(os.path.join(folder, name)), name))
            count += 1
    return count, digest.hexdigest()


def _content(path: bytes) -> bytes:
    """Return mode and sha256 of a file; of a mode, git keeps only whether its owner may execute."""
    facts = os.lstat(path)
    if stat.S_ISLNK(facts.st_mode):
        return b"120000 " + hashlib.sha256(os.readlink(path)).hexdigest().encode()
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    mode = b"100755 " if facts.st_mode & stat.S_IXUSR else b"100644 "
    return mode + digest.hexdigest().encode()


def main(folder: str) -> None:
    """Say nothing where the folder holds what was built, else leave with one line that says what differs."""
    about = json.loads((Path(folder) / BUILD_JSON).read_text(encoding="utf-8"))
    count, digest = listing(os.fsencode(folder))
    if (count, digest) != (about["files"], about["digest"]):
        sys.exit(
            f"check_bundle.py: {folder} holds {count} files with the digest {digest[:12]}, build {about['version']}"
            f" was packed from {about['files']} with {about['digest'][:12]}: something was changed on the way"
        )


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, KeyError, ValueError, TypeError) as error:
        sys.exit(f"check_bundle.py: {type(error).__name__}: {error}")
