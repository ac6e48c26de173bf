"""Show as findings what the reading of appspec.yml and its scripts finds: shipit.appspec has the rules."""

from __future__ import annotations

from collections.abc import Iterator

from shipit.appspec import check_bundle, read_appspec
from shipit.lint.rules import Rule
from shipit.lint.sources import LONGEST, Sources
from shipit.models import Finding

APPSPEC = Rule(
    id="appspec",
    finds="what CodeDeploy's agent refuses in appspec.yml, and an ApplicationStop",
    why="the agent refuses it on every instance, after the old build was stopped; a broken ApplicationStop blocks "
    "every later deployment, for it runs from the build that is installed",
    fix="as the finding says; docs/build.md",
)
SCRIPT = Rule(
    id="hook-script",
    finds="hook scripts that cannot run, or leave a background child with their stdout open",
    why="the agent reads a hook's output to its end: a child that keeps it open holds the event until its timeout, "
    "up to an hour, and then it fails; a script that cannot run fails on every instance",
    fix="as the finding says",
)
RULES = (APPSPEC, SCRIPT)
#: Where a bundle has it.
NAME = "appspec.yml"


def check_hooks(sources: Sources) -> Iterator[Finding]:
    """Yield what is wrong with appspec.yml and the scripts that it names."""
    file = sources.files.get(NAME)
    if file is None:
        return
    try:
        appspec, findings = read_appspec(file.read(LONGEST), name=NAME)
        findings += tuple(check_bundle(appspec, sources.files, name=NAME))
    except OSError:
        return  # it, or a script, is gone or no file: the build says which
    for one in findings:
        rule = APPSPEC if one.file == NAME else SCRIPT
        yield Finding(
            rule=rule.id,
            severity=one.severity,
            file=one.file,
            line=one.line,
            what=one.reason,
            why=rule.why,
            fix=one.fix,
        )
