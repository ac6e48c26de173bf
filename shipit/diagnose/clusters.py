"""Join equal failures, so that one defect on 37 instances is told once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from shipit.diagnose.groups import after, again
from shipit.diagnose.likeness import explains, of_target, telling, title, without_accidents
from shipit.events import GroupDiagnosed
from shipit.models import Cluster, Judged


def cluster(failures: Iterable[GroupDiagnosed]) -> tuple[Cluster, ...]:
    """Return the failures, equal ones as one: what blames the build first, then that of the most instances.

    No group and no instance is lost: one that shows a cause stands with those that show the same; one that was only
    held back (skipped, on its way) stands with the cause of its group. Give the last diagnosis of each group.
    """
    found: dict[str, _Joined] = {}
    for failure in failures:
        likeness = _of_group(failure)
        found.setdefault(likeness, _Joined(likeness=likeness)).meet(failure)
        for judged in failure.judged:
            own = of_target(judged) if explains(judged) else likeness
            found.setdefault(own, _Joined(likeness=own)).join(failure, judged)
    return tuple(joined.cluster() for joined in sorted(found.values(), key=_Joined.rank))


def _of_group(failure: GroupDiagnosed) -> str:
    return failure.likeness or without_accidents(failure.cause, failure.group)


@dataclass(kw_only=True)
class _Joined:
    """Gather one cluster; dictionaries keep the order and drop what is told twice."""

    likeness: str
    groups: dict[str, GroupDiagnosed] = field(default_factory=dict)
    shown: dict[str, Judged] = field(default_factory=dict)
    held_back: dict[str, Judged] = field(default_factory=dict)

    def meet(self, failure: GroupDiagnosed) -> None:
        self.groups[failure.group] = failure

    def join(self, failure: GroupDiagnosed, judged: Judged) -> None:
        self.meet(failure)
        (self.shown if explains(judged) else self.held_back)[judged.target.instance_id] = judged

    def rank(self) -> tuple[bool, int, int, str]:
        harmless = bool(self.shown) and not any(j.cause.blames_build for j in self.shown.values())
        return harmless, -len(self.shown or self.held_back), -len(self.groups), self.likeness

    def cluster(self) -> Cluster:
        # Where no instance shows a cause, those that were held back are all there is to show.
        shown, held_back = (self.shown, self.held_back) if self.shown else (self.held_back, {})
        sample = max(shown.values(), key=_has_log, default=None)
        return Cluster(
            likeness=self.likeness,
            cause=self._cause(),
            next_step=self._next_step(sample),
            groups=tuple(self.groups),
            instances=tuple(shown),
            held_back=tuple(held_back),
            sample=sample,
        )

    def _cause(self) -> str:
        said = [title(j) for j in self.shown.values()] or [f.cause for f in self.groups.values()]
        return said[0] if len(set(said)) == 1 else without_accidents(said[0], *self.groups)

    def _next_step(self, sample: Judged | None) -> str:
        first, names = next(iter(self.groups.values())), tuple(self.groups)
        if self.shown and sample:
            return after(sample, tuple(self.shown), again(first.build, names))
        return first.next_step.replace(again(first.build, [first.group]), again(first.build, names))


def _has_log(judged: Judged) -> bool:
    event = telling(judged)
    return bool(event and event.log_tail.strip())
