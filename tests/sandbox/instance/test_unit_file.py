"""A unit file is read as systemd reads it, as far as a worker's process depends on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipit.sandbox.instance.unit_file import BadUnit, Unit, load_unit


def load(folder: Path, text: str, name: str = "worker@2026.11.24-gabc.service") -> Unit:
    (folder / "worker@.service").write_text(f"[Service]\n{text}\n")
    return load_unit(folder, name)


def test_a_template_gets_its_instance_name(tmp_path: Path) -> None:
    unit = load(tmp_path, "ExecStart=/opt/%i/run --name %n --of %p 100%%\nWorkingDirectory=/opt/%i")
    assert unit.command == (
        "/opt/2026.11.24-gabc/run",
        "--name",
        "worker@2026.11.24-gabc.service",
        "--of",
        "worker",
        "100%",
    )
    assert unit.working_directory == "/opt/2026.11.24-gabc"


def test_the_unescaped_instance_name_has_slashes_for_dashes(tmp_path: Path) -> None:
    assert load(tmp_path, "ExecStart=/run %I", r"worker@var-lib\x2dx.service").command == ("/run", "var/lib-x")


def test_the_defaults_are_systemds(tmp_path: Path) -> None:
    unit = load(tmp_path, "ExecStart=/run")
    assert (unit.type, unit.kill_mode, unit.stop_timeout, unit.start_timeout, unit.working_directory) == (
        "simple",
        "control-group",
        90,
        90,
        "/",
    )


def test_settings_that_matter_are_read(tmp_path: Path) -> None:
    unit = load(
        tmp_path, "# a comment\nExecStart=/run \\\n  'a b'\nType=notify\nKillMode=mixed\nTimeoutStopSec=1min 30s"
    )
    assert (unit.command, unit.type, unit.kill_mode, unit.stop_timeout) == (("/run", "a b"), "notify", "mixed", 90)


def test_an_infinite_time_is_infinite(tmp_path: Path) -> None:
    assert load(tmp_path, "ExecStart=/run\nTimeoutStopSec=infinity").stop_timeout == float("inf")


def test_the_environment_joins_lines_and_files_and_files_win(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# comment\n\nA=file\nB='two words'\nC=x=y\nE=two more words\n")
    unit = load(
        tmp_path,
        f"ExecStart=/run\nEnvironment=A=line SHIPIT_BUILD=%i\nEnvironment='D=d d'\n"
        f"EnvironmentFile={tmp_path}/env\nEnvironmentFile=-/no/such/file",
    )
    assert unit.environment == {
        "A": "file",
        "SHIPIT_BUILD": "2026.11.24-gabc",
        "D": "d d",
        "B": "two words",
        "C": "x=y",
        "E": "two more words",
    }


def test_an_empty_value_resets_a_setting(tmp_path: Path) -> None:
    assert load(tmp_path, "ExecStart=/a\nExecStart=\nExecStart=/b\nEnvironment=A=1\nEnvironment=").environment == {}


def test_a_time_that_cannot_be_read_leaves_the_one_before_as_systemd_does(tmp_path: Path) -> None:
    assert load(tmp_path, "ExecStart=/run\nTimeoutStopSec=7\nTimeoutStopSec=@STOP@").stop_timeout == 7
    assert load(tmp_path, "ExecStart=/run\nTimeoutStopSec=soon").stop_timeout == 90


def test_a_units_own_file_wins_over_the_template(tmp_path: Path) -> None:
    (tmp_path / "worker@x.service").write_text("[Service]\nExecStart=/own\n")
    assert load(tmp_path, "ExecStart=/template", "worker@x.service").command == ("/own",)


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        ("ExecStart=/run", "other.service", "Unit other.service not found"),
        ("ExecStart=/run", "worker@.service", "not found"),
        ("Type=simple", "worker@x.service", "ExecStart= needs an absolute path"),
        ("ExecStart=run", "worker@x.service", "ExecStart= needs an absolute path"),
        ("ExecStart=/run\nEnvironmentFile=/no/such/file", "worker@x.service", "/no/such/file"),
    ],
)
def test_a_unit_that_systemd_would_not_load_is_refused(text: str, name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(BadUnit, match=why):
        load(tmp_path, text, name)


def test_drop_ins_of_a_template_add_to_its_units(tmp_path: Path) -> None:
    (tmp_path / "worker@.service.d").mkdir()
    (tmp_path / "worker@.service.d/b.conf").write_text("[Service]\nExecStart=\nExecStart=/other\n")
    (tmp_path / "worker@.service.d/a.conf").write_text("[Unit]\nWants=x-%i.service y.service\n")
    unit = load(tmp_path, "ExecStart=/run", "worker@1.service")
    assert (unit.command, unit.wants) == (("/other",), ("x-1.service", "y.service"))


def test_drop_ins_of_the_template_are_for_a_unit_of_its_own_file_too(tmp_path: Path) -> None:
    for folder in ("worker@.service.d", "worker@x.service.d"):
        (tmp_path / folder).mkdir()
    (tmp_path / "worker@.service.d/a.conf").write_text("[Unit]\nWants=watcher.service\n[Service]\nKillMode=mixed\n")
    (tmp_path / "worker@x.service.d/b.conf").write_text("[Service]\nKillMode=process\n")
    (tmp_path / "worker@x.service").write_text("[Service]\nExecStart=/own\n")
    unit = load_unit(tmp_path, "worker@x.service")
    assert (unit.wants, unit.kill_mode) == (("watcher.service",), "process")
