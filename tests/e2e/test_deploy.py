"""The main job by the real command line, on instances that run the real hooks."""

import json

from project import QUEUES, Project


def test_a_build_reaches_every_instance_and_is_proved_and_a_new_one_replaces_it(project: Project) -> None:
    first = project.inv("version").out.strip()
    deployed = project.inv("deploy")
    assert deployed.code == 0, deployed.all
    assert "8 of 8 current" in deployed.out
    verified = project.inv("verify-versions")
    assert verified.code == 0, verified.all
    assert first in verified.out

    again = project.inv("deploy")
    assert again.code == 0, again.all
    assert "already" in again.out

    second = project.commit("second")
    assert second != first
    replaced = project.inv("deploy", "--json")
    assert replaced.code == 0, replaced.all
    assert replaced.events[-1]["event"] == "verified"
    old = project.inv("verify-versions", "--build", first)
    assert old.code in (3, 6), old.all


def test_a_broken_hook_names_instance_event_script_log_and_next_command(project: Project) -> None:
    hook = project.own("scripts/after_install.sh")
    hook.write_text('#!/bin/sh\necho "no module named tasks" >&2\nexit 7\n')
    project.commit("broken")
    ended = project.inv("deploy", "--only", "reports")
    assert ended.code == 1, ended.all
    for word in ("reports", "AfterInstall", "after_install.sh", "no module named tasks", "i-", "inv deploy"):
        assert word in ended.all, word


def test_a_group_that_may_fail_holds_up_neither_the_next_wave_nor_the_end(project: Project) -> None:
    toml = project.root / "shipit.toml"
    toml.write_text(toml.read_text().replace("[rollout]\n", '[rollout]\nwaves = [["reports", "email-*"], ["*"]]\n'))
    assert project.inv("deploy").code == 0
    second = project.commit("second")
    project.control("fault", name="hook", event="ApplicationStart", how="exit", group="reports")
    # Nobody waits ten minutes for the report of an instance on which the deployment is known to have failed.
    ended = project.inv("deploy", "--on-failure", "continue")
    assert ended.code == 3, ended.all
    assert "1 of 5 groups failed, as many as may" in ended.err
    status = json.loads(project.inv("status", "--json").out)["fields"]
    assert {row["group"] for row in status["differ"]} == {"reports"}
    assert f"4 of 5 groups run {second}" in status["fleet"]


def test_only_deploys_the_queues_it_names(shared_project: Project) -> None:
    ended = shared_project.inv("deploy", "--only", "email-*")
    assert ended.code == 0, ended.all
    plan = shared_project.inv("plan", "--json")
    assert plan.code == 0, plan.all
    actions = {g["group"]["name"]: g["action"] for g in plan.events[-1]["plan"]["groups"]}
    assert {n for n, action in actions.items() if action == "current"} == {"email-digest", "email-inbound"}
    assert set(actions) == set(QUEUES)


def test_a_dry_run_writes_nothing(shared_project: Project) -> None:
    ended = shared_project.inv("deploy", "--dry-run")
    assert ended.code == 0, ended.all
    assert "deploy" in ended.out
    assert not (shared_project.root / ".shipit" / "builds").exists() or "Published" not in ended.out


def test_a_pattern_that_matches_nothing_is_a_usage_error(shared_project: Project) -> None:
    ended = shared_project.inv("plan", "--only", "emial-*")
    assert ended.code == 2
    assert "matches no queue" in ended.err


def test_an_unpublished_build_is_a_usage_error_that_names_what_there_is(shared_project: Project) -> None:
    ended = shared_project.inv("deploy", "--build", "nothing")
    assert ended.code == 2
    assert "not published" in ended.err


def test_a_restart_brings_each_group_what_it_runs_also_where_builds_are_mixed(shared_project: Project) -> None:
    project = shared_project
    assert project.inv("deploy").code == 0
    project.commit("a trial")
    assert project.inv("deploy", "--only", "reports").code == 0
    ended = project.inv("restart")
    assert ended.code == 0, ended.all
    assert "8 of 8 current" in ended.out
    assert ended.out.count("succeeded in") == len(QUEUES)
    assert project.inv("verify-versions").code == 0
