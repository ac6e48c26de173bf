"""Ask the instances what they run: one look or many, and who is told of the verdict: files, CloudWatch."""

from __future__ import annotations

from dataclasses import replace

from shipit.display.files import VerdictFiles
from shipit.errors import AwsError, Interrupted, ShipitError, UsageError
from shipit.events import Event, Notice, Verified
from shipit.flows.expected import expected
from shipit.flows.prepare import seconds
from shipit.models import Verification
from shipit.verify import NAMESPACE, metrics, outcome
from shipit.wiring import Tool


def verify_versions(
    tool: Tool,
    build: str = "",
    only: str = "",
    *,
    wait: str = "",
    everything: bool = False,
    junit: str = "",
    markdown: str = "",
    publish_metrics: bool = False,
) -> None:
    """Check that every instance reports the build that is expected of its group, and say so in files as well.

    Without a `build` the records of past rollouts tell what is expected. Returns only where the fleet is converged.
    The files are written before the command ends, whatever the verdict, and where there is none. With
    `publish_metrics` CloudWatch gets the counts of the last look; where it does not take them, that is what the
    command ends with, unless the verdict is bad.
    """
    limit = seconds("--wait", wait)
    if publish_metrics and only:
        raise UsageError(
            "--publish-metrics counts the whole fleet, and --only looks at a part of it",
            hint="leave one of the two out: an alarm would take the part for the fleet",
        )
    files = VerdictFiles(tool.settings.env, junit=junit, markdown=markdown, everything=everything)
    found: Verification | None = None

    def listen(event: Event) -> None:
        nonlocal found
        if isinstance(event, Verified):
            found = event.verification
            event = replace(event, everything=everything)
        tool.display(event)

    try:
        asked = expected(tool, build, only)
        look = tool.look(asked.groups, wait=limit, stop_when=lambda look: False, listen=listen)
        unpublished = _publish(tool, look, whole=not asked.unsure) if publish_metrics else None
        try:
            outcome(look)
            asked.admit()
        except ShipitError:
            if unpublished:
                # The verdict says more.
                tool.display(Notice(text=unpublished.message, warning=True))
            raise
        if unpublished:
            raise unpublished
    except BaseException as error:
        try:
            files.write(found, _named(error))
        except ShipitError as failure:
            # What ended the command says more than a full disk does.
            tool.display(Notice(text=failure.message, warning=True))
        raise
    else:
        files.write(found, None)
    finally:
        files.discard()


def _publish(tool: Tool, found: Verification, *, whole: bool) -> AwsError | None:
    """Tell CloudWatch the counts; return what kept it from that."""
    try:
        tool.cloudwatch.put(NAMESPACE, metrics(found, whole=whole), at=found.at)
    except AwsError as error:
        return error
    tool.display(Notice(text=f"the counts are in CloudWatch, namespace {NAMESPACE}, env {found.env}"))
    return None


def _named(error: BaseException) -> ShipitError:
    """Return the error as one of ours, for a file: the command's one handler tells it to people."""
    if isinstance(error, ShipitError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted before there was a verdict", hint="the same command looks again")
    return ShipitError(f"{type(error).__name__}: {error}")
