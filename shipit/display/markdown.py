"""Sum a command up in Markdown for the page of a CI job (GITHUB_STEP_SUMMARY)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from shipit.display.around import Around
from shipit.display.blocks import age, note_of, verdict
from shipit.display.board import Board, Row
from shipit.display.failures import cluster_title, log_tail, shown_event
from shipit.display.text import clean, listing
from shipit.display.words import by_phase, counts
from shipit.errors import ShipitError
from shipit.events import Event, Notice, Verified
from shipit.models import Judged, NodeState, Phase, RolloutPlan, Verification
from shipit.wording import duration, plural

if TYPE_CHECKING:
    from shipit.display import Display

#: GitHub refuses a summary above 1 MiB, and nobody reads one that long.
_ROWS = 50
_FAILURES = 10
_TAIL = 15
_NAMES = 20
#: The outcome by exit code (`shipit.errors`), and without an error by the worst phase that a group is in.
_OUTCOMES = {2: "refused", 3: "partial", 4: "busy", 5: "refused", 6: "still running", 130: "interrupted"}
_ENDS = (
    (Phase.FAILED, "failed"),
    (Phase.STOPPED, "failed"),
    (Phase.RUNNING, "still running"),
    (Phase.WAITING, "still running"),
    (Phase.PARTIAL, "partial"),
)


class WithSummary(Around):
    """Pass everything on to a display, and append the summary to a file on leaving."""

    def __init__(self, display: Display, path: str) -> None:
        """Wrap `display`; the file at `path` is appended to, as several steps of a job share it."""
        super().__init__(display)
        self._path = path
        self._board = Board()
        self._verification: Verification | None = None
        self._everything = False
        self._errors: list[ShipitError] = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if text := summary(self._board, self._verification, self._errors, everything=self._everything):
                with open(self._path, "a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(text)
        except OSError as failure:
            # A page that cannot be written is no reason to fail a deploy that went well.
            self._display(Notice(text=f"the job's summary was not written: {failure}", warning=True))
        finally:
            super().__exit__(kind, error, trace)

    def __call__(self, event: Event) -> None:
        """Note the event and pass it on."""
        self._board.take(event)
        if isinstance(event, Verified):
            self._verification, self._everything = event.verification, event.everything
        super().__call__(event)

    def error(self, error: ShipitError) -> None:
        """Note the error and pass it on."""
        self._errors.append(error)
        super().error(error)


def summary(
    board: Board, found: Verification | None, errors: Sequence[ShipitError], *, everything: bool = False
) -> str:
    """Return the summary in Markdown; empty when there was neither a rollout nor a verdict nor an error.

    Its first line is a heading that begins with the outcome. With `everything` instances that do not count are in it.
    """
    if board.plan is None and found is None and not errors:
        return ""
    about = ""
    if board.plan is not None:
        about = f": {escape(board.plan.published.build.version)} to {escape(board.plan.env)}"
    elif found is not None:
        about = f": {escape(found.env)} on {escape(found.build)}"
    parts = [f"## {outcome(board, found, errors)}{about}"]
    if board.plan is not None:
        parts += _rollout(board, board.plan)
    if found is not None:
        parts += _fleet(found, everything)
    for error in errors:
        parts.append(f"**error:** {escape(error.message)}" + (f"<br>{escape(error.hint)}" if error.hint else ""))
    return "\n\n".join(parts) + "\n\n"


def outcome(board: Board, found: Verification | None, errors: Sequence[ShipitError]) -> str:
    """Say in a word how the command ended: the last error decides, else the verdict, else the rollout.

    `deployed` is a rollout that went well and that nobody verified.
    """
    if errors:
        return _OUTCOMES.get(errors[-1].exit_code, "failed")
    if found is not None:
        return "converged" if found.converged else "partial"
    if board.finished is None or board.finished.interrupted:
        return "interrupted"
    phases = board.phases()
    return next((word for phase, word in _ENDS if phases[phase]), "deployed")


def _rollout(board: Board, plan: RolloutPlan) -> Iterable[str]:
    end = board.finished
    how = f"in {duration(end.seconds)}" if end and not end.interrupted else "when we stopped watching"
    yield f"Rollout `{_code(plan.id)}`, {plural(len(board.rows), 'group')}: **{by_phase(board)}** {how}."
    order = sorted(board.rows.values(), key=lambda r: r.phase is Phase.SUCCEEDED)
    yield _table(("group", "phase", "instances", "took", "deployment"), [_cells(r) for r in order[:_ROWS]])
    if len(order) > _ROWS:
        yield f"… and {len(order) - _ROWS:,} more groups."
    yield from _failures(board)
    if end and end.calls:
        said = ", ".join(f"{escape(n)} {c:,}" for n, c in sorted(end.calls.items(), key=lambda c: (-c[1], c[0])))
        yield f"{plural(sum(end.calls.values()), 'AWS call')}: {said}."


def _cells(row: Row) -> tuple[str, ...]:
    took = duration(row.seconds) if row.seconds is not None else "-"
    return (
        row.group,
        row.phase.value,
        counts(row.overview) if row.overview.total else str(row.total),
        took,
        row.deployment_id,
    )


def _failures(board: Board) -> Iterable[str]:
    """Tell equal failures as one, and by itself the failure of each group that was not joined with others."""
    clusters = board.finished.clusters if board.finished else ()
    told = {name for found in clusters for name in found.groups}
    failures = [f for f in board.causes.values() if f.group not in told]
    for found in clusters[:_FAILURES]:
        yield f"### {escape(cluster_title(found))}"
        if len(found.groups) > 1:
            yield f"In {escape(listing(found.groups, _NAMES))}."
        yield from _next_and_log(found.next_step, found.sample)
    for failure in failures[: max(_FAILURES - len(clusters), 0)]:
        yield f"### {escape(failure.group)}: {escape(failure.cause)}"
        yield from _next_and_log(failure.next_step, failure.judged[0] if failure.judged else None)
    if len(clusters) + len(failures) > _FAILURES:
        yield f"… and {len(clusters) + len(failures) - _FAILURES:,} more failures."


def _next_and_log(step: str, sample: Judged | None) -> Iterable[str]:
    if step:
        yield f"Next: `{_code(step)}`"
    if sample is None:
        return
    event, name = shown_event(sample), _code(sample.target.instance_id)
    if event is None:
        yield f"`{name}`: {escape(sample.detail)}"
    elif lines := log_tail(event, _TAIL):
        yield f"`{name}`, {escape(event.name)}:"
        tail = "\n".join(clean(t) for t in lines)
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", tail)), default=0))
        yield f"{fence}text\n{tail}\n{fence}"


def _fleet(found: Verification, everything: bool) -> Iterable[str]:
    how = "Converged" if found.converged else "Not converged"
    yield f"**{how}** on {escape(found.build)}: {escape(verdict(found))}"
    counted: dict[str, Counter[bool]] = {view.group: Counter() for view in found.groups}
    bad = []
    for node in found.nodes:
        good = node.state is NodeState.CURRENT
        if node.state.is_counted:
            counted.setdefault(node.group, Counter())[good] += 1
        if not good and (node.state.is_counted or everything):
            bad.append(node)
    views = {view.group: view for view in found.groups}
    groups = [
        (name, f"{tally[True]:,} of {tally.total():,}", view.expected if view else found.build, note)
        for name, tally in counted.items()
        for view in (views.get(name),)
        for note in (note_of(found, view),)
        if tally[False] or note
    ]
    if groups:
        yield _table(("group", "current", "expected", "note"), groups[:_ROWS])
    if len(groups) > _ROWS:
        yield f"… and {len(groups) - _ROWS:,} more groups."
    if bad:
        rows = [
            (n.group, n.instance_id, n.state.value, n.running or "-", age(n.age), n.next_step) for n in bad[:_ROWS]
        ]
        yield _table(("group", "instance", "state", "running", "reported", "next"), rows)
    if len(bad) > _ROWS:
        yield f"… and {len(bad) - _ROWS:,} more instances."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(escape(c) for c in row) + " |" for row in rows)])


def escape(text: str) -> str:
    """Return the text so that Markdown and HTML show it as it is."""
    plain = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~!@])", lambda m: f"&#{ord(m[0])};", plain)


def _code(text: str) -> str:
    return clean(text).replace("`", "'")
