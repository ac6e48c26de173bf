"""Ctrl-C, and the SIGTERM of a cancelled CI job, in every phase: exit 130, one clear line, nothing left locked."""

from __future__ import annotations

import itertools
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from door import Door
from project import Project, Ran, finish

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
ENV = """
[env.slow]
endpoint-url = "http://127.0.0.1:{door}"
region = "us-east-1"

[env.slow.build]
commands = ["sleep 30"]

[env.behind]
endpoint-url = "http://127.0.0.1:{door}"
region = "us-east-1"

[env.behind.rollout]
waves = [["reports"], ["*"]]
bake = "3s"
"""
SIGNALS = [signal.SIGINT, signal.SIGTERM]
numbers = itertools.count()


class Interrupted:
    """A project behind a door, whose commands are sent signals."""

    def __init__(self, root: Path) -> None:
        self.project = Project(root, workers="scripted", instances=6)
        self.door = Door(self.project.port)
        toml = root / "shipit.toml"
        toml.write_text(toml.read_text() + ENV.format(door=self.door.port))
        assert self.project.inv("sandbox.start").code == 0
        self.project.control("script", rules=[{"seconds": 0.02}])

    def close(self) -> None:
        self.door.close()
        self.project.stop()

    def inv(self, *words: str) -> Ran:
        return self.project.inv(*words, "-e", "behind", env=KEYS)

    def commit(self) -> None:
        self.project.git("commit", "--quiet", "--allow-empty", "--message", f"commit {next(numbers)}")

    def at_line(self, number: int, line: str, *words: str, env: str = "behind") -> Ran:
        """Run a command and send it a signal once it printed this."""
        self.door.open()
        process = self.project.start(*words, "-e", env, env=KEYS)
        assert process.stdout
        seen = []
        for said in process.stdout:
            seen.append(said)
            if line in said:
                break
        return self._end(process, number, seen)

    def at_request(self, number: int, at: str, *words: str, nth: int = 1, rules: object = None) -> Ran:
        """Run a deploy of a new commit and send it a signal while it waits for the answer to such a request.

        From then on the instances play by other `rules`.
        """
        self.commit()
        process = self.project.start(*words, "-e", "behind", env=KEYS)

        def act() -> None:
            if rules is not None:
                self.project.control("script", rules=rules)
            process.send_signal(number)
            time.sleep(0.2)

        self.door.arm(nth, act, at=at, shuts=False)
        return self._end(process, 0, [])

    def _end(self, process: subprocess.Popen[str], number: int, seen: list[str]) -> Ran:
        if number:
            process.send_signal(number)
        out, err = finish(process, timeout=30)
        ended = Ran(process.returncode, "".join(seen) + out, err)
        assert ended.code == 130, ended.all
        assert "Traceback" not in ended.all, ended.all
        # One line, and one of what to type next; before it at most why a rollout that is rolled back had failed.
        *before, last, _ = ended.err.splitlines()
        assert last.startswith("error: interrupted"), ended.err
        assert not before or " failed" in before[0], ended.err
        return ended

    def is_free(self, env: str = "behind") -> bool:
        held: bool = self.project.inv("lock.status", "-e", env, "--json", env=KEYS).events[-1]["fields"]["locked"]
        return not held

    def outcomes(self) -> list[str]:
        return [row["outcome"] for row in self.inv("history", "--json").events[-1]["fields"]["rollouts"]]

    def outcome(self) -> str:
        return self.outcomes()[0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interrupted]:
    interrupted = Interrupted(tmp_path_factory.mktemp("interrupted"))
    yield interrupted
    interrupted.close()


@pytest.mark.parametrize("number", SIGNALS)
def test_while_it_builds_or_uploads_nothing_was_begun(made: Interrupted, number: int) -> None:
    made.commit()
    ended = made.at_line(number, "sleep 30", "deploy", "--no-verify", env="slow")
    assert "nothing was left half-done" in ended.err
    ended = made.at_request(number, ".tgz", "deploy", "--no-verify")
    assert "nothing was left half-done" in ended.err


