"""An error in a plugin is one line; a plugin that cannot be imported takes none of the others with it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from celery_workers import SCRIPTS
from shipit_worker.plugin import guarded, number, switched_on


def test_an_error_in_a_handler_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    @guarded
    def broken() -> None:
        raise ValueError("two\nlines")

    assert broken() is None
    [record] = caplog.records
    assert "ValueError: two lines" in record.getMessage()
    assert "\n" not in record.getMessage()
    assert not record.exc_info


def test_an_end_of_the_process_is_no_error_of_a_plugin() -> None:
    @guarded
    def ends() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        ends()


def test_a_plugin_that_cannot_be_imported_leaves_the_others() -> None:
    code = (
        "import sys; sys.modules['shipit_worker.keeper'] = None\n"
        "import shipit_worker\n"
        "from celery.signals import task_postrun, worker_ready\n"
        "print(len(task_postrun.receivers), len(worker_ready.receivers))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert ran.stdout == "1 1\n"
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize(("setting", "on"), [("off", False), ("0", False), ("No", False), ("", True), ("on", True)])
def test_a_plugin_is_on_unless_its_setting_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, setting: str, on: bool
) -> None:
    monkeypatch.setenv("SHIPIT_METRICS", setting)
    assert switched_on("metrics") is on


def test_a_setting_that_is_no_number_is_said_and_passed_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SHIPIT_VISIBILITY", "two minutes")
    assert number("VISIBILITY", 120) == 120
    assert "two minutes" in caplog.text
