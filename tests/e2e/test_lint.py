"""`inv lint` by the real command line: the example is clean, a bad project is not, and its queues are asked."""

from __future__ import annotations

import json
from contextlib import suppress

import jsonschema
import pytest
from display.schema import FILE
from project import QUEUES, Project

VALIDATOR = jsonschema.Draft202012Validator(json.loads(FILE.read_text(encoding="utf-8")))
UNIT = "worker/systemd/worker@.service"
APP = "worker/worker/app.py"


@pytest.fixture
def bad(project: Project) -> Project:
    """A project with a unit that loses tasks, uncommitted, and a setting that does."""
    unit = project.root / UNIT
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text("[Service]\nType=notify\nRestart=always\nExecStart=/opt/shipit/worker/current/bin/worker\n")
    app = project.root / APP
    app.write_text(app.read_text().replace("task_reject_on_worker_lost=True,", ""))
    project.git("add", "--all")
    return project


def findings(project: Project, *words: str, code: int) -> list[tuple[str, str]]:
    ran = project.inv("lint", *words, "--json")
    assert ran.code == code, ran.all
    for line in ran.events:
        VALIDATOR.validate(line)
    [linted] = [e for e in ran.events if e["event"] == "linted"]
    return [(f["rule"], f["file"]) for f in linted["findings"]]


def test_the_example_and_the_standard_parts_are_clean(project: Project) -> None:
    ran = project.inv("lint", "--strict")
    assert ran.code == 0, ran.all
    assert "nothing found" in ran.out


def test_a_bad_project_is_told_what_it_loses_before_it_commits(bad: Project) -> None:
    expected = [
        ("systemd-kill-mode", UNIT),
        ("systemd-current", UNIT),
        ("celery-acks-late-without-reject", APP),
    ]
    assert findings(bad, code=1) == expected
    ran = bad.inv("lint", env={"GITHUB_ACTIONS": "true"})
    assert ran.code == 1
    assert "2 of 4 tasks" in ran.out
    assert ran.err.count("::error file=worker/") == 3
    assert "error: lint found 3 errors" in ran.err


def test_the_build_warns_of_the_same_and_is_not_stopped(bad: Project) -> None:
    ran = bad.inv("build")
    assert ran.code == 0, ran.all
    assert f"warning: {UNIT}:1: KillMode is not set: control-group [systemd-kill-mode]" in ran.out
    assert "inv lint says why" in ran.out


def test_what_is_ignored_is_named_right(bad: Project) -> None:
    toml = bad.root / "shipit.toml"
    before = toml.read_text()
    toml.write_text(f'{before}\n[lint]\nignore = ["systemd-killmode"]\n')
    ran = bad.inv("lint")
    assert ran.code == 2
    assert "did you mean 'systemd-kill-mode'?" in ran.err
    assert bad.inv("build").code == 0
    rules = '"systemd-kill-mode", "systemd-current", "celery-acks-late-without-reject"'
    toml.write_text(f"{before}\n[lint]\nignore = [{rules}]\n")
    ran = bad.inv("lint")
    assert ran.code == 0, ran.all
    assert "nothing found" in ran.out
    assert "3 ignored" in ran.out


def test_a_warning_fails_only_where_it_is_asked_to(project: Project) -> None:
    script = project.root / "worker/look.sh"
    script.write_text("#!/bin/sh\ncelery --app worker.app inspect ping\n")
    script.chmod(0o755)
    project.git("add", "--all")
    assert findings(project, code=0) == [("celery-remote-control", "worker/look.sh")]
    assert findings(project, "--strict", code=1) == [("celery-remote-control", "worker/look.sh")]


def test_the_queues_of_the_fleet_are_asked(project: Project) -> None:
    assert project.inv("sandbox.start").code == 0
    sqs = project.client("sqs")
    for name in (*QUEUES, "dead"):
        with suppress(sqs.exceptions.QueueDoesNotExist):
            sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "3"})
    for name in QUEUES[1:]:
        redrive = {} if name == "reports" else {"RedrivePolicy": policy}
        sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "900", **redrive})
    ran = project.inv("lint", "--live", "--json")
    assert ran.code == 1, ran.all
    [linted] = [e for e in ran.events if e["event"] == "linted"]
    assert linted["queues"] == len(QUEUES)
    assert [(f["rule"], f["file"], f["what"].partition(":")[0]) for f in linted["findings"]] == [
        ("sqs-no-dead-letter-queue", "sqs", "reports"),
        ("sqs-queue-missing", "sqs", QUEUES[0]),
    ]


def test_a_fleet_without_the_tags_has_no_queues_to_ask(project: Project) -> None:
    assert project.inv("sandbox.start").code == 0
    toml = project.root / "shipit.toml"
    toml.write_text(toml.read_text().replace('tags = { env = "sandbox" }', 'tags = { env = "elsewhere" }'))
    ran = project.inv("lint", "--live")
    assert ran.code == 5, ran.all
    assert "no queue is known" in ran.err
