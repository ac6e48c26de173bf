"""A target is gone or to blame, never both."""

from datetime import timedelta

import pytest
from diagnosing import (
    END,
    ENDED,
    HANGING,
    NOT_RECEIVED,
    RECLAIMED,
    event,
    fact,
    failed,
    member,
    script,
    skipped,
    target,
    verdict,
)
from fakes import NOON

from shipit.diagnose import explain, judge, note
from shipit.models import (
    Cause,
    EventStatus,
    TargetStatus,
)

# -- gone ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"])
def test_an_instance_that_ec2_took_back_is_reclaimed_though_its_group_has_not_noticed(code: str) -> None:
    found = verdict(HANGING, member(), fact("stopping", code))
    assert found.cause is Cause.RECLAIMED
    assert code in found.detail


@pytest.mark.parametrize("state", ["shutting-down", "terminated", "stopping", "stopped"])
def test_an_instance_that_was_ended_otherwise_is_scaled_in(state: str) -> None:
    found = verdict(HANGING, member(state="Terminating:Proceed"), fact(state, "Client.UserInitiatedShutdown"))
    assert found.cause is Cause.SCALED_IN
    assert "has it as Terminating:Proceed" in found.detail


def test_a_spot_instance_that_ended_for_no_stated_reason_is_not_called_reclaimed() -> None:
    assert verdict(HANGING, {}, fact("terminated")).cause is Cause.SCALED_IN


def test_an_instance_that_nobody_knows_any_more_is_gone_and_said_so_with_less_certainty() -> None:
    found = verdict(HANGING, member("i-other"))
    assert found.cause.gone
    assert "by all signs" in found.detail


def test_an_instance_that_only_ec2_has_forgotten_lives_until_its_group_lets_it_go() -> None:
    assert verdict(HANGING, member()).cause is Cause.RUNNING
    assert verdict(HANGING, member(state="Terminated"), {}).cause is Cause.SCALED_IN


def test_where_nothing_was_read_no_instance_is_called_gone() -> None:
    assert verdict(HANGING).cause is Cause.RUNNING
    assert verdict(target("i-1", skipped("BeforeInstall"))).cause is Cause.AGENT_DEAD


def test_an_event_that_lapsed_on_a_dead_instance_blames_nobody() -> None:
    for lapsed in (
        failed("AfterInstall", message=NOT_RECEIVED, error_code="UnknownError"),
        failed("AfterInstall", started_at=NOON, ended_at=NOON + timedelta(hours=1), error_code="UnknownError"),
        failed("AfterInstall", error_code="UnknownError"),
    ):
        assert verdict(target("i-1", lapsed), {}, RECLAIMED).cause is Cause.RECLAIMED


def test_an_instance_on_its_way_out_is_not_gone_while_its_event_runs() -> None:
    waiting = member(state="Terminating:Wait")
    assert verdict(HANGING, waiting, fact()).cause is Cause.RUNNING
    between = target(
        "i-1", event("ApplicationStop"), event("Install", EventStatus.PENDING), status=TargetStatus.PENDING
    )
    assert verdict(between, waiting, fact()).cause is Cause.SCALED_IN
    assert verdict(target("i-1", script()), waiting, fact()).cause is Cause.SCRIPT_FAILED


def test_an_instance_that_shut_itself_down_under_a_script_is_no_excuse() -> None:
    by_itself = fact("terminated", "Client.InstanceInitiatedShutdown")
    assert verdict(HANGING, {}, by_itself).cause is Cause.UNKNOWN
    untouched = target("i-1", event("ApplicationStop", EventStatus.PENDING), status=TargetStatus.PENDING)
    assert verdict(untouched, {}, by_itself).cause is Cause.SCALED_IN


# -- to blame -----------------------------------------------------------------------------------------------------


def test_a_script_that_failed_before_its_instance_went_is_still_to_blame() -> None:
    for facts in (RECLAIMED, ENDED):
        found = verdict(target("i-1", script()), {}, facts)
        assert found.cause is Cause.SCRIPT_FAILED
        assert "before it went" in found.detail
    assert verdict(target("i-1", script()), member("i-other")).cause is Cause.SCRIPT_FAILED


def test_a_script_that_the_shutdown_ended_is_excused_only_where_ec2_tells_of_the_shutdown() -> None:
    asked = target("i-1", script(code=143))
    assert verdict(asked, {}, RECLAIMED).cause is Cause.RECLAIMED
    assert "SIGTERM" in verdict(asked, {}, RECLAIMED).detail
    assert verdict(asked, member("i-other")).cause is Cause.SCRIPT_FAILED
    assert verdict(asked, member(), fact()).cause is Cause.SCRIPT_FAILED
    assert verdict(target("i-1", script(code=137)), {}, RECLAIMED).cause is Cause.SCRIPT_FAILED


def test_a_bundle_that_did_not_install_is_not_excused_by_a_later_death() -> None:
    refused = target("i-1", failed("Install", error_code="UnknownError", message="the file /x already exists"))
    found = verdict(refused, {}, RECLAIMED)
    assert found.cause is Cause.UNKNOWN
    assert "already exists" in found.detail


def test_a_timeout_is_the_scripts_own_or_the_hour_of_codedeploy() -> None:
    own = target("i-1", script(error_code="ScriptTimedOut", message="failed to complete in 300 seconds"))
    assert verdict(own, member(), fact()).cause is Cause.TIMED_OUT
    assert verdict(own, {}, RECLAIMED).cause is Cause.TIMED_OUT
    hour = target("i-1", failed("ApplicationStart", started_at=NOON, ended_at=NOON + timedelta(hours=1)))
    assert verdict(hour, member(), fact()).cause is Cause.TIMED_OUT


def test_a_living_instance_whose_commands_nobody_fetches_has_a_dead_agent() -> None:
    never = target("i-1", skipped("ApplicationStop"), skipped("BeforeInstall"))
    assert verdict(never, member(), fact()).cause is Cause.AGENT_DEAD
    later = target("i-1", event("ApplicationStop"), failed("Install", message=NOT_RECEIVED))
    assert verdict(later, member(), fact()).cause is Cause.AGENT_DEAD


def test_a_living_instance_that_was_not_reached_is_skipped_and_not_dead() -> None:
    assert verdict(target("i-1", skipped("Install"), status=TargetStatus.SKIPPED), member(), fact()).cause is (
        Cause.SKIPPED
    )


def test_what_nothing_explains_is_unknown() -> None:
    assert verdict(target("i-1"), member(), fact()).cause is Cause.UNKNOWN
    assert verdict(target("i-1", status=TargetStatus.UNKNOWN), member(), fact()).cause is Cause.UNKNOWN


def test_a_forgiven_application_stop_is_not_what_a_target_failed_of() -> None:
    forgiven = script("ApplicationStop", log_tail="old")
    moving = target("i-1", forgiven, event("Install", EventStatus.IN_PROGRESS), status=TargetStatus.IN_PROGRESS)
    assert verdict(moving, member(), fact()).cause is Cause.RUNNING
    assert verdict(moving, {}, RECLAIMED).cause is Cause.RECLAIMED
    ended = target("i-1", forgiven, event("Install"), script("ValidateService", code=3))
    assert note(explain(END, judge([ended], member(), fact()), build="v2")).event == "ValidateService"


def test_who_is_in_service_is_counted_by_the_group_alone() -> None:
    members = {**member("i-1"), **member("i-2", "Pending:Wait"), **member("i-3")}
    assert judge([target("i-9", script())], members, {}).in_service == 2
