"""Other processes attend a running rollout: they watch it, and they stop it."""

from __future__ import annotations

import itertools
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from door import Door
from project import QUEUES, Project, finish

WAVES = """
[env.sandbox.reports]
grace = "1s"

[env.waves]
endpoint-url = "http://127.0.0.1:{port}"
region = "us-east-1"

[env.waves.rollout]
waves = [["reports"], ["*"]]
"""
FAIL = {"script": "scripts/start.sh", "log_tail": "[stderr]port is taken\n"}
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


class Attended:
    """A project with scripted instances; `-e waves` is the same sandbox in two waves, behind a door."""

    def __init__(self, root: Path) -> None:
        self.project = Project(root, workers="scripted", instances=8)
        self.door = Door(self.project.port)
        toml = root / "shipit.toml"
        toml.write_text(toml.read_text() + WAVES.format(port=self.door.port))
        assert self.project.inv("sandbox.start").code == 0
        self.script(0.02)
        self._numbers = itertools.count()
        self._started: list[subprocess.Popen[str]] = []
        self.build = self.commit()
        assert self.inv("deploy", "--no-verify").code == 0

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()
        self.door.close()
        self.project.stop()

    def commit(self) -> str:
        return self.project.commit(f"commit {next(self._numbers)}")

    def script(self, seconds: float, **more: object) -> None:
        self.project.control("script", rules=[{"seconds": seconds}, *([more] if more else [])])

    def inv(self, *words: str) -> Any:
        return self.project.inv(*words, env=KEYS)

    def begin(self, *words: str, at: str = "started d-", times: int = 1) -> subprocess.Popen[str]:
        """Start a deploy of a new commit, and come back when it has told of `at` so many times."""
        self.build = self.commit()
        return self.start("deploy", "--no-verify", *words, at=at, times=times)

    def start(self, *words: str, at: str, times: int = 1) -> subprocess.Popen[str]:
        process = self.project.start(*words, env=KEYS)
        self._started.append(process)
        assert process.stdout
        for line in process.stdout:
            times -= at in line
            if not times:
                return process
        raise AssertionError(process.communicate()[1])

    def deployments(self) -> dict[str, str]:
        """Return how each group's last deployment of the build that was begun last ended."""
        client = self.project.client("codedeploy")
        ids = client.list_deployments()["deployments"]
        found = client.batch_get_deployments(deploymentIds=ids[:25])["deploymentsInfo"]
        found.sort(key=lambda d: d["createTime"])
        return {
            d["deploymentGroupName"]: d["status"] for d in found if self.build in d["revision"]["s3Location"]["key"]
        }

    def running(self) -> dict[str, str]:
        """Return what `inv plan` says that each group runs."""
        planned = self.inv("plan", "--json", "--allow-older").events[-1]["plan"]["groups"]
        return {g["group"]["name"]: g["running"] for g in planned}

    def free(self, env: str = "sandbox") -> bool:
        return self.inv("lock.status", "-e", env, "--json").events[-1]["fields"] == {"locked": False, "env": env}

    def last(self, env: str = "sandbox") -> dict[str, str]:
        """Return the history's row of the last rollout."""
        row: dict[str, str] = self.inv("history", "-e", env, "--json").events[-1]["fields"]["rollouts"][0]
        return row

    def failed(self, env: str, outcome: str = "failed") -> str:
        """Return the id of the last rollout that ended so."""
        rows = self.inv("history", "-e", env, "--json").events[-1]["fields"]["rollouts"]
        return next(str(row["id"]) for row in rows if row["outcome"] == outcome)

    def forget(self, *, garbled: bool = False) -> str:
        """Delete the record of the last rollout, or leave half a line of it, and return its id."""
        rollout = self.last()["id"]
        s3, place = self.project.client("s3"), {"Bucket": "shipit-test", "Key": f"rollouts/sandbox/{rollout}.json"}
        if garbled:
            s3.put_object(**place, Body=b'{"schema": 1, "id": "')
        else:
            s3.delete_object(**place)
        return rollout


@pytest.fixture(scope="module")
def attended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attended]:
    made = Attended(tmp_path_factory.mktemp("attended"))
    yield made
    made.close()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = finish(process)
    assert "Traceback" not in out + err
    return process.returncode, out + err


