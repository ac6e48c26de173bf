"""The commands around a rollout by the real command line: questions, locks, guards, waves, who is told, and JSON."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from display.schema import FILE
from project import QUEUES, Project, finish

VALIDATOR = jsonschema.Draft202012Validator(json.loads(FILE.read_text(encoding="utf-8")))
CANARIES = """
[env.sandbox.rollout]
waves = [["email-*"], ["*"]]
"""


@contextmanager
def made(folder: Path, *, more: str = "", instances: int = 6) -> Iterator[Project]:
    """Make a project whose instances play a quick script; its sandbox runs, and is stopped at the end."""
    project = Project(folder, workers="scripted", instances=instances, more=more)
    try:
        assert project.inv("sandbox.start").code == 0
        project.control("script", rules=[{"seconds": 0.05}])
        yield project
    finally:
        project.stop()


def asked(project: Project, *words: str, code: int = 0) -> list[dict[str, Any]]:
    """Run a command with --json, hold each line to the schema, and return them."""
    ended = project.inv(*words, "--json")
    assert ended.code == code, ended.all
    for line in ended.events:
        VALIDATOR.validate(line)
    return ended.events


def value(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    [found] = [e["fields"] for e in events if e["event"] == "value" and e["kind"] == kind]
    return dict(found)


def commit_by(project: Project, author: str, subject: str) -> str:
    (project.root / "worker" / "NOTES").write_text(f"{subject}\n")
    project.git("commit", "--quiet", "--all", "--author", f"{author} <who@example.invalid>", "--message", subject)
    return project.version


def test_status_history_and_diff_tell_what_was_done_and_what_would_be(tmp_path: Path) -> None:
    with made(tmp_path) as project:
        first = project.version
        assert "yet" in project.inv("history").out
        assert "no group runs a build" in project.inv("diff").out
        asked(project, "deploy", "--no-verify", "--why", "the first one")
        second = commit_by(project, "Ann Lee", "Greet in the reader's language")

        coming = project.inv("diff")
        assert coming.code == 0, coming.all
        assert f"5 groups run {first}, and would get 1 commit:" in coming.out
        assert "Ann Lee" in coming.out
        assert "Greet in the reader's language" in coming.out
        assert project.inv("deploy", "--no-verify").code == 0
        leaving = asked(project, "diff", "--build", first)
        assert any("would lose 1 commit:" in e.get("text", "") for e in leaving)
        assert [c["author"] for c in value(leaving, "commits")["commits"]] == ["Ann Lee"]

        back = project.inv("rollback", "--no-verify", "--yes")
        assert back.code == 0, back.all
        assert f"the last good build before {second}: {first}" in back.out
        again = project.inv("diff")
        assert f"5 groups run {first}, and would get 1 commit:" in again.out
        assert "Ann Lee" in again.out

        status = value(asked(project, "status"), "status")
        assert status["fleet"].startswith(f"all 5 groups run {first} since ")
        assert "ended deployed" in status["fleet"]
        rollouts = value(asked(project, "history"), "history")["rollouts"]
        assert [(r["build"], r["outcome"]) for r in rollouts] == [
            (first, "deployed"),
            (second, "rolled-back"),
            (first, "deployed"),
        ]
        assert rollouts[0]["note"].startswith(f"undoes {rollouts[1]['id']}")
        assert "the first one" in rollouts[2]["note"]
        restarted = asked(project, "restart", "--no-verify", "--only", "reports")
        ends = [e for e in restarted if e["event"] == "group_ended"]
        assert [(e["group"], e["phase"]) for e in ends] == [("reports", "succeeded")]
        [refused] = [e for e in asked(project, "stop", "--rollback", code=2) if e["event"] == "error"]
        assert "is over: deployed" in refused["message"]  # it would go back without a question
        assert "nothing would change" in asked(project, "diff", "--build", first)[-1]["text"]


def test_what_a_command_cannot_do_is_a_line_of_json_too(tmp_path: Path) -> None:
    with made(tmp_path) as project:
        for words in (
            ("stop",),
            ("promote",),
            ("rollback", "--yes"),
            ("deploy", "--resume"),
            ("report", "nowhere"),
            ("history", "--count", "none"),
            ("sandbox.start", "--workers", "real"),
        ):
            [error] = [e for e in asked(project, *words, code=2) if e["event"] == "error"]
            assert (error["error"], error["exit_code"]) == ("UsageError", 2)
            assert error["hint"]


class Page(HTMLParser):
    """Note what a page loads from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img", "iframe"):
            self.loads.append(tag)


