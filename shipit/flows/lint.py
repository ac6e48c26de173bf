"""Look at the project's own files, and at its queues if asked: what would lose, double or strand tasks."""

from __future__ import annotations

from shipit.build import survey
from shipit.errors import PreflightError, ShipitError
from shipit.events import Linted
from shipit.lint import check_names, examine
from shipit.models import QueueFacts, Severity
from shipit.wiring import Tool
from shipit.wording import plural


def lint(tool: Tool, *, live: bool, notes: bool, strict: bool) -> None:
    """Show what is wrong with the files that a bundle of the working tree would hold, and with the fleet's queues.

    Raises ShipitError (exit 1) for errors, and for warnings where `strict`; UsageError for an unknown rule in
    `lint.ignore`; with `live` PreflightError where no group bears the tags, and AwsError.
    """
    settings = tool.settings
    check_names(settings.lint.ignore)
    collected = survey(tool.context, settings)
    found = examine(
        {e.name: e for e in collected.entries},
        application=settings.application,
        ignore=settings.lint.ignore,
        asked=_queues(tool) if live else (),
        shown=collected.places(settings.root),
        notes=notes,
    )
    tool.display(found)
    _judge(found, strict)


def _queues(tool: Tool) -> tuple[QueueFacts, ...]:
    tag, tags = tool.settings.queue_tag, tool.settings.tags
    names = {record.tags[tag] for record in tool.autoscaling.groups(tag, tags)}
    if not names:
        raise PreflightError(
            f"no Auto Scaling group bears the tag {tag!r}, so no queue is known",
            hint="check `queue-tag`, `tags` and `region` in shipit.toml",
        )
    return tool.queues.facts(names)


def _judge(found: Linted, strict: bool) -> None:
    errors = sum(f.severity is Severity.ERROR for f in found.findings)
    warnings = sum(f.severity is Severity.WARNING for f in found.findings)
    if errors or (strict and warnings):
        both = [plural(n, name) for n, name in ((errors, "error"), (warnings, "warning")) if n]
        raise ShipitError(
            f"lint found {' and '.join(both)}",
            hint="a comment `# shipit: ignore[rule]` on or above a line, or lint.ignore in shipit.toml, lets one be",
        )
