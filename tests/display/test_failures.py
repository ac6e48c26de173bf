"""The first failure of its kind is told in full, the next ones in a line, and at the end all equal ones as one."""

import pytest
from display.samples import failure, plan
from fakes import NOON

from shipit.diagnose import cluster, explain, judge
from shipit.display.board import Board
from shipit.display.failures import cluster_lines, failure_lines, failure_told
from shipit.display.text import Line, width
from shipit.errors import GroupBusy
from shipit.events import GroupDiagnosed, GroupEnded, RolloutStarted
from shipit.models import InstanceFacts, Overview, Phase, Target, TargetStatus


def texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


def reclaimed(group: str, instances: int = 1) -> GroupDiagnosed:
    names = [f"i-{group}-{n}" for n in range(instances)]
    end = GroupEnded(
        group=group, deployment_id="d-X", phase=Phase.FAILED, overview=Overview(failed=instances), seconds=1, at=NOON
    )
    facts = {n: InstanceFacts(id=n, state="terminated", reason_code="Server.SpotInstanceTermination") for n in names}
    return explain(
        end, judge([Target(instance_id=n, status=TargetStatus.FAILED) for n in names], {}, facts), build="v2"
    )


def told(*failures: GroupDiagnosed) -> list[list[str]]:
    board = Board()
    board.take(RolloutStarted(plan=plan(3), at=NOON))
    said = []
    for found in failures:
        board.take(found)
        said.append(texts(failure_told(found, board.alike(found))))
    return said


def test_an_equal_failure_is_a_line_and_another_one_is_told_in_full() -> None:
    first, again, other = told(failure("a"), failure("b", instances=3), failure("c", exit_code=2))
    assert "| ModuleNotFoundError" in "\n".join(first)
    assert again == ["b failed as a did: 3 script failed"]
    assert other[0] == "c failed: AfterInstall, exit 2: scripts/after_install.sh"
    assert len(other) == len(first)


def test_a_group_that_fails_again_is_not_compared_with_itself() -> None:
    assert told(failure("a"), failure("a"))[1] == ["a failed again, as before: 2 script failed"]


def test_after_twenty_equal_failures_only_the_summary_counts() -> None:
    said = told(*(failure(f"q{n}") for n in range(25)))
    assert [len(t) for t in said[1:20]] == [1] * 19
    assert said[20:] == [[]] * 5


def test_an_equal_failure_of_an_earlier_rollout_does_not_count() -> None:
    board = Board()
    board.take(failure("a"))
    board.take(RolloutStarted(plan=plan(3), at=NOON))
    board.take(failure("b"))
    assert board.alike(failure("b")) == ["b"]


def test_a_reclaimed_instance_shows_what_ec2_said_and_no_script() -> None:
    said = "\n".join(texts(failure_lines(reclaimed("a"))))
    assert "evidence    i-a-0: EC2 took it back: Server.SpotInstanceTermination" in said
    assert "(1 reclaimed)" in said
    assert "script" not in said


def test_what_blames_the_build_is_red_and_comes_before_what_is_only_gone() -> None:
    lines = cluster_lines(cluster([reclaimed("a", 5), failure("b")]), Board())
    heads = [t for t in lines if t.text.startswith("  failed ")]
    assert [(t.text, t.tone) for t in heads] == [
        ("  failed     2 instances of b: AfterInstall, exit 1: scripts/after_install.sh", "bad"),
        ("  failed     5 instances of a: reclaimed by EC2", "warn"),
    ]


def test_a_partly_deployed_group_is_not_called_failed() -> None:
    board = Board()
    end = GroupEnded(
        group="a", deployment_id="d", phase=Phase.PARTIAL, overview=Overview(failed=2), seconds=1, at=NOON
    )
    board.take(end)
    assert texts(cluster_lines(cluster([failure("a")]), board))[0].startswith("  partial    2 instances of a")


def test_groups_without_instances_to_show_are_named() -> None:
    def busy(name: str) -> GroupDiagnosed:
        end = GroupEnded(
            group=name,
            deployment_id="",
            phase=Phase.FAILED,
            overview=Overview(),
            seconds=0,
            at=NOON,
            error_code="BUSY",
            error_message=GroupBusy(name, f"d-{name.upper()}HOLDER").message,
        )
        return explain(end, judge([], {}, {}), build="v2")

    assert texts(cluster_lines(cluster([busy("a")]), Board()))[0] == (
        "  failed     a: deployment d-AHOLDER is still running there"
    )
    assert texts(cluster_lines(cluster([busy("a"), busy("b")]), Board())) == [
        "  failed     2 groups: deployment … is still running there",
        "             in a, b",
        "             next: wait for it to end, then inv deploy --build v2 --only a,b",
    ]
    assert told(busy("a"), busy("b"))[1] == ["b failed as a did: deployment d-BHOLDER is still running there"]


def test_of_many_kinds_of_failure_the_worst_are_told_and_the_rest_counted() -> None:
    found = cluster(failure(f"q{n}", exit_code=n + 1) for n in range(25))
    assert texts(cluster_lines(found, Board()))[-1] == "             ... and 15 more kinds of failure (30 instances)"


@pytest.mark.parametrize("limit", [20, 40, 80, 200])
def test_no_line_exceeds_its_width(limit: int) -> None:
    wide = [failure("queue-" + "宽" * 40 + str(n)) for n in range(3)]
    lines = cluster_lines(cluster([*wide, reclaimed("a"), reclaimed("b")]), Board(), limit)
    lines += failure_told(wide[0], ["x", wide[0].group], limit)
    assert [t for t in texts(lines) if width(t) > limit] == []