def test_watch_follows_to_the_same_end(attended: Attended) -> None:
    attended.script(0.4)
    driver = attended.begin()
    watched = attended.inv("watch")
    assert (watched.code, ended(driver)[0]) == (0, 0), watched.all
    assert watched.out.count("succeeded in") == len(QUEUES)
    assert "is over: deployed" in watched.out

    attended.script(0.4, group="reports", event="ApplicationStart", fail=FAIL)
    driver = attended.begin()
    watched = attended.inv("watch")
    assert (watched.code, ended(driver)[0]) == (1, 1), watched.all
    assert "port is taken" in watched.out
    # What is over ends alike.
    assert attended.inv("watch").code == 1


def test_a_rollout_of_which_aws_refused_all_that_is_missing_is_no_failure_of_the_build(attended: Attended) -> None:
    attended.script(0.02)
    attended.commit()
    attended.project.control(
        "fault", name="refuse", code="AccessDeniedException", operation="CreateDeployment", calls=2
    )
    refused = attended.inv("deploy", "--no-verify")
    attended.project.control("fault", name="clear")
    assert refused.code == 7, refused.all
    assert "3 of 5 groups could not be started: AWS denied CreateDeployment" in refused.err
    watched = attended.inv("watch")
    assert watched.code == 7, watched.all
    assert attended.last()["outcome"] == "refused"
    # It is over: what is missing is for a new deploy.
    resumed = attended.inv("deploy", "--resume", "--no-verify")
    assert resumed.code == 2, resumed.all
    again = attended.inv("deploy", "--no-verify")
    assert again.code == 0, again.all


def test_watch_outlives_the_driver_and_ends_as_the_deployments_do(attended: Attended) -> None:
    attended.script(0.7)
    driver = attended.begin(times=len(QUEUES))
    watcher = attended.start("watch", at="started d-")
    driver.kill()
    code, said = ended(watcher)
    assert code == 0, said
    assert "its process is gone, but all its groups succeeded" in said
    ended(driver)

    attended.script(0.6, group="reports", event="ApplicationStart", fail=FAIL)
    driver = attended.begin(times=len(QUEUES))
    watcher = attended.start("watch", at="started d-")
    driver.kill()
    code, said = ended(watcher)
    assert code == 1, said
    assert "1 of 5 groups failed" in said
    assert "port is taken" in said
    ended(driver)


def test_watch_of_an_interrupted_driver_says_which_groups_nobody_starts(attended: Attended) -> None:
    attended.script(1.0)
    driver = attended.begin("-e", "waves")
    watcher = attended.start("watch", "-e", "waves", at="started d-")
    driver.send_signal(signal.SIGINT)
    assert ended(driver)[0] == 130
    code, said = ended(watcher)
    assert code == 6, said
    assert "nobody drives" in said
    assert "4 groups are not done" in said
    assert "--resume" in said
    assert attended.inv("deploy", "--resume", "--no-verify", "-e", "waves").code == 0


def test_a_canary_that_waits_for_a_word_waits_for_it_also_when_another_process_carries_it_on(
    attended: Attended,
) -> None:
    attended.script(0.02)
    driver = attended.begin("-e", "waves", "--promote", "manual", at="inv promote lets")
    driver.kill()
    ended(driver)
    carried = attended.start("deploy", "--resume", "--no-verify", "-e", "waves", at="inv promote lets")
    assert attended.deployments() == {"reports": "Succeeded"}
    assert attended.inv("promote", "-e", "waves").code == 0
    code, said = ended(carried)
    assert code == 0, said
    # What ended before is of this rollout, too.
    assert f"{len(QUEUES)} succeeded" in said
    assert "8 of 8 succeeded" in said


def test_a_rollout_whose_record_is_lost_is_watched_by_what_the_deployments_say(attended: Attended) -> None:
    attended.script(0.4)
    driver = attended.begin(times=len(QUEUES))
    driver.kill()
    ended(driver)
    rollout = attended.forget()
    watched = attended.inv("watch", rollout)
    assert watched.out.count("started d-") == watched.out.count("succeeded in") == len(QUEUES)
    # Whether the instances were to be asked is not known any more: they are, and these report nothing.
    assert watched.code == 3, watched.all

    attended.script(0.4, group="reports", event="ApplicationStart", fail=FAIL)
    driver = attended.begin(times=len(QUEUES))
    driver.kill()
    ended(driver)
    attended.forget(garbled=True)
    watched = attended.inv("watch")
    assert watched.code == 1, watched.all
    assert "is lost or damaged: what its deployments say counts" in watched.out
    assert "port is taken" in watched.out