@pytest.mark.parametrize("number", SIGNALS)
def test_while_it_waits_for_the_lock_or_plans_nothing_was_begun(made: Interrupted, number: int) -> None:
    holder = made.project.start("deploy", "-e", "behind", env=KEYS)
    assert holder.stdout
    while "current" not in holder.stdout.readline():
        pass
    made.commit()
    ended = made.at_line(number, "waiting for the lock", "deploy", "--no-verify", "--lock-wait", "1m")
    assert "nothing was left half-done" in ended.err
    assert not made.is_free()
    holder.kill()
    holder.communicate()
    before = len(made.outcomes())
    ended = made.at_request(number, "BatchGetDeploymentGroups", "deploy", "--no-verify")
    assert "nothing was left half-done" in ended.err
    assert made.is_free()
    assert len(made.outcomes()) == before


@pytest.mark.parametrize("number", SIGNALS)
def test_while_it_creates_and_while_deployments_run_they_go_on_and_are_carried_on(
    made: Interrupted, number: int
) -> None:
    ended = made.at_request(number, "CreateDeployment", "deploy", "--no-verify")
    # The creation under way is not forgotten.
    assert "1 deployment goes on in AWS, 4 groups not started" in ended.err
    assert made.is_free()
    assert made.outcome() == "interrupted"
    ended = made.at_line(number, "succeeded in", "deploy", "--resume", "--no-verify")
    assert made.is_free()
    assert made.outcome() == "interrupted"
    assert "--resume" in ended.err


@pytest.mark.parametrize("number", SIGNALS)
def test_who_asks_again_and_again_is_told_once_and_the_record_and_the_lock_are_closed(
    made: Interrupted, number: int
) -> None:
    made.commit()
    process = made.project.start("deploy", "--no-verify", "-e", "behind", env=KEYS)
    sent = []

    def insist() -> None:
        # From now on at each write to S3, which is done and not answered yet: the record's last word, the lock's end.
        sent.append(number)
        process.send_signal(number)
        time.sleep(0.2)
        made.door.arm(1, insist, at="PUT /shipit-test/", done=True, shuts=False)

    made.door.arm(1, insist, at="CreateDeployment", done=True, shuts=False)
    made._end(process, 0, [])
    assert len(sent) > 2
    assert made.is_free()
    assert made.outcome() == "interrupted"
    made.door.open()
    resumed = made.inv("deploy", "--resume", "--no-verify")
    assert resumed.code == 0, resumed.all


@pytest.mark.parametrize("number", SIGNALS)
def test_while_a_wave_pauses_or_is_verified(made: Interrupted, number: int) -> None:
    made.commit()
    ended = made.at_line(number, "is done;", "deploy", "--no-verify")
    assert "is not over" in ended.err
    assert made.is_free()
    assert made.outcome() == "interrupted"
    made.commit()
    ended = made.at_line(number, "current", "deploy")
    assert "is not over" in ended.err
    assert made.is_free()
    assert made.outcome() == "interrupted"


@pytest.mark.parametrize("number", SIGNALS)
def test_while_the_record_is_opened_it_says_that_it_was_interrupted(made: Interrupted, number: int) -> None:
    ended = made.at_request(number, "PUT /shipit-test/rollouts/behind/latest.json", "deploy", "--no-verify")
    assert "is not over" in ended.err
    assert made.is_free()
    assert made.outcome() == "interrupted"


@pytest.mark.parametrize("number", SIGNALS)
def test_while_it_rolls_back_the_rollback_is_carried_on_or_begun(made: Interrupted, number: int) -> None:
    quick = [{"seconds": 0.02}]
    broken = [*quick, {"group": "reports", "event": "ApplicationStart", "fail": {}}]
    words = ("deploy", "--no-verify", "--only", "reports", "--on-failure", "rollback")
    made.project.control("script", rules=quick)
    made.door.open()
    made.commit()
    assert made.inv(*words).code == 0

    # The second deployment is that of the rollback.
    made.project.control("script", rules=broken)
    ended = made.at_request(number, "CreateDeployment", *words, nth=2, rules=quick)
    assert made.is_free()
    assert made.outcome() == "interrupted"
    assert "--resume" in ended.err
    resumed = made.inv("deploy", "--resume")
    assert resumed.code == 0, resumed.all
    assert made.outcomes()[:2] == ["deployed", "rolled-back"]

    # The second look at the groups is that of the rollback, which has no record yet.
    made.project.control("script", rules=broken)
    ended = made.at_request(number, "BatchGetDeploymentGroups", *words, nth=2)
    assert "is not taken back" in ended.err
    assert made.is_free()
    assert made.outcome() == "failed"
    made.project.control("script", rules=quick)
    back = made.inv("stop", "--rollback")
    assert back.code == 0, back.all
    assert made.outcomes()[:2] == ["deployed", "rolled-back"]
