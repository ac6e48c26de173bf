"""What is expected where the ledger has holes: what deployments and CodeDeploy say, and never an older record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import FakeClock, deployment, group
from records import entry, record

from shipit.errors import DriftError, UsageError
from shipit.events import Notice
from shipit.flows.expected import Asked, expected
from shipit.ledger import LostRecord
from shipit.models import Fleet, Group, RolloutRecord
from shipit.rollout import Mark

OLD = record("v1", minute=0, groups={n: entry(build="v1") for n in ("a", "b", "c")})
LOST = LostRecord(id="r9", why="rollouts/prod/r9.json is lost")


@dataclass
class Played:
    """What the flow asks of the wired tool: groups, records newest first, published builds; `told`: what it said."""

    groups: tuple[Group, ...]
    records: tuple[RolloutRecord | LostRecord, ...]
    published: tuple[str, ...] = ("v1", "v2")
    told: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)
    settings: Any = field(default_factory=lambda: SimpleNamespace(env="prod", prefix="builds"))

    def __post_init__(self) -> None:
        self.fleet = SimpleNamespace(read=lambda: Fleet(groups=self.groups))
        self.ledger = SimpleNamespace(back=self._back)
        self.lock = SimpleNamespace(holder=lambda: None)
        self.builds = SimpleNamespace(versions=lambda: self.published)

    def _back(self) -> Iterator[RolloutRecord | LostRecord]:
        for each in self.records:
            self.read.append(each.id)
            yield each

    def display(self, event: Notice) -> None:
        self.told.append(("warning: " if event.warning else "") + event.text)


def ran(name: str, build: str, *, rollout: str = "") -> Group:
    """Return a group whose last deployment brought this build, for a rollout or for none that we know."""
    description = str(Mark(rollout=rollout, attempt=1, build=build, env="prod", by="ann")) if rollout else ""
    last = deployment(name, build, description=description)
    return group(name, last_success=last, last_attempt=last)


def asked(tool: Played, only: str = "") -> Asked:
    return expected(tool, "", only)  # type: ignore[arg-type]  # the part of a Tool that is asked here


def builds(found: Asked) -> dict[str, tuple[str, str]]:
    return {name: (wanted.build, wanted.rollout) for name, wanted in found.groups.items()}


def test_where_the_last_record_is_lost_the_marks_of_its_deployments_count_and_codedeploy_for_the_rest() -> None:
    tool = Played((ran("a", "v2", rollout="r9"), ran("b", "v1"), ran("c", "v1", rollout="r0")), (LOST, OLD))
    found = asked(tool)
    assert builds(found) == {"a": ("v2", "r9"), "b": ("v1", ""), "c": ("v1", "")}
    assert found.unsure == ()
    assert tool.told == [
        "warning: rollouts/prod/r9.json is lost; where no newer rollout tells, what CodeDeploy says is expected",
        "expecting v1 in b, c, as CodeDeploy's last success has it",
        "expecting v2 in a, of rollout r9 by ann",
    ]
    assert tool.read == ["r9"], "an older word must not be taken for the last one"
    found.admit()


def test_a_failed_try_of_a_lost_rollout_is_expected_to_have_brought_its_build() -> None:
    mark = str(Mark(rollout="r9", attempt=1, build="v2", env="prod"))
    failed = deployment("a", "v2", "Failed", id="d-2", description=mark)
    tool = Played((group("a", last_success=deployment("a", "v1"), last_attempt=failed),), (LOST, OLD))
    assert builds(asked(tool)) == {"a": ("v2", "r9")}


def test_what_newer_records_tell_counts_where_an_older_one_is_lost() -> None:
    newer = record("v2", minute=20, groups={"a": entry(build="v2")}, excluded=("b", "c"))
    tool = Played((ran("a", "v1"), ran("b", "v1"), ran("c", "v2")), (newer, LOST, OLD))
    found = asked(tool)
    assert builds(found) == {"a": ("v2", "r20"), "b": ("v1", ""), "c": ("v2", "")}


def test_a_group_of_which_nothing_tells_does_not_pass_for_checked() -> None:
    groups = (ran("a", "v2", rollout="r9"), group("b"), ran("c", "stray"), group("empty", instances=0))
    tool = Played(groups, (LOST,))
    found = asked(tool)
    assert set(found.groups) == {"a"}
    assert found.unsure == ("b", "c")
    assert tool.told[-1] == "warning: not checked, for nothing tells what they should run: b, c, empty"
    with pytest.raises(DriftError, match=r"nothing tells what b, c should run: rollouts/prod/r9\.json is lost"):
        found.admit()
    asked(tool, "a").admit()


def test_without_any_record_codedeploy_tells_where_it_brought_a_published_build() -> None:
    tool = Played((ran("a", "v1"), ran("b", "v2")), ())
    found = asked(tool)
    assert builds(found) == {"a": ("v1", ""), "b": ("v2", "")}
    assert tool.told[0].startswith("warning: no rollout of prod is on record; ")
    with pytest.raises(UsageError, match="no rollout of prod is known for a, so no build is expected there"):
        asked(Played((group("a"),), ()))


def test_a_new_group_beside_a_whole_ledger_is_named_and_keeps_nobody() -> None:
    canary = record("v2", minute=9, groups={"a": entry(build="v2")}, excluded=("b",))
    found = asked(Played((ran("a", "v2"), group("b")), (canary,)))
    assert (set(found.groups), found.unsure) == ({"a"}, ())
    found.admit()


def test_a_named_build_needs_no_record() -> None:
    tool = Played((ran("a", "v1"), ran("b", "v1")), (LOST,))
    found = expected(tool, "v2", "b")  # type: ignore[arg-type]  # the part of a Tool that is asked here
    assert builds(found) == {"b": ("v2", "")}
    assert (tool.read, tool.told) == ([], [])