def test_stop_ends_the_driver_and_its_deployments_and_nothing_more_starts(attended: Attended) -> None:
    attended.script(2.0)
    # That its deployments were stopped is no failure, and so nothing is rolled back.
    driver = attended.begin("-e", "waves", "--on-failure", "rollback")
    stopped = attended.inv("stop", "-e", "waves")
    assert stopped.code == 0, stopped.all
    code, said = ended(driver)
    assert code == 1, said
    assert "stopped by" in said
    assert "4 were not started" in said
    assert attended.deployments() == {"reports": "Stopped"}
    assert attended.last("waves")["outcome"] == "stopped"
    assert attended.free("waves")
    again = attended.inv("deploy", "--resume", "-e", "waves")
    assert again.code == 2, again.all
    assert "stopped" in again.err


def test_stop_takes_back_what_was_brought(attended: Attended) -> None:
    attended.script(0.02)
    attended.begin()
    before = attended.build
    attended.project.until_idle()
    attended.project.control("script", rules=[{"seconds": 0.1}, {"group": "reports", "seconds": 1.5}])
    driver = attended.begin(at="succeeded in")
    stopped = attended.inv("stop", "--rollback")
    assert stopped.code == 0, stopped.all
    code, said = ended(driver)
    assert code == 1, said
    assert "stopped by" in said
    assert set(attended.running().values()) == {before}
    assert attended.last()["note"].startswith("undoes ")
    assert attended.free()


def test_stop_reaches_a_driver_that_verifies(attended: Attended) -> None:
    attended.script(0.02)
    attended.commit()
    driver = attended.start("deploy", "-e", "waves", at="current")
    stopped = attended.inv("stop", "-e", "waves")
    assert stopped.code == 0, stopped.all
    code, said = ended(driver)
    assert code == 1, said
    assert "stopped by" in said
    assert attended.last("waves")["outcome"] == "stopped"


def test_stop_takes_back_also_what_a_dead_driver_had_no_time_to_note(attended: Attended) -> None:
    attended.script(0.02)
    before = attended.commit()
    assert attended.inv("deploy", "-e", "waves", "--no-verify").code == 0
    attended.build = attended.commit()
    driver = attended.project.start("deploy", "-e", "waves", "--no-verify", env=KEYS)
    attended.door.arm(1, driver.kill, at="CreateDeployment", done=True)
    ended(driver)
    attended.door.open()
    attended.project.until_idle()
    assert attended.deployments() == {"reports": "Succeeded"}
    stopped = attended.inv("stop", "--rollback", "-e", "waves")
    assert stopped.code == 0, stopped.all
    assert set(attended.running().values()) == {before}


def test_a_rollback_that_died_before_it_was_on_record_is_begun_anew(attended: Attended) -> None:
    attended.script(0.02)
    before = attended.commit()
    words = ("deploy", "-e", "waves", "--no-verify", "--only", "reports")
    assert attended.inv(*words).code == 0
    attended.commit()
    attended.script(0.02, group="reports", event="ApplicationStart", fail=FAIL)
    driver = attended.project.start(*words, "--on-failure", "rollback", env=KEYS)
    # The first record is the rollout's own, the second the rollback's; the first names the second already.
    attended.door.arm(2, driver.kill, at="PUT /shipit-test/rollouts/waves/latest.json")
    code, said = ended(driver)
    attended.door.open()
    assert (code, "rolling back 1 groups" in said) == (-signal.SIGKILL, True), said
    attended.script(0.02)
    stopped = attended.inv("stop", attended.failed("waves"), "--rollback", "-e", "waves")
    assert stopped.code == 0, stopped.all
    assert "rolling back 1 groups" in stopped.all
    assert before in attended.running().values()
    again = attended.inv("stop", attended.failed("waves", "rolled-back"), "--rollback", "-e", "waves")
    assert "was taken back" in again.out, again.all
