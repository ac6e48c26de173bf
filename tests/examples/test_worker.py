"""The example application, the settings that deploy it and the reference bundle agree with one another."""

from __future__ import annotations

import runpy
import stat
from fnmatch import fnmatch
from pathlib import Path

from shipit.sandbox.instance.manifest import read_manifest
from shipit.settings import load

PROJECT = Path(__file__).parents[2]
NAMES = runpy.run_path(str(PROJECT / "examples/worker/worker/queues.py"))
QUEUES: tuple[str, ...] = NAMES["QUEUES"]


def test_the_sandbox_has_the_queues_of_the_application() -> None:
    sandbox = load("sandbox", start=PROJECT).sandbox
    assert sandbox
    assert sandbox.queue_names == QUEUES
    assert sandbox.queues == len(QUEUES) == 50


def test_queues_can_be_chosen_by_pattern() -> None:
    assert sum(fnmatch(queue, "email-*") for queue in QUEUES) == 5
    assert list(QUEUES) == sorted(set(QUEUES))


def test_every_task_goes_to_a_queue_that_exists() -> None:
    assert {route["queue"] for route in NAMES["ROUTES"].values()} <= set(QUEUES)


def test_every_hook_of_the_appspec_is_an_executable_script() -> None:
    manifest = read_manifest(PROJECT / "appspec")
    locations = [script.location for scripts in manifest.hooks.values() for script in scripts]
    assert len(locations) == 4
    for location in locations:
        assert (PROJECT / location).stat().st_mode & stat.S_IXUSR


def test_no_stop_script_of_an_installed_build_can_block_the_next_one() -> None:
    assert "ApplicationStop" not in read_manifest(PROJECT / "appspec").hooks


def test_the_unit_is_named_for_the_application() -> None:
    application = load("sandbox", start=PROJECT).application
    assert (PROJECT / f"examples/worker/systemd/{application}@.service").is_file()
