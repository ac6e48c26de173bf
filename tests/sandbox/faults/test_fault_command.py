"""`inv sandbox.fault`, as a user types it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from project import Project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp("faults"), workers="scripted", instances=12)
    yield project
    project.stop()


def test_without_a_name_it_lists_what_is_in_effect_and_what_there_is(project: Project) -> None:
    ended = project.inv("sandbox.fault")
    assert ended.code == 0, ended.all
    for word in ("in effect", "nothing", "throttle", "--probability 0.3", "busy", "clear"):
        assert word in ended.out, word


def test_a_fault_is_put_in_effect_listed_and_cleared(project: Project) -> None:
    assert project.inv("sandbox.fault", "throttle", "--probability", "0.3").code == 0
    assert project.inv("sandbox.fault", "outage", "--service=athena", "--seconds", "10m").code == 0
    listed = project.inv("sandbox.fault", "--json")
    rows = listed.events[-1]["fields"]["in effect"]
    assert [(row["fault"], row["what"]) for row in rows] == [
        ("throttle", "--probability 0.3"),
        ("outage", "--service athena --seconds 600.0"),
    ]
    cleared = project.inv("sandbox.fault", "clear")
    assert (cleared.code, cleared.out.strip()) == (0, "clear: no fault is in effect")
    assert project.control("faults") == {"in_effect": []}


def test_a_group_shrinks_by_a_number_with_a_sign(project: Project) -> None:
    grown = project.inv("sandbox.fault", "scale", "--group", "reports", "--by", "+1")
    assert (grown.code, grown.out.strip()) == (0, "scale: --group reports --by 1"), grown.all
    shrunk = project.inv("sandbox.fault", "scale", "--group", "reports", "--by", "-1")
    assert shrunk.code == 0, shrunk.all


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("thottle",), "there is no fault 'thottle'; did you mean throttle?"),
        (("reset", "--probability", "0.3"), "reset has no --probability"),
        (("reset",), "reset needs --share"),
        (("reclaim", "--ids", "i-unknown"), "no such instance"),
        (("busy", "--group", "report", "--seconds", "5"), "did you mean reports?"),
    ],
)
def test_a_slip_is_exit_2_in_one_line_and_a_hint(project: Project, words: tuple[str, ...], said: str) -> None:
    ended = project.inv("sandbox.fault", *words)
    assert ended.code == 2, ended.all
    assert said in ended.err
    assert "Traceback" not in ended.all
    assert len(ended.err.strip().splitlines()) <= 2


def test_a_slip_starts_no_sandbox(tmp_path: Path) -> None:
    project = Project(tmp_path, workers="scripted")
    assert project.inv("sandbox.fault", "thottle").code == 2
    assert not project.state.exists()


def test_a_deploy_goes_on_through_errors_and_throttling(project: Project) -> None:
    project.control("script", rules=[{"seconds": 0.1}])
    project.inv("sandbox.fault", "throttle", "--probability", "20%")
    project.inv("sandbox.fault", "errors", "--share", "5%", "--seed", "2")
    ended = project.inv("deploy", "--no-verify")
    project.inv("sandbox.fault", "clear")
    assert ended.code == 0, ended.all


def test_somebody_elses_deployment_is_exit_4_and_the_hook_that_fails_exit_1(project: Project) -> None:
    assert project.inv("sandbox.start").code == 0
    project.control("script", rules=[{"seconds": 0.05}])
    project.commit("second")
    assert project.inv("sandbox.fault", "busy", "--group", "reports", "--seconds", "60").code == 0
    busy = project.inv("deploy", "--no-verify", "--on-busy", "fail")
    assert busy.code == 4, busy.all
    assert "reports" in busy.all
    assert project.inv("sandbox.fault", "clear").code == 0
    hook = ("hook", "--event", "AfterInstall", "--how", "exit", "--status", "9", "--group", "reports")
    assert project.inv("sandbox.fault", *hook).code == 0
    failed = project.inv("deploy", "--no-verify")
    project.inv("sandbox.fault", "clear")
    assert failed.code == 1, failed.all
    assert "AfterInstall" in failed.all
    assert "told to let this hook fail" in failed.all
