"""The example application, the settings that deploy it and the reference bundle agree with one another."""

from __future__ import annotations

import os
import runpy
import stat
import subprocess
import sys
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


def test_what_a_rehearsal_sends_goes_where_the_application_would_send_it() -> None:
    tasks = load("sandbox", start=PROJECT).rehearse.tasks
    assert tasks
    assert [t.queue for t in tasks] == [NAMES["ROUTES"][t.name]["queue"] for t in tasks]


def test_every_hook_of_the_appspec_is_an_executable_script() -> None:
    manifest = read_manifest(PROJECT / "appspec")
    locations = [script.location for scripts in manifest.hooks.values() for script in scripts]
    assert len(locations) == 4
    for location in locations:
        assert (PROJECT / location).stat().st_mode & stat.S_IXUSR


def test_no_stop_script_of_an_installed_build_can_block_the_next_one() -> None:
    assert "ApplicationStop" not in read_manifest(PROJECT / "appspec").hooks


def test_the_hooks_know_the_application_and_how_long_its_polls_are() -> None:
    lines = (PROJECT / "examples/worker/scripts/settings.env").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert settings == {"SHIPIT_CELERY_APP": "worker.app", "SHIPIT_DRAIN_WAIT": str(polls() + 1.5)}


def polls() -> float:
    code = "import worker.app as it; print(it.app.conf.broker_transport_options['wait_time_seconds'])"
    return float(ask(code))


def test_the_application_has_the_plugins_and_what_they_need() -> None:
    code = (
        "import sys, worker.app as it; c = it.app.conf\n"
        "print('shipit_worker' in sys.modules, c.task_acks_late, c.task_reject_on_worker_lost, c.task_time_limit,"
        " c.worker_prefetch_multiplier, len(c.broker_transport_options['predefined_queues']))\n"
    )
    assert ask(code) == "True True True 600 1 50\n"


def ask(code: str) -> str:
    """Run a line of Python as an instance would, and return what it prints."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SHIPIT_", "BROKER"))}
    env = {**kept, "PYTHONPATH": f"{PROJECT / 'scripts'}:{PROJECT / 'examples/worker'}"}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
