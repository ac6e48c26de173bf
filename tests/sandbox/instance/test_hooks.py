"""A hook fails the way the agent says it does, and its log is what the agent would show."""

from __future__ import annotations

import os
import signal
import time

from instances import Driver, bundle, tgz

from shipit.models import EventStatus
from shipit.sandbox.agents import Outcome


def packed(script: str, *, timeout: int = 60, mode: int = 0o755, location: str = "hook.sh", user: str = "") -> bytes:
    hook = f"{{location: {location}, timeout: {timeout}{user}}}"
    head = f"version: 0.0\nos: linux\nhooks: {{BeforeInstall: [{hook}]}}"
    return tgz({"appspec.yml": head, "hook.sh": script}, mode=mode)


def failed(outcome: Outcome) -> tuple[str, str, str]:
    assert outcome.status is EventStatus.FAILED
    return outcome.error_code, outcome.script, outcome.message


def test_an_exit_code_other_than_zero_is_script_failed(driver: Driver) -> None:
    outcome = driver.deploy(packed("#!/bin/sh\necho out\necho err >&2\nexit 7\n"))
    assert failed(outcome) == (
        "ScriptFailed",
        "hook.sh",
        "Script at specified location: hook.sh failed with exit code 7",
    )
    assert sorted(outcome.log_tail.splitlines()) == [
        "LifecycleEvent - BeforeInstall",
        "Script - hook.sh",
        "[stderr]err",
        "[stdout]out",
    ]


def test_the_user_of_the_script_is_named(driver: Driver) -> None:
    outcome = driver.deploy(packed("#!/bin/sh\nexit 1\n", user=", runas: web"))
    assert "hook.sh run as user web failed with exit code 1" in outcome.message


def test_a_script_that_a_signal_ends_has_failed(driver: Driver) -> None:
    assert "exit code 143" in driver.hook("kill -TERM $$").message


def test_a_missing_script_is_named(driver: Driver) -> None:
    assert failed(driver.deploy(packed("", location="scripts/gone.sh"))) == (
        "ScriptMissing",
        "scripts/gone.sh",
        "Script does not exist at specified location: scripts/gone.sh",
    )


def test_a_script_without_x_bits_is_given_them(driver: Driver) -> None:
    assert driver.deploy(packed("#!/bin/sh\nexit 0\n", mode=0o644)).status is EventStatus.SUCCEEDED


def test_a_script_whose_interpreter_is_missing_is_not_executable(driver: Driver) -> None:
    assert failed(driver.deploy(packed("#!/no/such/shell\n")))[:2] == ("ScriptNotExecutable", "hook.sh")


def test_a_script_without_an_interpreter_line_runs_in_a_shell(driver: Driver) -> None:
    assert "exit code 4" in driver.deploy(packed("exit 4\n")).message


def test_a_script_that_runs_out_of_time_is_ended_with_its_children(driver: Driver) -> None:
    outcome = driver.hook('sleep 600 & echo $! >"$SHIPIT_ROOT/child"; echo waiting; wait')
    assert failed(outcome) == (
        "ScriptTimedOut",
        "BeforeInstall.sh",
        "Script at specified location: BeforeInstall.sh failed to complete in 1 seconds",
    )
    assert outcome.log_tail.endswith("[stdout]waiting\n")
    assert ended(driver)


def test_a_script_that_closed_its_streams_runs_out_of_time_too(driver: Driver) -> None:
    assert failed(driver.hook("exec >/dev/null 2>&1; sleep 600"))[0] == "ScriptTimedOut"


def test_a_script_that_ignores_sigterm_is_killed_after_the_grace(driver: Driver) -> None:
    outcome = driver.hook('trap "" TERM; echo $$ >"$SHIPIT_ROOT/child"; while :; do sleep 600; done')
    assert failed(outcome)[0] == "ScriptTimedOut"
    assert ended(driver)


def test_a_background_child_that_holds_stdout_fails_the_event_at_its_timeout(driver: Driver) -> None:
    outcome = driver.hook('sleep 600 & echo $! >"$SHIPIT_ROOT/child"; echo started; exit 0')
    assert failed(outcome) == (
        "UnknownError",
        "BeforeInstall.sh",
        "Script at specified location: BeforeInstall.sh failed to close STDOUT",
    )
    assert outcome.log_tail.endswith("[stdout]started\n")
    assert not ended(driver)  # the agent leaves it alone


def test_a_background_child_that_redirects_its_streams_is_fine(driver: Driver) -> None:
    assert driver.hook("sleep 600 >/dev/null 2>&1 </dev/null &").status is EventStatus.SUCCEEDED


def test_stdin_is_at_its_end(driver: Driver) -> None:
    assert "exit code 9" in driver.hook("cat || exit 1; exit 9").message


def test_a_script_leads_a_process_group_of_its_own(driver: Driver) -> None:
    assert driver.hook('[ "$(ps -o pgid= -p $$ | tr -d " ")" = $$ ]').status is EventStatus.SUCCEEDED


def test_ten_megabytes_of_output_leave_a_tail_of_two_kilobytes(driver: Driver) -> None:
    content = packed("#!/bin/sh\nyes 'a line of output' | head -c 10000000\necho; echo the last line; exit 1\n")
    outcome = driver.deploy(content)
    assert failed(outcome)[0] == "ScriptFailed"
    assert outcome.log_tail.endswith("[stdout]the last line\n")
    assert 2000 < len(outcome.log_tail) < 2048
    assert len(driver.log()) > 10_000_000


def test_one_line_of_ten_megabytes_does_not_choke_the_agent(driver: Driver) -> None:
    outcome = driver.deploy(packed("#!/bin/sh\nhead -c 10000000 /dev/zero | tr '\\0' x\necho; echo end; exit 1\n"))
    assert outcome.log_tail.endswith("[stdout]end\n")


def test_a_last_line_of_two_kilobytes_empties_the_tail(driver: Driver) -> None:
    script = "#!/bin/sh\necho important\nhead -c 2048 /dev/zero | tr '\\0' x\necho\nexit 1\n"
    assert driver.deploy(packed(script)).log_tail == ""


def test_a_last_line_without_a_newline_is_logged(driver: Driver) -> None:
    assert driver.hook("printf unfinished; exit 1").log_tail.endswith("[stdout]unfinished")


def test_bytes_that_are_not_text_do_not_break_the_log(driver: Driver) -> None:
    assert "[stdout]\ufffd\n" in driver.hook("printf '\\377\\n'; exit 1").log_tail


def test_the_scripts_after_one_that_failed_do_not_run(driver: Driver) -> None:
    head = "version: 0.0\nos: linux\nhooks: {BeforeInstall: [{location: a.sh}, {location: b.sh}]}"
    files = {"appspec.yml": head, "a.sh": "#!/bin/sh\nexit 1\n", "b.sh": '#!/bin/sh\ntouch "$SHIPIT_ROOT/ran"\n'}
    assert driver.deploy(tgz(files)).script == "a.sh"
    assert not (driver.folder.root / "ran").exists()


def test_a_second_run_of_an_event_appends_to_the_log(driver: Driver) -> None:
    driver.deploy(bundle(BeforeInstall="echo once"))
    driver.run("BeforeInstall")
    assert driver.log().count("[stdout]once") == 2


def ended(driver: Driver) -> bool:
    """Tell whether the process that the script noted has ended, or does within five seconds of a signal."""
    pid = int((driver.folder.root / "child").read_text())
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with open(handle, "rb"):
        for _ in range(50):
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
            time.sleep(0.01)
        signal.pidfd_send_signal(handle, 0)
        return False
