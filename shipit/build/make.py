"""Make a bundle of the commit at HEAD: name it, run the project's commands, collect, check, pack."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from invoke.context import Context

from shipit.appspec import Finding, check_bundle, read_appspec
from shipit.build.collect import STATE, Collected, collect
from shipit.build.git import Git
from shipit.build.shell import Shell
from shipit.build.standard import APPSPEC
from shipit.build.workspace import LocalWorkspace, Workspace
from shipit.bundle import Entry, pack
from shipit.errors import PreflightError, ShipitError, UsageError
from shipit.events import BuildFinished, BuildStep, Listener, Notice, ignore
from shipit.home import make_home
from shipit.lint import examine
from shipit.models import Build, Severity
from shipit.settings import Settings
from shipit.version import GitFacts, version_of
from shipit.wording import listing

_TAIL_LINES = 20
_SHOWN = 3
_LONGEST_APPSPEC = 1 << 20
#: Python files that a build looks at for Celery's settings: `inv lint` reads them all, and takes the time.
_MOST_MODULES = 300


def read_facts(context: Context, settings: Settings) -> GitFacts:
    """Return what git says of HEAD and of the changes on top of it; raises UsageError where there is no commit."""
    return Git(Shell(context, str(settings.root))).facts()


def name_build(context: Context, settings: Settings) -> Build:
    """Return what a build of HEAD would be called, without its digests; writes nothing."""
    facts = read_facts(context, settings)
    return Build(version=version_of(facts), sha=facts.sha, digest="", committed_at=_moment(facts))


def survey(context: Context, settings: Settings) -> Collected:
    """Return what would go into a bundle of the tracked files as they are on disk; run no build command.

    Outputs of build commands are among it where they are there. Raises UsageError and PreflightError as `build` does.
    """
    git = Git(Shell(context, str(settings.root)))
    return collect(git, LocalWorkspace(root=settings.root), settings.build, dirty=True, unbuilt=True)


def build(
    context: Context, settings: Settings, *, workspace: Workspace | None = None, listen: Listener = ignore
) -> tuple[Build, Path]:
    """Build the commit at HEAD and return the build with the path of its bundle.

    `context` runs git and the build commands in `workspace` (default: the project's folder here); a Fabric
    Connection with a workspace on its machine does the same there. The bundle is always packed on this machine, in
    `.shipit/builds/<version>/`, complete or not at all.

    Raises UsageError for settings, an appspec.yml or hooks that are wrong, PreflightError for a dirty tree where
    the environment is protected and for what must not be in a bundle, ShipitError for a build command that fails.
    """
    begun = time.monotonic()
    place = workspace or LocalWorkspace(root=settings.root)
    shell = Shell(context, place.folder)
    git = Git(shell)
    facts = git.facts()
    version = version_of(facts)
    if facts.dirty_digest and settings.protected:
        raise PreflightError(
            f"{settings.env} is protected, and there are uncommitted changes: {listing(git.changed(), _SHOWN)}",
            hint="commit or stash them",
        )
    _run_commands(shell, settings, facts, listen)
    if git.digest_of_changes() != facts.dirty_digest:
        raise PreflightError(
            f"the build commands changed files that git tracks: {listing(git.changed(), _SHOWN)}",
            hint="let them write elsewhere, and declare that in build.outputs",
        )
    listen(BuildStep(stage="collect"))
    collected = collect(git, place, settings.build, dirty=bool(facts.dirty_digest))
    if collected.left_out:
        listen(Notice(text=f"not in git, so not in the bundle: {listing(collected.left_out, _SHOWN)}", warning=True))
    bundle = {entry.name: entry for entry in collected.entries}
    if collected.pointers:
        text = f"git-lfs has not fetched these, so the bundle holds pointers: {listing(collected.pointers, _SHOWN)}"
        listen(Notice(text=f"{text}; run git lfs pull", warning=True))
    hooks = _check_appspec(bundle, settings.build.appspec, listen)
    # CodeDeploy's agent would set the mode where it unpacked them, and they would no longer be what was built.
    bundle |= {name: replace(bundle[name], executable=True) for name in hooks if not bundle[name].link}
    _lint(bundle, settings, collected.places(settings.root), listen)
    listen(BuildStep(stage="pack", detail=f"{len(bundle)} files"))
    make_home(settings.root / STATE)
    packed = pack(
        tuple(bundle.values()),
        settings.root / STATE / "builds" / version / f"{settings.application}-{version}.tgz",
        version=version,
        sha=facts.sha,
        committed_at=_moment(facts),
        level=settings.build.level,
        allow_secrets=settings.build.allow_secrets,
    )
    seconds = time.monotonic() - begun
    listen(BuildFinished(build=packed.build, path=str(packed.path), files=packed.files, seconds=seconds))
    return packed.build, packed.path


def _run_commands(shell: Shell, settings: Settings, facts: GitFacts, listen: Listener) -> None:
    """Run the project's commands in build.path; what they make should depend on the commit alone."""
    env = {"SHIPIT_BUILD": version_of(facts), "SOURCE_DATE_EPOCH": str(facts.committed_at), "TZ": "UTC"}
    for command in settings.build.commands:
        listen(BuildStep(stage="command", detail=command))
        result = shell.inside(settings.build.path).run(f"umask 022\n{command}", env=env)
        if not result.ok:
            for line in (result.stdout + result.stderr).splitlines()[-_TAIL_LINES:]:
                listen(Notice(text=line, warning=True))
            raise ShipitError(
                f"the build command `{command}` failed with exit code {result.exited}",
                hint=f"it runs in {settings.build.path} of the checkout; its last lines are above",
            )


def _check_appspec(bundle: dict[str, Entry], name: str, listen: Listener) -> set[str]:
    """Show what is wrong with appspec.yml and its scripts, and return the scripts; raises UsageError for an error."""
    appspec, findings = read_appspec(bundle[APPSPEC].read(_LONGEST_APPSPEC), name=name)
    findings += tuple(check_bundle(appspec, bundle, name=name))
    errors: list[Finding] = []
    for finding in findings:
        if finding.severity is Severity.ERROR:
            errors.append(finding)
        else:
            listen(Notice(text=str(finding), warning=True))
    if errors:
        for finding in errors[1:]:
            listen(Notice(text=str(finding), warning=True))
        more = f" (and {len(errors) - 1} more, above)" if errors[1:] else ""
        raise UsageError(f"{errors[0].place}: {errors[0].reason}{more}", hint=errors[0].fix)
    return {hook.location for hooks in appspec.hooks.values() for hook in hooks}


def _lint(bundle: dict[str, Entry], settings: Settings, shown: Mapping[str, str], listen: Listener) -> None:
    """Tell what `inv lint` would, in a line each; nothing of it stops a build."""
    found = examine(
        bundle,
        application=settings.application,
        ignore=settings.lint.ignore,
        shown=shown,
        appspec=False,
        most=_MOST_MODULES,
    )
    for finding in found.findings:
        listen(Notice(text=f"{finding.place}: {finding.what} [{finding.rule}]", warning=True))
    if any(f.severity is Severity.ERROR for f in found.findings):
        listen(Notice(text="inv lint says why, and what to do", warning=True))


def _moment(facts: GitFacts) -> datetime:
    return datetime.fromtimestamp(facts.committed_at, UTC)