def test_the_report_of_a_failed_rollout_is_one_page_that_names_the_group_and_shows_its_log(tmp_path: Path) -> None:
    with made(tmp_path) as project:
        fail = {"script": "scripts/start.sh", "log_tail": "[stderr]port <5672> is taken\n"}
        project.control("script", rules=[{"group": "reports", "event": "ApplicationStart", "fail": fail}])
        ended = project.inv("deploy", "--no-verify")
        assert ended.code == 1, ended.all
        assert "inv rollback goes back" in ended.err
        assert "reports" in project.inv("watch").err
        written = value(asked(project, "report"), "report")["report"]
        text = (project.root / written).read_text(encoding="utf-8")
        assert text.lstrip().lower().startswith("<!doctype html>")
        assert Page(text).loads == []
        assert "reports" in text
        assert "port &lt;5672&gt; is taken" in text
        assert "port <5672>" not in text
        assert value(asked(project, "report", "--output", "page.html"), "report")["report"] == "page.html"
        assert (project.root / "page.html").read_text(encoding="utf-8").count("</html>") == 1
        [refused] = [e for e in asked(project, "report", "--output", "no/p.html", code=2) if e["event"] == "error"]
        assert "no/p.html cannot be written" in refused["message"]


def test_a_frozen_environment_refuses_a_deploy_until_it_is_released(tmp_path: Path) -> None:
    with made(tmp_path) as project:
        assert project.inv("lock.acquire").code == 2
        asked(project, "lock.acquire", "-m", "the shop is on sale")
        held = value(asked(project, "lock.status"), "lock")
        assert (held["locked"], held["by hand"], held["why"]) == (True, True, "the shop is on sale")
        # A lock by hand is not waited out, whatever the patience.
        refused = project.inv("deploy", "--no-verify", "--lock-wait", "5m")
        assert refused.code == 4, refused.all
        assert "the shop is on sale" in refused.err
        assert "inv lock.release" in refused.err
        assert "yet" in project.inv("history").out
        assert project.inv("plan").code == 0
        assert "the shop is on sale" in value(asked(project, "status"), "status")["fleet"]
        freed = asked(project, "lock.release")
        assert "the shop is on sale" in freed[-1]["text"]
        assert "not locked" in project.inv("lock.release").out
        assert project.inv("deploy", "--no-verify", "--only", "reports").code == 0
        assert value(asked(project, "lock.status"), "lock")["locked"] is False


