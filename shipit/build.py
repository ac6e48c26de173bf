"""Build the bundle of HEAD: git's facts and files, the project's commands and their outputs, packed.

Git and the project's commands run through an Invoke Context.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import CommandTimedOut, UnexpectedExit

from shipit.appspec import Severity, check_bundle, read_appspec
from shipit.bundle import Entry, Globs, pack
from shipit.errors import PreflightError, ShipitError, UsageError
from shipit.events import BuildFinished, BuildStep, Listener, Notice
from shipit.models import Build
from shipit.settings import Settings
from shipit.version import GitFacts, version_of

_LINK, _FILE, _EXECUTABLE = "120000", "100644", "100755"


@dataclass(frozen=True, kw_only=True)
class BuiltBundle:
    """Point at a bundle on disk."""

    build: Build
    path: Path


def build(context: Context, settings: Settings, listen: Listener) -> BuiltBundle:
    """Build HEAD into `.shipit/builds/<version>/` and return the bundle.

    Raises PreflightError for what must not ship (uncommitted changes in a protected environment, a secret, a
    symlink that leaves the tree), UsageError for a broken appspec, ShipitError where a command fails.
    """
    begun = time.monotonic()
    facts = git_facts(context, settings)
    if facts.dirty_digest and settings.protected:
        raise PreflightError(
            f"{settings.env} is protected, and there are uncommitted changes", hint="commit them, or git stash"
        )
    version = version_of(facts)
    for command in settings.build.commands:
        listen(BuildStep(stage="command", detail=command))
        _run_command(context, settings.root / settings.build.path, command)
    listen(BuildStep(stage="collect"))
    entries = {entry.name: entry for entry in _entries(context, settings)}
    _lint(entries, settings, listen)
    listen(BuildStep(stage="pack", detail=f"{len(entries)} files"))
    packed = pack(
        list(entries.values()),
        settings.root / ".shipit" / "builds" / version / f"{settings.application}-{version}.tgz",
        version=version,
        sha=facts.sha,
        committed_at=datetime.fromtimestamp(facts.committed_at, UTC),
        level=settings.build.level,
        allow_secrets=settings.build.allow_secrets,
    )
    listen(
        BuildFinished(build=packed.build, path=str(packed.path), files=packed.files, seconds=time.monotonic() - begun)
    )
    return BuiltBundle(build=packed.build, path=packed.path)


def git_facts(context: Context, settings: Settings) -> GitFacts:
    """Return what git says of HEAD; raises UsageError where there is no commit."""
    root = settings.root
    head = _git(context, root, "log -1 --format=%H:%ct", allow=True)
    if not head:
        raise UsageError(
            f"{root} is not a git repository with a commit", hint="a build's version comes from git: commit"
        )
    sha, _, committed = head.strip().partition(":")
    # Annotated tags only; of several the highest, as git sorts versions.
    tags = _git(
        context,
        root,
        "for-each-ref --points-at=HEAD --sort=-version:refname --format='%(objecttype) %(refname:short)' refs/tags",
    )
    annotated = [line.split(" ", 1)[1] for line in tags.splitlines() if line.startswith("tag ")]
    changes = _git(context, root, "diff HEAD --no-ext-diff --no-color --binary")
    return GitFacts(
        sha=sha,
        committed_at=int(committed),
        tag=annotated[0] if annotated else "",
        dirty_digest=hashlib.sha256(changes.encode("utf-8", "surrogateescape")).hexdigest() if changes else "",
    )


def _entries(context: Context, settings: Settings) -> Iterator[Entry]:
    """Yield what git tracks below the build's path, the declared outputs, and the bundle's own parts.

    The standard appspec and scripts come first: a project's file of the same name takes their place.
    """
    wanted, unwanted = Globs(settings.build.include), Globs(settings.build.exclude)
    tracked = dict(_tracked(context, settings.root))
    scripts = settings.build.scripts.strip("/")
    for name, entry in tracked.items():
        if name == settings.build.appspec:
            yield _named(entry, "appspec.yml")
        elif name.startswith(f"{scripts}/"):
            yield _named(entry, f"scripts/{name.removeprefix(f'{scripts}/')}")
    base = "" if settings.build.path in ("", ".") else f"{settings.build.path.strip('/')}/"
    for name, entry in tracked.items():
        inner = name.removeprefix(base)
        if name.startswith(base) and wanted.match(inner) and not unwanted.match(inner):
            yield _named(entry, inner)
    yield from _outputs(settings)


def _tracked(context: Context, root: Path) -> Iterator[tuple[str, Entry]]:
    for record in _git(context, root, "ls-files -s -z --full-name").split("\0"):
        if not record:
            continue
        facts, _, name = record.partition("\t")
        mode = facts.split(" ", 1)[0]
        path = root / name
        if mode == _LINK:
            yield name, Entry(name=name, source=path, link=os.readlink(path))
        elif mode in (_FILE, _EXECUTABLE):
            # A file that was deleted and not committed is gone from a dirty build as well.
            if path.exists():
                yield name, Entry(name=name, source=path, executable=mode == _EXECUTABLE)
        else:
            raise PreflightError(
                f"{name} is a submodule: its files are not part of this commit",
                hint="vendor it, or add it to build.exclude",
            )


def _outputs(settings: Settings) -> Iterator[Entry]:
    """Yield the files that the build commands made and the settings name; a name that made none is an error."""
    base = settings.root / settings.build.path
    for pattern in settings.build.outputs:
        found = [path for path in sorted(base.glob(pattern)) if path.is_symlink() or path.is_file()]
        if not found:
            raise PreflightError(f"build.outputs: {pattern!r} matches no file", hint="check the build commands")
        for path in found:
            name = path.relative_to(base).as_posix()
            if path.is_symlink():
                yield Entry(name=name, source=path, link=os.readlink(path))
            else:
                yield Entry(name=name, source=path, executable=bool(path.stat().st_mode & 0o100))


def _named(entry: Entry, name: str) -> Entry:
    return Entry(name=name, source=entry.source, executable=entry.executable, link=entry.link)


def _lint(entries: dict[str, Entry], settings: Settings, listen: Listener) -> None:
    """Refuse what CodeDeploy would refuse on every instance; tell what is only unwise."""
    if "appspec.yml" not in entries:
        raise UsageError(
            f"{settings.build.appspec} is not among the tracked files",
            hint="write one and commit it, or set build.appspec",
        )
    name = settings.build.appspec
    appspec, findings = read_appspec(entries["appspec.yml"].source.read_bytes(), name=name)
    findings = (*findings, *check_bundle(appspec, entries, name=name))
    errors = [f for f in findings if f.severity is Severity.ERROR]
    if errors:
        more = f"; and {len(errors) - 1} more" if len(errors) > 1 else ""
        raise UsageError(f"{errors[0]}{more}", hint=errors[0].fix)
    for finding in findings:
        listen(Notice(text=str(finding), warning=True))


def _run_command(context: Context, folder: Path, command: str) -> None:
    with context.cd(str(folder)):
        try:
            context.run(command, hide="stdout", in_stream=False)
        except (UnexpectedExit, CommandTimedOut) as error:
            last = (error.result.stderr or error.result.stdout).strip().splitlines()[-1:]
            raise ShipitError(
                f"build command failed with exit {error.result.exited}: {command}",
                hint=last[0] if last else "it said nothing",
            ) from None


def _git(context: Context, root: Path, words: str, *, allow: bool = False) -> str:
    """Run git in the project and return what it printed; with `allow`, nothing where it fails."""
    with context.cd(str(root)):
        result = context.run(f"git {words}", hide=True, warn=True, in_stream=False, encoding="utf-8")
    assert result is not None
    if result.ok:
        return result.stdout
    if allow:
        return ""
    raise ShipitError(f"git {words.split()[0]} failed: {result.stderr.strip()}", hint="is this a git repository?")
