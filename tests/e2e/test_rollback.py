"""Back to an older build: by hand, by policy, and away from a build whose hooks are broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from project import Project, finish


def runs(project: Project, *words: str) -> set[str]:
    """Return the builds that the groups run."""
    planned = project.inv("plan", "--json", "--allow-older", *words).events[-1]["plan"]["groups"]
    return {g["running"] for g in planned}


def history(project: Project) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = project.inv("history", "--json").events[-1]["fields"]["rollouts"]
    return rows


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, str, str]]:
    """A project with scripted instances that run the second of two good builds."""
    project = Project(tmp_path_factory.mktemp("good"), workers="scripted", instances=6)
    assert project.inv("sandbox.start").code == 0
    project.control("script", rules=[{"seconds": 0.02}])
    builds = []
    for name in ("one", "two"):
        builds.append(project.commit(name))
        assert project.inv("deploy", "--no-verify").code == 0
    yield project, builds[0], builds[1]
    project.stop()


def test_a_rollback_is_shown_and_confirmed_and_goes_to_the_last_good_build_or_to_one_by_name(
    good: tuple[Project, str, str],
) -> None:
    project, one, two = good
    refused = project.inv("rollback", "--no-verify")
    assert refused.code == 5, refused.all
    assert one in refused.out
    assert "--yes" in refused.err
    assert runs(project) == {two}
    back = project.inv("rollback", "--no-verify", "--yes")
    assert back.code == 0, back.all
    assert runs(project) == {one}
    assert [r["outcome"] for r in history(project)][:2] == ["deployed", "rolled-back"]
    named = project.inv("rollback", two, "--no-verify", "--yes")
    assert named.code == 0, named.all
    assert runs(project) == {two}
    unknown = project.inv("rollback", "nothing", "--yes")
    assert unknown.code == 2, unknown.all


def test_an_older_build_is_refused_with_exit_5_and_goes_on_purpose(good: tuple[Project, str, str]) -> None:
    project, _, _ = good
    older = project.commit("older")
    assert project.inv("deploy", "--no-verify").code == 0
    newer = project.commit("newer")
    assert project.inv("deploy", "--no-verify").code == 0
    refused = project.inv("deploy", "--no-verify", "--build", older)
    assert refused.code == 5, refused.all
    assert "--allow-older" in refused.err
    assert runs(project) == {newer}
    allowed = project.inv("deploy", "--no-verify", "--build", older, "--allow-older")
    assert allowed.code == 0, allowed.all
    assert runs(project) == {older}


@pytest.mark.parametrize("first", ["older", "newer"])
def test_of_two_jobs_that_race_the_newer_commit_ends_on_all_groups(
    good: tuple[Project, str, str], tmp_path: Path, first: str
) -> None:
    project, _, _ = good
    commits = {}
    for name in ("older", "newer"):
        commits[name] = (project.commit(f"{name}, where the {first} is first"), project.git("rev-parse", "HEAD"))
    project.control("script", rules=[{"seconds": 0.8}])
    words = ("deploy", "--no-verify", "--lock-wait", "1m")

    def start(name: str) -> Any:
        project.git("checkout", "--quiet", commits[name][1])
        return project.start(*words)

    leading = start(first)
    while "started d-" not in (line := leading.stdout.readline()):
        assert line, leading.stderr.read()
    second = "newer" if first == "older" else "older"
    waiting = start(second)
    said = finish(waiting)
    assert finish(leading)[0]
    project.git("checkout", "--quiet", "main")
    project.control("script", rules=[{"seconds": 0.02}])
    assert leading.returncode == 0
    assert "waiting for the lock" in said[0]
    assert waiting.returncode == (5 if second == "older" else 0), said
    assert runs(project) == {commits["newer"][0]}


def test_a_bad_build_with_broken_hooks_is_left_by_policy_and_by_hand(project: Project) -> None:
    """Hooks that really run: the bad build fails to start, and cannot be stopped either."""
    first = project.version
    assert project.inv("deploy").code == 0
    second = project.commit("second")
    assert project.inv("deploy").code == 0
    appspec = project.own("appspec/appspec.yml")
    hook = "hooks:\n  ApplicationStop:\n    - location: scripts/application_stop.sh\n      timeout: 10\n"
    appspec.write_text(appspec.read_text().replace("hooks:\n", hook))
    validate = project.own("scripts/validate_service.sh")
    stop = project.root / "scripts" / "application_stop.sh"
    stop.write_text("#!/bin/sh\necho 'cannot stop' >&2\nexit 1\n")
    stop.chmod(0o755)
    whole = validate.read_text()
    validate.write_text('#!/bin/sh\n[ "$DEPLOYMENT_GROUP_NAME" != reports ]\n')
    bad = project.commit("bad")
    ended = project.inv("deploy", "--on-failure", "rollback")
    assert ended.code == 1, ended.all
    assert "1 of 5 groups failed" in ended.err
    assert "back on what it ran before" in ended.err
    assert runs(project) == {second}
    assert project.inv("verify-versions", "--build", second).code == 0
    undoing, undone, *_ = history(project)
    assert (undoing["build"], undoing["outcome"]) == (second, "converged")
    assert (undone["build"], undone["outcome"]) == (bad, "rolled-back")

    # By hand it goes to the good build before, not to the bad one.
    back = project.inv("rollback", "--yes")
    assert back.code == 0, back.all
    assert runs(project) == {first}

    # A build that runs, and whose stop hook is broken, is left by hand as well.
    validate.write_text(whole)
    project.commit("cannot be stopped")
    assert project.inv("deploy", "--only", "reports").code == 0
    kept = project.inv("rollback", first, "--yes", "--only", "reports", "--no-ignore-stop-failures")
    assert kept.code == 1, kept.all
    assert "cannot stop" in kept.out
    left = project.inv("rollback", first, "--yes", "--only", "reports")
    assert left.code == 0, left.all
    assert runs(project) == {first}
