"""A worker's unit stops its tasks gently, starts the release itself, says when it is ready; cron watches nothing."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from bundles import File, found, look, rules

UNIT = """
    [Unit]
    Description=worker %i
    [Service]
    Type=notify
    WorkingDirectory=/opt/shipit/worker/releases/%i
    ExecStart=/opt/shipit/worker/releases/%i/bin/worker
    ExecStop=/usr/bin/python3 scripts/drain.py --pid $MAINPID --wait 5 --grace 60 --cold 15
    KillMode=mixed
    TimeoutStopSec=2min
    Restart=on-failure
    """
WORKER = "#!/bin/sh\nexec python -m celery --app app worker\n"
NAME = "systemd/worker@.service"


def unit(old: str = "", new: str = "", **more: str | File) -> dict[str, str | File]:
    """Return the good unit with one line of it replaced, and the script that it starts."""
    assert old in UNIT
    files: dict[str, str | File] = {NAME: UNIT.replace(old, new) if old else UNIT, "bin/worker": WORKER}
    return {**files, **more}


def test_a_good_unit_has_no_findings() -> None:
    assert found(unit()) == []


@pytest.mark.parametrize(
    ("old", "new", "rule", "line"),
    [
        ("KillMode=mixed", "", "systemd-kill-mode", 3),
        ("KillMode=mixed", "KillMode=control-group", "systemd-kill-mode", 8),
        ("KillMode=mixed", "KillMode=mixed\n    KillMode=process", "systemd-kill-mode", 9),
        ("KillMode=mixed", "KillMode=mixed\n    KillMode=", "systemd-kill-mode", 3),
        ("Type=notify", "", "systemd-type", 3),
        ("Type=notify", "Type=simple", "systemd-type", 4),
        ("Restart=on-failure", "", "systemd-restart", 3),
        ("Restart=on-failure", "Restart=no", "systemd-restart", 10),
        ("TimeoutStopSec=2min", "", "systemd-stop-timeout", 3),
        ("TimeoutStopSec=2min", "TimeoutStopSec=80", "systemd-stop-timeout", 9),
        ("TimeoutStopSec=2min", "TimeoutSec=1min 20s", "systemd-stop-timeout", 9),
        ("releases/%i/bin/worker", "current/bin/worker", "systemd-current", 6),
        ("=/opt/shipit/worker/releases/%i\n", "=/opt/shipit/worker/current\n", "systemd-current", 5),
        (
            "Type=notify",
            "Type=notify\n    Environment=PYTHONPATH=/opt/shipit/worker/current/scripts",
            "systemd-current",
            5,
        ),
    ],
)
def test_what_is_wrong_with_a_unit_is_found_at_its_line(old: str, new: str, rule: str, line: int) -> None:
    files = unit(old, new)
    if rule == "systemd-stop-timeout" and not new:
        files = unit("--grace 60", "--grace 90")
        files[NAME] = str(files[NAME]).replace("    TimeoutStopSec=2min\n", "")
    assert found(files) == [(rule, NAME, line)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Type=notify", "Type=notify-reload"),
        ("TimeoutStopSec=2min", "TimeoutStopSec=infinity"),
        ("TimeoutStopSec=2min", "TimeoutStopSec=%i"),
        ("--grace 60", "--grace $GRACE"),
        ("ExecStop=/usr/bin/python3 scripts/drain.py --pid $MAINPID --wait 5 --grace 60 --cold 15", ""),
        ("Description=worker %i", "Description=start through current? no"),
    ],
)
def test_what_is_right_or_cannot_be_known_is_no_finding(old: str, new: str) -> None:
    assert found(unit(old, new)) == []


def test_a_drop_in_counts_after_its_unit() -> None:
    files = unit("KillMode=mixed", "")
    assert found({**files, f"{NAME}.d/10-kill.conf": "[Service]\nKillMode=mixed\n"}) == []
    assert found({**unit(), f"{NAME}.d/10-kill.conf": "[Service]\nKillMode=process\n"}) == [
        ("systemd-kill-mode", f"{NAME}.d/10-kill.conf", 2)
    ]


def test_the_grace_of_the_defaults_counts_where_the_drain_names_none() -> None:
    files = unit(" --wait 5 --grace 60 --cold 15", "")
    assert found(files) == []
    [finding] = look({**files, "scripts/defaults.env": "# long tasks\nSHIPIT_DRAIN_GRACE=600\n"}).findings
    assert finding.rule == "systemd-stop-timeout"
    assert "631.5 s" in finding.what


def test_the_projects_settings_go_before_the_defaults() -> None:
    files = unit(" --wait 5 --grace 60 --cold 15", "", **{"scripts/defaults.env": "SHIPIT_DRAIN_GRACE=60\n"})
    [finding] = look({**files, "scripts/settings.env": "SHIPIT_DRAIN_GRACE=300\n"}).findings
    assert "331.5 s" in finding.what


def test_without_any_the_drain_takes_what_is_built_into_it() -> None:
    drain = runpy.run_path(str(Path(__file__).parents[2] / "scripts/drain.py"))
    longest = sum(drain["BUILT_IN"].values())
    for seconds, expected in ((longest, {"systemd-stop-timeout"}), (longest + 1, set())):
        files = unit("TimeoutStopSec=2min", f"TimeoutStopSec={seconds:g}")
        files[NAME] = str(files[NAME]).replace(" --wait 5 --grace 60 --cold 15", "")
        assert rules(files) == expected


def test_a_unit_is_a_workers_by_its_name_its_command_or_its_script() -> None:
    bare = "[Service]\nType=simple\nKillMode=mixed\nRestart=always\nExecStart={}\n"
    assert rules({"x/worker.service": bare.format("/usr/bin/mine")}) == {"systemd-type"}
    assert rules({"x/a.service": bare.format("/opt/venv/bin/celery -A app worker")}) == {"systemd-type"}
    assert rules({"x/a.service": bare.format("-/srv/releases/%i/bin/run"), "bin/run": WORKER}) == {"systemd-type"}
    assert rules({"x/a.service": bare.format("/srv/bin/run"), "bin/run": "#!/bin/sh\nexec nginx\n"}) == set()
    assert rules({"x/a.service": bare.format("/opt/venv/bin/celery -A app beat")}) == set()


def test_any_unit_that_starts_through_current_is_found() -> None:
    files: dict[str, str | File] = {"a.service": "[Service]\nExecStart=/opt/x/current/bin/web\n"}
    assert found(files) == [("systemd-current", "a.service", 2)]


SPOT = "#!/bin/sh\ncurl -s http://169.254.169.254/latest/meta-data/spot/instance-action\n"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("etc/cron.d/spot", "* * * * * root curl http://169.254.169.254/latest/meta-data/spot/instance-action"),
        ("etc/cron.d/spot", "* * * * * root /opt/app/bin/look"),
        ("crontab", "* * * * * /opt/app/bin/look >/dev/null"),
    ],
)
def test_cron_that_looks_for_spot_notices_is_found(name: str, line: str) -> None:
    assert found({name: f"# every minute\n{line}\n", "bin/look": SPOT}) == [("spot-cron", name, 2)]
    assert found({name: f"# {line}\n", "bin/look": SPOT}) == []


def test_a_script_that_installs_such_a_cron_job_is_found() -> None:
    install = '#!/bin/sh\necho "* * * * * /opt/bin/look" | crontab -\n'
    assert found({"scripts/after.sh": install, "bin/look": SPOT}) == [("spot-cron", "scripts/after.sh", 2)]
    assert found({"scripts/after.sh": install, "bin/look": "#!/bin/sh\ntrue\n"}) == []


def test_a_timer_that_looks_for_spot_notices_is_found() -> None:
    files: dict[str, str | File] = {
        "systemd/spot.timer": "[Timer]\nOnCalendar=minutely\n",
        "systemd/spot.service": "[Service]\nExecStart=/opt/app/bin/look\n",
        "bin/look": SPOT,
    }
    assert found(files) == [("spot-cron", "systemd/spot.timer", 1)]
    assert found({**files, "bin/look": "#!/bin/sh\ntrue\n"}) == []


def test_a_service_that_looks_for_spot_notices_is_as_it_should_be() -> None:
    assert found({"a.service": "[Service]\nExecStart=/opt/app/bin/look\n", "bin/look": SPOT}) == []
