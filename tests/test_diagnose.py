"""A failed group says which event and script failed, where, and what to type next."""

from dataclasses import replace

from fakes import NOON

from shipit.diagnose import diagnose
from shipit.events import GroupEnded
from shipit.models import EventStatus, LifecycleEvent, Overview, Phase, Target, TargetStatus

END = GroupEnded(
    group="email",
    deployment_id="d-1",
    phase=Phase.FAILED,
    overview=Overview(failed=1, skipped=1),
    seconds=9,
    at=NOON,
    error_code="HEALTH_CONSTRAINTS",
    error_message="too many individual instances failed",
)


def target(name: str, *events: LifecycleEvent, status: TargetStatus = TargetStatus.FAILED) -> Target:
    return Target(instance_id=name, status=status, events=events)


def failed(event: str, **more: str) -> LifecycleEvent:
    return LifecycleEvent(name=event, status=EventStatus.FAILED, **more)  # type: ignore[arg-type]  # text fields only


def skipped(event: str) -> LifecycleEvent:
    return LifecycleEvent(name=event, status=EventStatus.SKIPPED)


def test_the_failed_script_is_the_cause_and_its_target_comes_first() -> None:
    broken = failed("AfterInstall", script="scripts/after.sh", error_code="ScriptFailed", log_tail="boom")
    found = diagnose(END, [target("i-1", skipped("AfterInstall")), target("i-2", broken)], build="v2")
    assert found.cause == "AfterInstall: scripts/after.sh exited with an error"
    assert [t.instance_id for t in found.targets] == ["i-2", "i-1"]
    assert "inv deploy" in found.next_step


def test_targets_that_succeeded_are_not_shown() -> None:
    good = target("i-3", status=TargetStatus.SUCCEEDED)
    assert diagnose(END, [good], build="v2").targets == ()


def test_a_failing_application_stop_is_blamed_on_the_installed_revision() -> None:
    found = diagnose(END, [target("i-1", failed("ApplicationStop", script="stop.sh"))], build="v2")
    assert "installed revision" in found.next_step


def test_health_constraints_with_no_event_ever_run_point_at_the_agent() -> None:
    found = diagnose(END, [target("i-1", skipped("BeforeInstall"))], build="v2")
    assert "agent" in found.cause


def test_an_event_that_fails_without_a_script_shows_its_message() -> None:
    found = diagnose(END, [target("i-1", failed("DownloadBundle", error_code="UnknownError"))], build="v2")
    assert found.cause == "DownloadBundle failed: UnknownError"
    assert "agent's log" in found.next_step


def test_a_partial_success_says_how_many_were_left_behind() -> None:
    end = replace(END, phase=Phase.PARTIAL, error_code="", error_message="")
    assert "2 of 2 instances were left behind" in diagnose(end, [], build="v2").cause


def test_every_cause_ends_in_a_command() -> None:
    for code in ("BUSY", "NOT_CREATED", "NO_INSTANCES", "HEALTH_CONSTRAINTS", "MANUAL_STOP", ""):
        assert "inv deploy" in diagnose(replace(END, error_code=code), [], build="v2").next_step
