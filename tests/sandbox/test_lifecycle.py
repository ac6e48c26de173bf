"""The daemon starts once, is found again, says what is in its way, and leaves nothing behind however it ends."""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError
from daemons import Sandbox, eventually, small

from shipit.errors import PreflightError, ShipitError
from shipit.sandbox import lifecycle
from shipit.sandbox.instance.processes import MARK
from shipit.sandbox.instance.role import ACCESS_KEY
from shipit.sandbox.running import Running, process_start


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox that does not run yet."""
    sandbox = Sandbox(small(tmp_path))
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox that runs, and that no test stops."""
    sandbox = Sandbox(small(tmp_path_factory.mktemp("shared")))
    sandbox.ensure()
    yield sandbox
    sandbox.stop()


def marked(state: Path) -> list[int]:
    """Return the processes that instances of the sandbox started."""
    mark = os.fsencode(f"{MARK}={state.resolve()}/")
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def bundle_that_leaves_a_process() -> bytes:
    """Return a bundle whose hook starts a process in a session of its own, and ends."""
    files = {
        "appspec.yml": b"version: 0.0\nos: linux\nhooks:\n  ApplicationStart:\n    - location: start.sh\n",
        "start.sh": b"#!/bin/sh\nsetsid sleep 600 </dev/null >/dev/null 2>&1 &\n",
    }
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return body.getvalue()


def test_two_that_start_it_at_once_share_one(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(2) as pool:
        urls = [future.result() for future in [pool.submit(sandbox.ensure), pool.submit(sandbox.ensure)]]
    assert urls == [sandbox.config.url] * 2
    assert [notice.split(":")[0] for notice in sandbox.notices] == ["starting the sandbox"]
    assert (sandbox.state / "daemon.log").read_text().count("serving") == 1
    assert sandbox.stop()
    assert not sandbox.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_a_daemon_that_is_ended_from_outside(tmp_path: Path, number: signal.Signals) -> None:
    sandbox = Sandbox(small(tmp_path, workers="stub"))
    sandbox.ensure()
    try:
        sandbox.client("s3").put_object(Bucket="some-bucket", Key="b.tgz", Body=bundle_that_leaves_a_process())
        sandbox.client("codedeploy").create_deployment(
            applicationName="worker",
            deploymentGroupName="email",
            revision={
                "revisionType": "S3",
                "s3Location": {"bucket": "some-bucket", "key": "b.tgz", "bundleType": "tgz"},
            },
        )
        eventually(lambda: sandbox.status["active_deployments"] == 0 and marked(sandbox.state))
        running = sandbox.running
        assert running
        running.send(number)
        assert running.wait(30)
        eventually(lambda: not marked(sandbox.state))
        assert (sandbox.state / "daemon.json").exists() == (number == signal.SIGKILL)
    finally:
        sandbox.stop()


def test_a_daemon_that_was_killed_is_followed_by_another_and_its_instances_are_not_kept(sandbox: Sandbox) -> None:
    sandbox.ensure()
    (sandbox.state / "instances" / "i-old").mkdir(parents=True)
    first = sandbox.running
    assert first
    first.send(signal.SIGKILL)
    assert first.wait(30)
    sandbox.ensure()
    assert sandbox.running not in (None, first)
    assert not (sandbox.state / "instances" / "i-old").exists()


def test_it_ends_by_itself_when_idle_though_it_is_watched_and_its_instances_report(tmp_path: Path) -> None:
    sandbox = Sandbox(small(tmp_path, idle=1.0))
    sandbox.ensure()
    s3 = sandbox.client("s3", key=ACCESS_KEY)

    def ended() -> bool:
        try:
            assert sandbox.status["idle_seconds_left"] <= 1
            s3.put_object(Bucket="some-bucket", Key="report", Body=b"")
        except (OSError, BotoCoreError):
            return sandbox.running is None
        return False

    eventually(ended)
    assert "nobody used it for 1 s" in (sandbox.state / "daemon.log").read_text()
    assert not (sandbox.state / "daemon.json").exists()


def test_a_reset_makes_it_anew_and_keeps_nothing(sandbox: Sandbox) -> None:
    sandbox.ensure()
    sandbox.client("s3").put_object(Bucket="some-bucket", Key="old", Body=b"")
    (sandbox.state / "instances").mkdir(exist_ok=True)
    larger = replace(sandbox.config, instances=6)
    lifecycle.reset(larger, sandbox.notices.append)
    assert sandbox.status["instances"] == 6
    assert "Contents" not in sandbox.client("s3").list_objects_v2(Bucket="some-bucket", Prefix="old")
    assert not (sandbox.state / "instances").exists()


def test_one_whose_state_was_deleted_is_ended_and_followed_by_another(sandbox: Sandbox) -> None:
    sandbox.ensure()
    lost = sandbox.running
    assert lost
    shutil.rmtree(sandbox.state)
    sandbox.ensure()
    assert lost.wait(0)
    assert sandbox.running not in (None, lost)


def test_it_says_in_what_it_differs_from_what_is_asked_for(shared: Sandbox) -> None:
    other = Sandbox(replace(shared.config, instances=200))
    assert other.ensure() == shared.config.url
    assert other.notices == [
        "the sandbox that runs differs from shipit.toml: instances is 4, not 200; inv sandbox.reset makes it anew"
    ]


def test_a_port_of_another_projects_sandbox_is_refused_by_its_name(shared: Sandbox, tmp_path: Path) -> None:
    other = Sandbox(small(tmp_path, port=shared.config.port))
    with pytest.raises(
        PreflightError, match=f"port {shared.config.port} .* the sandbox of {shared.config.root}"
    ) as e:
        other.ensure()
    assert "port" in e.value.hint
    assert shared.status["instances"] == 4


def test_a_port_of_another_program_is_refused(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        with pytest.raises(PreflightError, match="another program"):
            Sandbox(small(tmp_path, port=holder.getsockname()[1])).ensure()


def test_what_keeps_it_from_starting_is_said_in_one_line_and_nothing_runs(tmp_path: Path) -> None:
    sandbox = Sandbox(small(tmp_path, report_prefix="a b"))
    with pytest.raises(ShipitError, match="did not start: 'a b' cannot be the prefix of reports") as e:
        sandbox.ensure()
    assert str(sandbox.state / "daemon.log") in e.value.hint
    assert sandbox.running is None


def test_a_silent_daemon_is_an_error_with_a_way_out_and_stop_ends_it(tmp_path: Path) -> None:
    sandbox = Sandbox(small(tmp_path))
    sandbox.state.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        Running(pid=child.pid, process_start=process_start(child.pid), url=sandbox.config.url).write(sandbox.state)
        with pytest.raises(ShipitError, match=f"its process {child.pid} is there") as e:
            lifecycle.status(sandbox.config)
        assert "inv sandbox.reset" in e.value.hint
        assert sandbox.stop()
        assert child.wait(0) == -signal.SIGTERM


def test_where_none_runs_there_is_no_status_and_nothing_is_made(tmp_path: Path) -> None:
    sandbox = Sandbox(small(tmp_path))
    assert lifecycle.status(sandbox.config) is None
    assert not sandbox.stop()
    assert not sandbox.state.exists()
