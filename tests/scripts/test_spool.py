"""The spool keeps reports whole, in order and bounded, whoever dies in the middle and whatever the disk does."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from project import REPOSITORY
from shipit_instance.rows import Report
from shipit_instance.spool import Spool

TARGETS = ("s3://bucket/reports/v1/slot=2026-11-22-13/", "s3://bucket/history/v1/day=2026-11-22/")


def report(number: int, reason: str = "heartbeat") -> Report:
    return Report(reason, number, f'{{"number":{number}}}\n', TARGETS[: 1 if reason == "heartbeat" else 2])


def spool(folder: Path, limit: int = 1000, said: list[str] | None = None) -> Spool:
    return Spool(str(folder / "spool"), (said if said is not None else []).append, limit)


def waiting(found: Spool) -> list[int]:
    return [entry.milliseconds for entry in found.entries()]


def test_what_was_added_is_there_after_a_restart_in_its_order(tmp_path: Path) -> None:
    first = spool(tmp_path)
    for number in (5, 3, 9, 1):  # the clock may be set; the order is that of the reports
        first.add(report(number))
    assert waiting(spool(tmp_path)) == [5, 3, 9, 1]
    assert len(first) == 4


def test_a_report_of_the_history_is_two_objects_of_the_same_text(tmp_path: Path) -> None:
    found = spool(tmp_path)
    made = found.add(report(7, "start"))
    assert [entry.target for entry in made] == list(TARGETS)
    assert [*found.entries()] == list(made)
    assert {entry.body for entry in made} == {'{"number":7}\n'}


def test_what_is_removed_is_gone_and_removing_twice_is_harmless(tmp_path: Path) -> None:
    found, other = spool(tmp_path), spool(tmp_path)
    (entry,) = found.add(report(1))
    found.remove(entry)
    other.remove(entry)
    assert waiting(found) == []


def test_when_it_is_full_the_oldest_heartbeats_make_room_for_what_happened(tmp_path: Path) -> None:
    said: list[str] = []
    found = spool(tmp_path, 4, said)
    found.add(report(1, "start"))
    found.add(report(2))
    found.add(report(3))
    found.add(report(4, "stop"))
    assert waiting(found) == [1, 1, 4, 4]
    found.add(report(5))
    assert waiting(found) == [1, 4, 4, 5]
    assert all("is full" in line for line in said)


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["heartbeat", "start"]), max_size=40), st.integers(2, 9))
def test_it_never_holds_more_than_its_bound(
    tmp_path_factory: pytest.TempPathFactory, reasons: list[str], limit: int
) -> None:
    found = spool(tmp_path_factory.mktemp("spool"), limit)
    for number, reason in enumerate(reasons):
        found.add(report(number, reason))
        assert len(found) <= limit
        assert waiting(found)[-1] == number


def test_no_two_reports_bear_the_same_moment_whoever_writes_them(tmp_path: Path) -> None:
    found, other = spool(tmp_path), spool(tmp_path)
    moments = [one.moment(1_795_354_000.123) for one in (found, other, found, other)]
    assert moments == [1_795_354_000_123 + n for n in range(4)]


def test_a_clock_that_is_set_back_gives_moments_of_the_new_time(tmp_path: Path) -> None:
    found = spool(tmp_path)
    assert found.moment(2_000_000_000.0) == 2_000_000_000_000
    assert found.moment(1_795_354_000.0) == 1_795_354_000_000
    assert found.moment(1_795_354_000.0) == 1_795_354_000_001


def test_a_disk_that_takes_nothing_leaves_reports_in_memory(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("in the way of the folder")
    found = spool(tmp_path)
    for number in range(60):
        found.add(report(number))
    assert waiting(found) == list(range(10, 60)), "the newest fifty"
    (entry, *_) = found.entries()
    found.remove(entry)
    assert len(found) == 49
    assert found.moment(1.0) == 1000
    assert found.moment(1.0) == 1001


def test_a_disk_that_is_full_for_a_while_keeps_the_order(tmp_path: Path) -> None:
    said: list[str] = []
    found = spool(tmp_path, said=said)
    found.add(report(1))
    # The next file's name is taken by a folder: it cannot be written.
    blocker = tmp_path / "spool/0000000002.heartbeat.json.tmp"
    blocker.mkdir()
    (blocker / "x").touch()
    found.add(report(2))
    (blocker / "x").unlink()
    blocker.rmdir()
    found.add(report(3))
    assert waiting(found) == [1, 2, 3]
    assert "waits in memory" in said[0]
    assert waiting(spool(tmp_path)) == [1, 3], "what another process sees"


def test_a_process_that_is_killed_in_the_middle_of_writing_leaves_nothing_half(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        f"sys.path[:0] = [{str(REPOSITORY / 'scripts')!r}]\n"
        "from shipit_instance.rows import Report\n"
        "from shipit_instance.spool import Spool\n"
        "found = Spool(sys.argv[1], print)\n"
        "found.add(Report('heartbeat', 1, 'first', ('s3://b/p/',)))\n"
        "os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "found.add(Report('heartbeat', 2, 'second' * 1000, ('s3://b/p/',)))\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path / "spool")], check=False)
    assert killed.returncode == -9
    assert any(name.endswith(".tmp") for name in os.listdir(tmp_path / "spool"))
    found = spool(tmp_path)
    assert waiting(found) == [1]
    found.add(report(3))  # the lock is free, and what was half-written goes
    assert waiting(found) == [1, 3]
    assert not any(name.endswith(".tmp") for name in os.listdir(tmp_path / "spool"))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"target": "x"}', '{"target": "x", "milliseconds": "y", "body": ""}']
)
def test_a_file_that_cannot_be_read_is_dropped_with_a_word(tmp_path: Path, text: str) -> None:
    said: list[str] = []
    found = spool(tmp_path, said=said)
    found.add(report(1))
    found.add(report(2))
    (tmp_path / "spool/0000000001.heartbeat.json").write_text(text)
    assert waiting(found) == [2]
    assert "cannot be read" in said[0]
    assert len(found) == 1


def _add_many(folder: Path, first: int) -> None:
    found = spool(folder)
    for _ in range(first, first + 50):
        found.add(report(found.moment(1_795_354_000.0), "heartbeat"))


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add_many, args=(tmp_path, first)) for first in (0, 50)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    found = waiting(spool(tmp_path))
    assert len(found) == len(set(found)) == 100