def typed(project: Project, answer: str, *words: str) -> tuple[int, str]:
    """Run a command whose standard input is a terminal at which `answer` is typed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "invoke", *words],
        cwd=project.root,
        env=project.environment(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.close(theirs)
    try:
        os.write(ours, f"{answer}\n".encode())
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        os.close(ours)
    return process.returncode, said


def test_a_protected_environment_shows_the_commits_and_asks_for_its_name(tmp_path: Path) -> None:
    with made(tmp_path, more="[env.sandbox]\nprotected = true") as project:
        nobody = project.inv("deploy", "--no-verify")
        assert nobody.code == 5, nobody.all
        assert "Nobody is there to confirm it" in nobody.err
        assert "--yes" in nobody.err
        code, said = typed(project, "y", "deploy", "--no-verify")
        assert (code, "no group was changed" in said) == (5, True), said
        assert "yet" in project.inv("history").out

        assert project.inv("deploy", "--no-verify", "--yes").code == 0
        commit_by(project, "Ann Lee", "Greet in the reader's language")
        code, said = typed(project, "sandbox", "deploy", "--no-verify")
        assert code == 0, said
        assert said.index("Ann Lee") < said.index("Type 'sandbox'") < said.index("started d-")
        assert said.count(" groups to deploy (") == 1

        (project.root / "worker" / "NOTES").write_text("not committed\n")
        dirty = project.inv("deploy", "--no-verify", "--yes")
        assert dirty.code == 5, dirty.all
        assert "worker/NOTES" in dirty.err
        project.git("commit", "--quiet", "--all", "--message", "committed")
        confirmed = project.inv("deploy", "--no-verify", "--yes")
        assert confirmed.code == 0, confirmed.all


@pytest.fixture
def inbox() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A web server on loopback, and the bodies that it was sent."""
    heard: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/T0/secret", heard
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_and_a_command_hear_of_start_success_and_failure(
    tmp_path: Path, inbox: tuple[str, list[dict[str, Any]]]
) -> None:
    address, heard = inbox
    more = f"""
[env.sandbox.notify]
webhook = "{address}"
template = '{{"event": "${{event}}", "say": "${{message}}", "code": "${{exit_code}}"}}'
command = "env | grep ^SHIPIT_HOOK_ > told.$SHIPIT_HOOK_EVENT"
"""
    with made(tmp_path, more=more) as project:
        good = project.inv("deploy", "--no-verify", "--why", 'it\'s "time"')
        assert good.code == 0, good.all
        fail = {"script": "scripts/start.sh", "log_tail": ""}
        project.control("script", rules=[{"group": "reports", "event": "ApplicationStart", "fail": fail}])
        build = project.commit("broken")
        bad = project.inv("deploy", "--no-verify")
        assert bad.code == 1, bad.all
        assert address not in good.all + bad.all
        assert [(h["event"], h["code"]) for h in heard] == [
            ("start", ""),
            ("success", "0"),
            ("start", ""),
            ("failure", "1"),
        ]
        assert "1 of 5 groups failed" in heard[-1]["say"]
        told = {
            p.suffix[1:]: dict(t.split("=", 1) for t in p.read_text().splitlines()) for p in tmp_path.glob("told.*")
        }
        assert set(told) == {"start", "success", "failure"}
        assert told["success"]["SHIPIT_HOOK_WHY"] == 'it\'s "time"'
        failure = told["failure"]
        assert (failure["SHIPIT_HOOK_BUILD"], failure["SHIPIT_HOOK_OUTCOME"]) == (build, "failed")
        assert (failure["SHIPIT_HOOK_EXIT_CODE"], failure["SHIPIT_HOOK_GROUPS"]) == ("1", "5")


def test_the_second_wave_starts_when_it_is_promoted_and_a_watcher_sees_it(tmp_path: Path) -> None:
    with made(tmp_path, more=CANARIES) as project:
        leading = project.start("deploy", "--no-verify", "--promote", "manual", "--json")
        assert leading.stdout
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["event"] != "wave_paused":
            seen.append(json.loads(leading.stdout.readline()))
        assert {e["group"] for e in seen if e["event"] == "group_started"} == {"email-digest", "email-inbound"}
        watching = project.start("watch", "--json")
        assert watching.stdout
        watched: list[dict[str, Any]] = []
        while not watched or watched[-1]["event"] != "wave_paused":
            watched.append(json.loads(watching.stdout.readline()))
        promoted = asked(project, "promote")
        assert "wave 2 may start" in promoted[-1]["text"]
        out, err = finish(leading)
        assert leading.returncode == 0, err
        rest = [json.loads(t) for t in out.splitlines()]
        out, err = finish(watching)
        assert watching.returncode == 0, err
        watched += [json.loads(t) for t in out.splitlines()]
        for line in (*seen, *rest, *watched):
            VALIDATOR.validate(line)
        assert {e["group"] for e in rest if e["event"] == "group_started"} == set(QUEUES) - {
            "email-digest",
            "email-inbound",
        }
        assert [e["wave"] for e in watched if e["event"] == "wave_started"] == [1, 2]
        # A watcher that comes late is told the wave's groups before its end.
        told = [e["event"] for e in watched]
        assert told.index("wave_started") < told.index("group_ended") < told.index("wave_paused")
        [begun] = [e for e in watched if e["event"] == "rollout_started"]
        assert begun["attached"] is True
        ends = [e for e in watched if e["event"] == "group_ended"]
        assert {e["group"]: e["overview"]["done"] == e["overview"]["total"] for e in ends} == dict.fromkeys(
            QUEUES, True
        )
