"""What an appspec points at in the bundle is there, can run, and does not keep the agent waiting."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from shipit.appspec import AppSpec, FileMapping, Finding, Hook, check_bundle, read_appspec
from shipit.models import Severity

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class File:
    text: bytes = b"#!/bin/sh\ntrue\n"
    executable: bool = True
    link: str = ""

    def read(self, limit: int) -> bytes:
        return self.text[:limit]


def check(script: bytes | File, *, location: str = "scripts/a.sh") -> list[Finding]:
    file = script if isinstance(script, File) else File(script)
    appspec = AppSpec(hooks={"AfterInstall": (Hook(location=location, line=5, column=7),)})
    return check_bundle(appspec, {"scripts/a.sh": file})


def test_the_reference_bundle_has_no_findings() -> None:
    bundle = {
        f"scripts/{p.name}": File(p.read_bytes(), executable=bool(p.stat().st_mode & 0o100))
        for p in (REPOSITORY / "scripts").iterdir()
        if p.is_file()
    }
    appspec, found = read_appspec((REPOSITORY / "appspec/appspec.yml").read_bytes())
    assert [str(f) for f in (*found, *check_bundle(appspec, bundle))] == []


def test_a_good_script_has_no_findings() -> None:
    assert check(b"#!/bin/sh\nset -eu\nsystemctl restart worker && echo ok || exit 1\n") == []


def test_a_binary_needs_no_first_line() -> None:
    assert check(b"\x7fELF\x02\x01\r\n") == []


@pytest.mark.parametrize(
    ("location", "words", "fix"),
    [
        ("scripts/b.sh", "is not in the bundle", "did you mean 'scripts/a.sh'?"),
        ("nowhere", "is not in the bundle", "commit it"),
        ("scripts/a.sh --now", "has arguments", "write 'scripts/a.sh'"),
    ],
)
def test_a_script_that_is_not_there_is_an_error_at_its_location(location: str, words: str, fix: str) -> None:
    (found,) = check(b"#!/bin/sh\n", location=location)
    assert words in found.reason
    assert fix in found.fix
    assert (found.line, found.column, found.severity) == (5, 7, Severity.ERROR)


def test_a_script_may_be_a_link_to_one_in_the_bundle() -> None:
    appspec = AppSpec(hooks={"AfterInstall": (Hook(location="hooks/run"),)})
    assert check_bundle(appspec, {"hooks/run": File(link="../scripts/a.sh"), "scripts/a.sh": File()}) == []
    (found,) = check_bundle(appspec, {"hooks/run": File(link="run")})
    assert "is not in the bundle" in found.reason


def test_a_script_without_a_first_line_is_an_error() -> None:
    (found,) = check(b"echo hello\n")
    assert (found.line, found.severity, "#!" in found.reason) == (1, Severity.ERROR, True)


def test_windows_line_ends_are_an_error_where_they_begin() -> None:
    (found,) = check(b"#!/bin/sh\necho\r\n")
    assert (found.line, found.severity) == (2, Severity.ERROR)


@pytest.mark.parametrize(
    "line",
    [
        "celery worker &",
        "nohup celery worker &",
        "celery worker > log &",
        "celery worker 2>&1 &",
        "cd /opt; celery worker & echo $!",
        "celery \\\n  worker &",
        "(celery worker) &",
    ],
)
def test_a_background_child_with_an_open_stdout_is_a_warning(line: str) -> None:
    (found,) = check(f"#!/bin/sh\n{line}\n".encode())
    assert "keeps stdout open" in found.reason
    assert (found.line, found.severity) == (2 + line.count("\n"), Severity.WARNING)


@pytest.mark.parametrize(
    "line",
    [
        "celery worker >/dev/null 2>&1 </dev/null &",
        "celery worker &>/dev/null &",
        "celery \\\n  worker >log 2>&1 &",
        "{ a; b; } >log 2>&1 &",
        "a && b",
        "echo 'run it with &'",
        'echo "a & b"',
        "# celery &",
        "celery >&2",
        "a &\nwait",
        "exec >/var/log/hook 2>&1\ncelery &",
        "echo \\&",
    ],
)
def test_what_lets_go_of_stdout_is_no_finding(line: str) -> None:
    assert check(f"#!/bin/bash\n{line}\n".encode()) == []


def test_only_shell_is_searched_for_background_children() -> None:
    assert check(b"#!/usr/bin/env python3\nmask = flags &\n") == []


def test_a_source_that_the_bundle_lacks_is_an_error_at_its_line() -> None:
    appspec = AppSpec(files=(FileMapping(source="src", destination="/opt/a", line=4),))
    errors = [f for f in check_bundle(appspec, {"srcs/a.py": File()}) if f.severity is Severity.ERROR]
    assert [(f.line, f.fix) for f in errors] == [(4, "did you mean 'srcs'?")]


def test_a_folder_is_a_source() -> None:
    appspec = AppSpec(files=(FileMapping(source="src", destination="/opt/a"),))
    assert not [f for f in check_bundle(appspec, {"src/a.py": File()}) if f.severity is Severity.ERROR]


def test_an_install_under_running_code_is_a_warning_unless_a_hook_switches_releases() -> None:
    appspec = AppSpec(
        files=(FileMapping(source="", destination="/srv/app"),),
        hooks={"AfterInstall": (Hook(location="scripts/a.sh"),)},
    )
    (found,) = check_bundle(appspec, {"scripts/a.sh": File()})
    assert found.reason.startswith("Install empties /srv/app")
    assert check_bundle(appspec, {"scripts/a.sh": File(b"#!/bin/sh\nln -sfn a b\n")}) == []
