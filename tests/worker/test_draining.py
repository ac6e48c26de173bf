"""Real workers end without losing, stranding or doubling a task; without the plugin they do strand."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM, SIGTTIN, SIGUSR2

import pytest
from celery_workers import Broker, Queue, Worker, drain, noted, said
from daemons import eventually

Start = Callable[..., Worker]


def test_a_drained_worker_finishes_what_it_has_begun_and_tells_systemd(
    queue: Queue, start: Start, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        worker = start(queue, NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert systemd.recv(4096) == b"READY=1\nSTATUS=consuming"
        queue.send("work", 1, 3.0)
        queue.send("work", 2, 3.0)
        eventually(lambda: noted(tmp_path)["start 1"] and noted(tmp_path)["start 2"])
        # Twice at the same time: the unit's ExecStop= and the watcher.
        first, second = drain(worker, "--wait", "1", "--grace", "30"), drain(worker, "--wait", "1", "--grace", "30")
        assert {said(one)["how"] for one in (first, second)} == {"warm"}
        assert systemd.recv(4096) == b"STATUS=quiesced"
        assert systemd.recv(4096) == b"STOPPING=1\nSTATUS=warm shutdown"
    assert worker.wait() == 0
    assert noted(tmp_path) == {"start 1": 1, "start 2": 1, "end 1": 1, "end 2": 1}
    assert (queue.count(), queue.count("NotVisible")) == (0, 0)
    assert said(drain(worker)) == {"how": "gone", "seconds": 0.0, "code": 0}


def test_a_plain_term_strands_what_a_long_poll_still_brings_in(queue: Queue, start: Start) -> None:
    worker = start(queue, wait=20).ready()
    worker.signal(SIGTERM)
    assert worker.wait(15) == 0
    queue.send("work", 1)
    # Received for a worker that is no more: nobody sees it for the ten minutes of the queue's visibility timeout.
    eventually(lambda: queue.count("NotVisible") == 1)


def test_a_quiesced_worker_gives_back_what_a_long_poll_still_brings_in(
    queue: Queue, start: Start, tmp_path: Path
) -> None:
    worker = start(queue, wait=20).ready()
    worker.signal(SIGUSR2)
    worker.until("stopped polling")
    queue.send("work", 1)
    worker.until("releasing 1 received message")
    eventually(lambda: (queue.count(), queue.count("NotVisible")) == (1, 0))
    worker.signal(SIGTERM)
    assert worker.wait() == 0
    assert queue.count() == 1
    assert not noted(tmp_path)


def test_no_message_of_a_steady_stream_is_stranded_lost_or_doubled_by_drains(
    queue: Queue, start: Start, tmp_path: Path
) -> None:
    sent, ended = 0, threading.Event()

    def stream() -> None:
        nonlocal sent
        while not ended.wait(0.11):
            queue.send("work", sent, 0.1)
            sent += 1

    sender = threading.Thread(target=stream)
    sender.start()
    try:
        for _ in range(2):
            worker = start(queue).ready()
            before = sent
            eventually(lambda before=before: sent > before + 3)
            assert said(drain(worker, "--wait", "2.5", "--grace", "30"))["how"] == "warm"
    finally:
        ended.set()
        sender.join()
    last = start(queue).ready()
    eventually(lambda: queue.count() == 0)
    assert said(drain(last, "--wait", "2.5", "--grace", "30"))["how"] == "warm"
    assert noted(tmp_path) == {f"{what} {n}": 1 for what in ("start", "end") for n in range(sent)}
    assert queue.count("NotVisible") == 0


def test_polling_stops_and_resumes_as_often_as_it_is_asked_to(queue: Queue, start: Start, tmp_path: Path) -> None:
    worker = start(queue).ready()
    for _ in range(3):
        worker.signal(SIGUSR2)
    worker.until("stopped polling")
    worker.signal(SIGTTIN)
    # Apart: Python calls the handlers of signals that arrive together in the order of their numbers.
    threading.Event().wait(0.3)
    worker.signal(SIGUSR2)
    queue.send("work", 1)
    # Any poll that was out is back after its second.
    threading.Event().wait(2.5)
    assert queue.count() == 1
    worker.signal(SIGTTIN)
    worker.signal(SIGTTIN)
    eventually(lambda: noted(tmp_path)["end 1"])
    assert worker.log.count("again") == 1
    worker.signal(SIGTERM)
    assert worker.wait() == 0


def test_a_task_that_outlasts_the_grace_goes_back_and_is_run_elsewhere(
    queue: Queue, start: Start, tmp_path: Path
) -> None:
    worker = start(queue).ready()
    queue.send("work", 1, 120.0)
    eventually(lambda: noted(tmp_path)["start 1"])
    patient = drain(worker, "--wait", "0.5", "--grace", "60")
    # A second drain with less time, as with a spot notice, does not wait for the first one.
    assert said(drain(worker, "--wait", "0.5", "--grace", "0.5", "--cold", "30"))["how"] == "cold"
    assert said(patient)["code"] == 0
    assert worker.wait() == 0
    start(queue)
    eventually(lambda: noted(tmp_path)["start 1"] == 2)
    assert not noted(tmp_path)["end 1"]


def test_what_waits_for_its_time_goes_back_at_once_and_is_kept_until_then(
    sqs: Broker, start: Start, tmp_path: Path
) -> None:
    queue = sqs.queue(visibility=6)
    worker = start(queue, SHIPIT_VISIBILITY="600").ready()
    queue.send("work", 1, countdown=300)
    worker.until("received")
    # Past the queue's own timeout it would be received again.
    eventually(lambda: queue.hidden_for() > 6)
    assert (queue.count(), worker.log.count("received")) == (0, 1)
    assert said(drain(worker, "--wait", "2.5", "--grace", "30"))["how"] == "warm"
    eventually(lambda: queue.count() == 1)
    assert not noted(tmp_path)


def test_a_worker_without_the_plugin_is_asked_to_end_and_not_killed(
    queue: Queue, start: Start, tmp_path: Path
) -> None:
    worker = start(queue, SHIPIT_QUIESCE="off").ready()
    queue.send("work", 1, 2.0)
    eventually(lambda: noted(tmp_path)["start 1"])
    assert said(drain(worker, "--wait", "30", "--grace", "30"))["how"] == "warm"
    assert worker.wait() == 0
    assert noted(tmp_path)["end 1"] == 1


def test_a_worker_that_outlives_every_stage_is_left_to_systemd(queue: Queue, start: Start, tmp_path: Path) -> None:
    worker = start(queue).ready()
    queue.send("work", 1, 60.0)
    eventually(lambda: noted(tmp_path)["start 1"])
    # Some grace, for a SIGQUIT at the very moment of the start may hang a worker: docs/worker.md.
    ended = said(drain(worker, "--wait", "0", "--grace", "0.5", "--cold", "0"))
    assert (ended["how"], ended["code"]) == ("alive", 1)
    assert worker.wait() == 0


def test_on_a_broker_without_a_hub_the_signals_work_and_nothing_fails(start: Start) -> None:
    worker = start(None).ready()
    worker.signal(SIGUSR2)
    worker.until("stopped polling")
    worker.signal(SIGTTIN)
    worker.until("polling celery again")
    worker.signal(SIGTERM)
    assert worker.wait() == 0
    assert "failed" not in worker.log


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_other_pools_are_drained_too(queue: Queue, start: Start, tmp_path: Path, pool: str) -> None:
    worker = start(queue, "--pool", pool).ready()
    queue.send("work", 1, 1.0)
    eventually(lambda: noted(tmp_path)["start 1"])
    assert said(drain(worker, "--wait", "2.5", "--grace", "30"))["how"] == "warm"
    assert noted(tmp_path) == {"start 1": 1, "end 1": 1}
    assert [row["state"] for row in worker.lines] == ["SUCCESS"]
    assert (queue.count(), queue.count("NotVisible")) == (0, 0)


def test_a_second_quit_is_not_sent_while_the_first_does_its_work(queue: Queue, start: Start, tmp_path: Path) -> None:
    worker = start(queue, SHIPIT_METRICS="off").ready()
    queue.send("work", 1, 60.0)
    eventually(lambda: noted(tmp_path)["start 1"])
    drains = [drain(worker, "--wait", "0", "--grace", "0.5", "--cold", "30") for _ in range(4)]
    assert {said(one)["how"] for one in drains} == {"cold"}
    assert worker.out.read_text().count("Cold shutdown") == 1
    eventually(lambda: queue.count() == 1)
