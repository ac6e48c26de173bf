"""The drift of a fleet is one line, and whatever makes the word of CodeDeploy doubtful has a row."""

from datetime import timedelta

from fakes import NOON, deployment, fleet, group
from records import record

from shipit.models import Group, Outcome, Overview
from shipit.status import Status, summarize

LATER = NOON + timedelta(minutes=5, seconds=90)


def on(name: str, version: str = "v2", **more: object) -> Group:
    done = deployment(name, version, completed_at=NOON, **more)
    return group(name, last_success=done, last_attempt=done)


def build_of(group: Group) -> str:
    """Read the build as the plan does: from the revision's key, empty where it is not ours."""
    success = group.last_success
    key = success.revision.key if success and success.revision else ""
    return key.split("/")[1] if key.startswith("builds/") else ""


def status(*groups: Group, **more: object) -> Status:
    last = more.pop("record", record("v2", minute=0))
    return summarize(fleet(*groups), last, build_of, now=LATER, **more)  # type: ignore[arg-type]


def test_a_fleet_on_one_build_says_so_and_lists_no_group() -> None:
    found = status(on("a"), on("b"))
    assert found.line == (
        "all 2 groups run v2 since 2026-11-20 12:00 UTC; "
        "last rollout r0 of v2 by ann@laptop ended converged 5 min ago"
    )
    assert [(b.build, b.groups, b.instances) for b in found.builds] == [("v2", ("a", "b"), 4)]
    assert found.groups == ()
    assert found.fields["builds"] == [
        {"build": "v2", "groups": "2", "instances": "4", "since": "2026-11-20 12:00 UTC"}
    ]
    assert "differ" not in found.fields


def test_one_group_that_differs_is_named_with_its_build_and_since_when() -> None:
    found = status(on("a"), on("b"), on("reports-exports", "v1"), lock="bob@ci since 12:00")
    assert found.line.startswith(
        "2 of 3 groups run v2; reports-exports runs v1 since 2026-11-20 12:00 UTC; last rollout"
    )
    assert found.line.endswith("; locked by bob@ci since 12:00")
    assert [(g.group, g.title, g.note) for g in found.groups] == [("reports-exports", "v1", "")]


def test_many_builds_are_counted_and_only_the_first_are_named() -> None:
    found = status(*(on(n) for n in "abc"), on("d", "v1"), on("e", "v1"), on("f", "v3"), on("g", "v4"), on("h", "v5"))
    assert "3 of 8 groups run v2; 2 groups run v1" in found.line
    assert "f runs v3" in found.line
    assert "2 groups 2 other builds" in found.line
    assert [b.title for b in found.builds] == ["v2", "v1", "v3", "v4", "v5"]
    assert len(found.groups) == 5


def test_of_builds_on_equally_many_groups_the_last_rollout_s_is_the_main_one() -> None:
    found = status(on("a", "v1"), on("b", "v2"))
    assert found.builds[0].build == "v2"
    assert status(on("a", "v1"), on("b", "v2"), record=None).builds[0].build == "v1"


def test_what_never_got_a_build_and_what_others_brought_is_not_called_a_build() -> None:
    foreign = deployment("b")
    found = status(group("a"), group("b", last_success=foreign, last_attempt=foreign), on("c"), on("d"))
    assert {b.title: b.build for b in found.builds}["nothing yet"] == ""
    assert "a runs nothing yet" in found.line
    other = summarize(fleet(group("b", last_success=foreign)), None, lambda g: "", now=LATER)
    assert other.line == "the only group runs a revision of others; no rollout is known"
    assert other.builds[0].build == ""


def test_a_group_whose_word_is_doubtful_has_a_row_though_its_build_is_the_main_one() -> None:
    success = deployment("a", "v2", completed_at=NOON)
    failed = deployment("a", "v3", "Failed", id="d-LATER")
    running = deployment("b", "v3", "InProgress", id="d-NOW", description="shipit rollout r9")
    found = status(
        group("a", last_success=success, last_attempt=failed),
        group("b", last_success=deployment("b", "v2"), last_attempt=running),
        on("c", overview=Overview(succeeded=1, failed=1, skipped=1)),
        on("d"),
        group("e", last_attempt=deployment("e", "v3", "Stopped")),
    )
    assert {g.group: g.note for g in found.groups} == {
        "a": "d-LATER came later and ended as Failed",
        "b": "d-NOW is running: shipit rollout r9",
        "c": "d-C left 2 of 3 instances behind",
        "e": "d-E ended as Stopped",
    }
    assert "; b is being deployed to;" in found.line


def test_a_rollout_that_has_not_ended_is_not_told_as_ended() -> None:
    found = status(on("a"), record=record("v2", outcome=Outcome.RUNNING))
    assert found.line.endswith("last rollout r0 of v2 by ann@laptop began 6 min 30 s ago and has not ended")


def test_a_fleet_of_no_groups_says_so() -> None:
    found = status(record=None)
    assert (found.line, found.builds, found.groups) == ("no group is known; no rollout is known", (), ())
    assert list(found.fields) == ["fleet"]


def test_a_clock_that_runs_behind_tells_no_negative_age() -> None:
    found = summarize(fleet(on("a")), record(), build_of, now=NOON)
    assert found.line.endswith("ended converged just now")
