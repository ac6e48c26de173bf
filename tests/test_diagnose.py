"""A target is gone or to blame, never both; equal failures are told as one; each comes with a command."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import NOON
from hypothesis import given
from hypothesis import strategies as st

from shipit.diagnose import cluster, explain, judge, note
from shipit.events import GroupDiagnosed, GroupEnded
from shipit.models import (
    Cause,
    EventStatus,
    Examination,
    Instance,
    InstanceFacts,
    Judged,
    LifecycleEvent,
    Overview,
    Phase,
    Target,
    TargetStatus,
)

END = GroupEnded(
    group="email",
    deployment_id="d-EMAIL0001",
    phase=Phase.FAILED,
    overview=Overview(failed=1, skipped=1),
    seconds=9,
    at=NOON,
    error_code="HEALTH_CONSTRAINTS",
    error_message="too many individual instances failed",
)
NOT_RECEIVED = "CodeDeploy agent was not able to receive the lifecycle event. Check the CodeDeploy agent logs"
AGAIN = "inv deploy --build v2 --only email"


def event(name: str, status: EventStatus = EventStatus.SUCCEEDED, **more: object) -> LifecycleEvent:
    return LifecycleEvent(name=name, status=status, **more)  # type: ignore[arg-type]  # fields by name


def failed(name: str, **more: object) -> LifecycleEvent:
    return event(name, EventStatus.FAILED, **more)


def skipped(name: str) -> LifecycleEvent:
    return event(name, EventStatus.SKIPPED)


def script(name: str = "AfterInstall", code: int = 1, **more: object) -> LifecycleEvent:
    said = f"Script at specified location: scripts/after.sh run as user app failed with exit code {code}"
    whole = {"script": "scripts/after.sh", "error_code": "ScriptFailed", "message": said, "log_tail": "boom", **more}
    return failed(name, **whole)


def target(name: str, *events: LifecycleEvent, status: TargetStatus = TargetStatus.FAILED) -> Target:
    return Target(instance_id=name, status=status, events=events)


def member(name: str = "i-1", state: str = "InService") -> dict[str, Instance]:
    return {name: Instance(id=name, asg="worker-email", state=state)}


def fact(state: str = "running", code: str = "", name: str = "i-1") -> dict[str, InstanceFacts]:
    return {name: InstanceFacts(id=name, state=state, reason_code=code, lifecycle="spot")}


RECLAIMED = fact("terminated", "Server.SpotInstanceTermination")
ENDED = fact("shutting-down", "Client.UserInitiatedShutdown")
HANGING = target(
    "i-1", event("ApplicationStop"), event("AfterInstall", EventStatus.IN_PROGRESS), status=TargetStatus.IN_PROGRESS
)


def verdict(
    found: Target, members: dict[str, Instance] | None = None, facts: dict[str, InstanceFacts] | None = None
) -> Judged:
    (judged,) = judge([found], members or {}, facts or {}).judged
    return judged


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


# -- explained ----------------------------------------------------------------------------------------------------


def explained(
    *targets: Target, end: GroupEnded = END, facts: dict[str, InstanceFacts] | None = None
) -> GroupDiagnosed:
    living = {t.instance_id: InstanceFacts(id=t.instance_id, state="running") for t in targets}
    members = {t.instance_id: Instance(id=t.instance_id, asg="worker-email") for t in targets}
    return explain(end, judge(targets, members, {**living, **(facts or {})}), build="v2")


def test_the_failed_script_is_the_cause_and_its_target_comes_first() -> None:
    found = explained(target("i-1", skipped("AfterInstall"), status=TargetStatus.SKIPPED), target("i-2", script()))
    assert found.cause == "AfterInstall, exit 1: scripts/after.sh"
    assert found.next_step == "mend scripts/after.sh, commit, then inv deploy"
    assert [j.target.instance_id for j in found.judged] == ["i-2", "i-1"]
    kept = note(found)
    assert (kept.event, kept.script, kept.log_tail) == ("AfterInstall", "scripts/after.sh", "boom")
    assert kept.instances == ("i-2", "i-1")


def test_a_broken_script_is_told_before_any_number_of_reclaimed_instances() -> None:
    gone = [target(f"i-{n}", skipped("Install")) for n in range(2, 9)]
    facts = {t.instance_id: replace(RECLAIMED["i-1"], id=t.instance_id) for t in gone}
    assert explained(*gone, target("i-1", script()), facts=facts).cause.startswith("AfterInstall, exit 1")


def test_of_two_things_to_blame_the_one_of_more_instances_is_told() -> None:
    dead = [target(f"i-{n}", skipped("Install")) for n in range(2, 5)]
    assert "agent" in explained(target("i-1", script()), *dead).cause


def test_a_failing_application_stop_is_the_installed_revisions_and_may_be_ignored() -> None:
    found = explained(target("i-1", script("ApplicationStop")))
    assert "installed revision" in found.next_step
    assert f"{AGAIN} --ignore-stop-failures" in found.next_step


def test_a_dead_agent_comes_with_a_checklist_and_the_command_that_restarts_it() -> None:
    found = explained(target("i-1", skipped("BeforeInstall")), target("i-2", skipped("BeforeInstall")))
    for word in ("send-command", "--instance-ids i-1 i-2;", "systemctl", "role", "clock", "disk", AGAIN):
        assert word in found.next_step, word


def test_reclaimed_instances_are_counted_and_deployed_again() -> None:
    end = replace(END, overview=Overview(succeeded=3, failed=1))
    found = explained(target("i-1", skipped("Install")), end=end, facts=RECLAIMED)
    assert found.cause.startswith("of 4 instances 1 reclaimed")
    assert found.next_step == AGAIN


def test_an_event_that_fails_without_a_script_points_at_the_agents_log() -> None:
    found = explained(target("i-1", failed("DownloadBundle", error_code="UnknownError", message="no such key")))
    assert found.cause == "DownloadBundle failed: no such key"
    assert "agent's log on i-1" in found.next_step


def test_a_timeout_says_what_to_change() -> None:
    own = explained(target("i-1", script(error_code="ScriptTimedOut", message="")))
    assert own.cause == "AfterInstall, timed out: scripts/after.sh"
    assert "appspec.yml" in own.next_step
    hour = explained(target("i-1", failed("Install", started_at=NOON, ended_at=NOON + timedelta(hours=1))))
    assert "hour" in hour.cause


def test_a_partial_success_says_how_many_were_left_behind() -> None:
    end = replace(END, phase=Phase.PARTIAL, error_code="", error_message="")
    assert "2 of 2 instances were left behind" in explained(end=end).cause


def test_a_config_that_leaves_no_slot_is_not_blamed_on_the_agents() -> None:
    end = replace(END, overview=Overview(skipped=1))
    found = explained(target("i-1", skipped("Install"), status=TargetStatus.SKIPPED), end=end)
    assert "deployment config" in found.cause
    assert "deployment-config" in found.next_step


def test_a_busy_group_names_its_holder() -> None:
    held = replace(END, error_code="BUSY", error_message="email: deployment d-OTHER0001 is still running there")
    assert "d-OTHER0001" in explained(end=held).cause


def test_every_end_comes_with_a_command() -> None:
    for code in ("BUSY", "NOT_CREATED", "REFUSED", "NO_INSTANCES", "HEALTH_CONSTRAINTS", "MANUAL_STOP", ""):
        for phase in (Phase.FAILED, Phase.STOPPED, Phase.PARTIAL):
            assert AGAIN in explained(end=replace(END, error_code=code, phase=phase)).next_step


def test_names_that_a_shell_would_read_are_quoted() -> None:
    end = replace(END, group="e mail;rm", error_code="NO_INSTANCES")
    assert "--only 'e mail;rm'" in explained(end=end).next_step


# -- joined -------------------------------------------------------------------------------------------------------


def group_failure(
    name: str, *targets: Target, facts: dict[str, InstanceFacts] | None = None, **more: str
) -> GroupDiagnosed:
    end = replace(END, group=name, deployment_id=f"d-{name.upper()}00000", **more)  # type: ignore[arg-type]  # text
    return explained(*targets, end=end, facts=facts)


def test_equal_failures_are_one_whatever_ids_paths_and_numbers_they_hold() -> None:
    failures = [
        group_failure(
            f"q{n}",
            *(
                target(f"i-{n}-{k}", failed("Install", message=f"/root/d-ABCDEF{n}{k}0/x{k}: exists, {k} bytes"))
                for k in range(3)
            ),
        )
        for n in range(12)
    ]
    (found,) = cluster(failures)
    assert len(found.instances) == 36
    assert len(found.groups) == 12
    assert found.cause == "Install failed: /root/…/…: exists, … bytes"
    assert len({f.likeness for f in failures}) == 1


def test_another_exit_code_script_or_event_is_another_failure() -> None:
    failures = [
        group_failure("a", target("i-1", script())),
        group_failure("b", target("i-2", script(code=2))),
        group_failure("c", target("i-3", script(script="scripts/other.sh"))),
        group_failure("d", target("i-4", script("ApplicationStart"))),
    ]
    assert len(cluster(failures)) == 4


def test_the_most_instances_come_first_but_what_is_only_gone_comes_last() -> None:
    gone = [target(f"i-g{n}", skipped("Install")) for n in range(9)]
    facts = {t.instance_id: replace(RECLAIMED["i-1"], id=t.instance_id) for t in gone}
    found = cluster(
        [
            group_failure("a", *gone, facts=facts),
            group_failure("b", target("i-1", script())),
            group_failure("c", target("i-2", script(code=2)), target("i-3", script(code=2))),
        ]
    )
    assert [c.groups for c in found] == [("c",), ("b",), ("a",)]


def test_instances_that_were_held_back_stand_with_the_cause_of_their_group() -> None:
    waiting = target("i-2", skipped("Install"), status=TargetStatus.SKIPPED)
    (found,) = cluster([group_failure("a", target("i-1", script()), waiting)])
    assert (found.instances, found.held_back) == (("i-1",), ("i-2",))
    assert found.sample
    assert found.sample.target.instance_id == "i-1"


def test_the_next_step_of_many_is_one_command_for_them_all() -> None:
    dead = [group_failure(n, target(f"i-{n}", skipped("Install"))) for n in ("a", "b")]
    step = cluster(dead)[0].next_step
    assert "--instance-ids i-a i-b;" in step
    assert step.endswith("inv deploy --build v2 --only a,b")
    many = [group_failure(f"q{n}", error_code="NO_INSTANCES") for n in range(40)]
    assert cluster(many)[0].next_step == "scale the group out, then inv deploy --build v2"


def test_busy_groups_are_one_though_each_has_another_holder() -> None:
    busy = [
        group_failure(
            n, error_code="BUSY", error_message=f"{n}: deployment d-{n.upper()}HOLDER0 is still running there"
        )
        for n in ("email", "reports")
    ]
    (found,) = cluster(busy)
    assert found.cause == "deployment … is still running there"
    assert found.instances == ()
    assert cluster(busy[:1])[0].cause == "deployment d-EMAILHOLDER0 is still running there"


# -- whatever happens ---------------------------------------------------------------------------------------------

EVENTS = st.builds(
    LifecycleEvent,
    name=st.sampled_from(["ApplicationStop", "Install", "AfterInstall"]),
    status=st.sampled_from(EventStatus),
    started_at=st.sampled_from([None, NOON]),
    ended_at=st.sampled_from([None, NOON + timedelta(minutes=1), NOON + timedelta(hours=1)]),
    error_code=st.sampled_from(["", "UnknownError", "ScriptFailed", "ScriptTimedOut", "ScriptMissing"]),
    script=st.sampled_from(["", "scripts/a.sh"]),
    message=st.sampled_from(["", NOT_RECEIVED, "failed with exit code 1", "failed with exit code 143"]),
)
FACTS = st.none() | st.builds(
    InstanceFacts,
    id=st.just("i"),
    state=st.sampled_from(["pending", "running", "shutting-down", "terminated", "stopping", "stopped"]),
    lifecycle=st.sampled_from(["spot", "on-demand"]),
    reason_code=st.sampled_from(
        ["", "Server.SpotInstanceTermination", "Client.UserInitiatedShutdown", "Client.InstanceInitiatedShutdown"]
    ),
)
MEMBERS = st.none() | st.builds(
    Instance,
    id=st.just("i"),
    asg=st.just("asg"),
    state=st.sampled_from(["InService", "Pending:Wait", "Standby", "Terminating", "Terminating:Wait", "Terminated"]),
)
HISTORIES = st.lists(
    st.tuples(st.sampled_from(TargetStatus), st.lists(EVENTS, max_size=4), MEMBERS, FACTS), min_size=1, max_size=6
)
History = Sequence[tuple[TargetStatus, list[LifecycleEvent], Instance | None, InstanceFacts | None]]


def examined(histories: History, prefix: str = "i") -> tuple[list[Target], Examination]:
    names = [f"{prefix}-{n}" for n in range(len(histories))]
    targets = [target(n, *h[1], status=h[0]) for n, h in zip(names, histories, strict=True)]
    members = {n: replace(h[2], id=n) for n, h in zip(names, histories, strict=True) if h[2]}
    facts = {n: replace(h[3], id=n) for n, h in zip(names, histories, strict=True) if h[3]}
    return targets, judge(targets, members, facts)


@given(HISTORIES)
def test_each_target_that_did_not_succeed_gets_exactly_one_verdict(histories: History) -> None:
    targets, found = examined(histories)
    assert [j.target for j in found.judged] == [t for t in targets if t.status is not TargetStatus.SUCCEEDED]
    assert all(j.detail for j in found.judged)


@given(HISTORIES)
def test_an_instance_that_lives_and_whose_script_failed_is_never_gone(histories: History) -> None:
    _, found = examined(histories)
    facts = {f"i-{n}": h[3] for n, h in enumerate(histories)}
    for judged in found.judged:
        fact = facts[judged.target.instance_id]
        broken = any(e.status is EventStatus.FAILED and e.script for e in judged.target.events)
        assert not (fact and fact.alive and broken and judged.cause.gone)


@given(HISTORIES)
def test_an_instance_is_never_gone_while_ec2_and_its_group_have_it(histories: History) -> None:
    _, found = examined(histories)
    whole = {f"i-{n}": h for n, h in enumerate(histories)}
    for judged in found.judged:
        _, _, inside, fact = whole[judged.target.instance_id]
        if fact and fact.alive and not (inside and inside.state.startswith("Terminat")):
            assert not judged.cause.gone


@given(st.lists(HISTORIES, max_size=5))
def test_joining_failures_loses_no_group_and_no_instance_and_tells_none_twice(fleet: list[History]) -> None:
    failures = [
        explain(replace(END, group=f"q{n}"), examined(histories, f"i-q{n}")[1], build="v2")
        for n, histories in enumerate(fleet)
    ]
    found = cluster(failures)
    instances = [i for c in found for i in (*c.instances, *c.held_back)]
    assert sorted(instances) == sorted(j.target.instance_id for f in failures for j in f.judged)
    assert {g for c in found for g in c.groups} == {f.group for f in failures}
    assert all(c.cause and c.next_step for c in found)
    assert len({c.likeness for c in found}) == len(found)
