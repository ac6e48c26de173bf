"""No history of answers, late, lost, double, out of order or false, makes the pure half lose, double or flatter."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from fakes import NOON, published
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rollout.world import World

from shipit.errors import AccountFull, AwsError, AwsLoggedOut, AwsThrottled, AwsUnavailable, GroupBusy, ShipitError
from shipit.events import Event, GroupEnded, GroupRetried, GroupStarted, Notice, RolloutHalted
from shipit.models import (
    Allowance,
    Cause,
    Deployment,
    DeploymentStatus,
    Examination,
    Judged,
    Overview,
    Phase,
    Target,
    TargetStatus,
)
from shipit.rollout import GroupState, Observed, OnBusy, Policy, RolloutState, advance, begin, decide
from shipit.rollout.decide import next_due
from shipit.rollout.state import Command, Errand, Examine, Find, Start, Stop

NAMES = "abc"
RETRIES = 2


def start(policy: Policy | None = None, **waves: int) -> RolloutState:
    return begin(World(*NAMES).plan(waves), policy or Policy())


def judged(cause: Cause, status: TargetStatus, instance: str = "i-1") -> Judged:
    return Judged(target=Target(instance_id=instance, status=status), cause=cause)


# -- random histories ----------------------------------------------------------------------------------------------

ERRORS: st.SearchStrategy[ShipitError] = st.sampled_from(
    [
        AwsUnavailable("out of reach"),
        AwsThrottled("too many"),
        AccountFull("full"),
        GroupBusy("a", "d-other"),
        AwsError("denied"),
    ]
)
OVERVIEWS = st.builds(
    Overview,
    pending=st.integers(0, 1),
    in_progress=st.integers(0, 2),
    succeeded=st.integers(0, 2),
    failed=st.integers(0, 1),
    skipped=st.integers(0, 1),
)
EXAMINATIONS = st.builds(
    Examination,
    judged=st.lists(
        st.builds(judged, st.sampled_from(Cause), st.sampled_from(TargetStatus), st.sampled_from(["i-1", "i-2"])),
        max_size=3,
    ).map(tuple),
    in_service=st.integers(0, 2),
)
MEMBERS = st.dictionaries(
    st.sampled_from(NAMES), st.frozensets(st.sampled_from(["i-a-1", "i-a-2", "i-new"])), max_size=3
)


@dataclass
class History:
    """Play what a driver would see: its commands answered in any order, and noise that answers nothing."""

    data: st.DataObject
    state: RolloutState
    now: datetime = NOON
    commands: list[Command] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    asked: Counter[tuple[str, int]] = field(default_factory=Counter)  # starts whose answer was not "nothing done"
    ids: dict[str, list[str]] = field(default_factory=lambda: {n: [] for n in NAMES})
    seen: dict[str, Overview] = field(default_factory=dict)

    def decide(self) -> None:
        before = self.state
        self.state, commands = decide(before, self.now)
        for command in commands:
            group = before.groups[command.group]
            assert group.errand is None
            assert command.group not in {c.group for c in self.commands}, "two errands at once"
            if isinstance(command, Start):
                assert not before.closed
                assert group.wave <= before.wave
                assert group.deployments or not before.halted
                self.asked[command.group, command.attempt] += 1
                assert self.asked[command.group, command.attempt] == 1, "started twice for one try"
            elif isinstance(command, Examine | Stop) and command.deployment_id in group.deployments:
                assert command.deployment_id == group.deployment_id
        self.commands += commands

    def answer(self, command: Command) -> Observed:
        self.commands.remove(command)
        name, draw = command.group, self.data.draw
        match command:
            case Start(attempt=attempt) | Find(attempt=attempt):
                fate = draw(st.sampled_from(["made", "made", "error", "nothing"]))
                if fate == "made":
                    made = f"d-{name}-{attempt}"
                    self.ids[name].append(made)
                    return Observed(created={name: made})
                if fate == "error":
                    self.asked[name, attempt] = 0
                    return Observed(refused={name: draw(ERRORS)})
                self.asked[name, attempt] = 0
                if isinstance(command, Start):
                    return Observed(withdrawn=frozenset({name}))
                return Observed(absent=frozenset({name}))
            case Stop():
                return Observed(stopped={name: draw(st.none() | ERRORS)})
            case Examine():
                return Observed(examined={name: draw(EXAMINATIONS | ERRORS)})

    def noise(self) -> Observed:
        """Return what nobody asked for, or what is old, or what cannot be."""
        draw, name = self.data.draw, self.data.draw(st.sampled_from(NAMES))
        kind = draw(st.sampled_from(["poll", "poll", "poll", "members", "double", "stray", "holder"]))
        if kind == "poll" or (kind == "double" and not self.ids[name]):
            known = [d for d in self.ids[name] if d]
            if not known:
                return Observed()
            one = Deployment(
                id=draw(st.sampled_from(known)),
                group=name,
                status=draw(st.sampled_from(DeploymentStatus)),
                overview=draw(OVERVIEWS),
                error_code=draw(st.sampled_from(["", "NO_INSTANCES", "HEALTH_CONSTRAINTS"])),
            )
            return Observed(deployments={one.id: one})
        if kind == "members":
            return Observed(members=draw(MEMBERS))
        if kind == "double":
            return Observed(created={name: draw(st.sampled_from(self.ids[name]))})
        if kind == "holder":
            status = draw(st.sampled_from(DeploymentStatus))
            return Observed(deployments={"d-other": Deployment(id="d-other", group=name, status=status)})
        errand = self.state.groups[name].errand
        stray = draw(st.sampled_from(["refused", "stopped", "examined", "withdrawn", "absent"]))
        if stray == "refused" and errand not in (Errand.START, Errand.FIND):
            return Observed(refused={name: draw(ERRORS)})
        if stray == "stopped" and errand is not Errand.STOP:
            return Observed(stopped={name: None})
        if stray == "examined" and errand not in (Errand.LOOK, Errand.EXAMINE):
            return Observed(examined={name: draw(EXAMINATIONS)})
        if stray == "withdrawn" and errand is not Errand.START:
            return Observed(withdrawn=frozenset({name}))
        if stray == "absent" and errand is not Errand.FIND:
            return Observed(absent=frozenset({name}))
        return Observed()

    def tick(self) -> None:
        observed = Observed()
        if self.data.draw(st.booleans()) and self.commands:
            observed |= self.answer(self.data.draw(st.sampled_from(self.commands)))
        for _ in range(self.data.draw(st.integers(0, 2))):
            observed |= self.noise()
        before = self.state
        self.state, events = advance(before, observed, self.now)
        self.events += events
        self.holds(before, observed)
        self.now += timedelta(seconds=self.data.draw(st.sampled_from([0.0, 0.2, 3.0, 20.0, 400.0])))

    def holds(self, before: RolloutState, observed: Observed) -> None:
        state = self.state
        assert list(state.groups) == list(before.groups)
        for name, group in state.groups.items():
            if before.groups[name].phase.ended:
                assert group == before.groups[name], "what ended stays ended"
            assert len(set(group.deployments)) == len(group.deployments) <= group.tried <= 1 + RETRIES
            assert group.deployments[: len(before.groups[name].deployments)] == before.groups[name].deployments
            assert (group.phase is Phase.RUNNING) <= bool(group.deployments)
            if group.phase is Phase.SUCCEEDED and before.groups[name].phase is not Phase.SUCCEEDED:
                self.deserves(group)
        if before.halted:
            assert state.halted == before.halted

    @staticmethod
    def deserves(group: GroupState) -> None:
        """Hold a success against all that was seen: whoever failed or was skipped is gone."""
        if group.ended_as is not DeploymentStatus.SUCCEEDED:
            # A try at outdated instances that found none, after one of ours that succeeded.
            assert group.moved
            assert group.examination.in_service
            return
        bad = group.overview.total - group.overview.succeeded
        gone = [j for j in group.examination.judged if j.cause.gone]
        assert bad <= len(gone)
        assert all(j.cause.gone for j in group.examination.judged)


POLICIES = st.builds(
    Policy,
    failed_groups=st.sampled_from([None, Policy().failed_groups]),
    failed_instances=st.sampled_from([None, Policy().failed_groups]),
    on_busy=st.sampled_from(OnBusy),
    retries=st.just(RETRIES),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(st.data(), POLICIES)
def test_no_history_loses_a_group_doubles_a_try_or_calls_it_better_than_it_is(
    data: st.DataObject, policy: Policy
) -> None:
    history = History(data, start(policy, c=1))
    for _ in range(data.draw(st.integers(1, 40))):
        history.decide()
        history.tick()
        whim = data.draw(st.integers(0, 30))
        if whim == 0:
            history.state = replace(history.state, wave=1)
        elif whim == 1:
            history.state = replace(history.state, halted="by hand", closed=True)
    started = Counter((e.group, e.deployment_id) for e in history.events if isinstance(e, GroupStarted))
    ended = Counter(e.group for e in history.events if isinstance(e, GroupEnded))
    assert set(started.values()) <= {1}
    assert set(ended.values()) <= {1}
    assert set(ended) == {n for n, g in history.state.groups.items() if g.phase.ended}
    assert {(g.group, d) for g in history.state.groups.values() for d in g.deployments} == set(started)
    assert sum(isinstance(e, RolloutHalted) for e in history.events) <= 1


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(st.data(), POLICIES)
def test_after_any_history_a_world_that_answers_brings_every_group_to_rest(
    data: st.DataObject, policy: Policy
) -> None:
    history = History(data, start(policy))
    for _ in range(data.draw(st.integers(0, 25))):
        history.decide()
        history.tick()
    ours = {d: n for n, ids in history.ids.items() for d in ids}
    for _ in range(60):
        history.decide()
        observed = Observed()
        for command in list(history.commands):
            history.commands.remove(command)
            match command:
                case Find():
                    observed |= Observed(absent=frozenset({command.group}))
                    history.asked[command.group, command.attempt] = 0
                case Start():
                    made = f"d-{command.group}-{command.attempt}"
                    ours[made] = command.group
                    observed |= Observed(created={command.group: made})
                case Stop():
                    observed |= Observed(stopped={command.group: None})
                case Examine():
                    observed |= Observed(examined={command.group: Examination(in_service=2)})
        whole = Overview(succeeded=2)
        seen = {
            d: Deployment(id=d, group=n, status=DeploymentStatus.SUCCEEDED, overview=whole) for d, n in ours.items()
        }
        seen["d-other"] = Deployment(id="d-other", group="", status=DeploymentStatus.SUCCEEDED)
        members = {n: frozenset({f"i-{n}-1"}) for n in NAMES}
        history.state, _ = advance(history.state, observed | Observed(deployments=seen, members=members), history.now)
        history.now += timedelta(seconds=20)
    assert history.state.resting
    assert not any(g.errand for g in history.state.groups.values())
    for group in history.state.groups.values():
        assert group.phase.ended or (group.phase is Phase.WAITING and history.state.halted)


# -- single steps --------------------------------------------------------------------------------------------------


def running(overview: Overview = Overview(in_progress=2), **more: object) -> RolloutState:
    """Return a state in which `a` runs and the others wait for another wave."""
    state = start(Policy(failed_groups=None, failed_instances=None), b=1, c=1)
    state, _ = decide(state, NOON)
    state, _ = advance(state, Observed(created={"a": "d-1"}), NOON)
    state, _ = advance(state, Observed(deployments={"d-1": seen("InProgress", overview)}), NOON)
    return change(state, **more)


def change(state: RolloutState, **more: object) -> RolloutState:
    group = replace(state.groups["a"], **more)  # type: ignore[arg-type]  # fields by name, as replace takes them
    return replace(state, groups={**state.groups, "a": group})


def seen(status: str, overview: Overview, *, code: str = "", id: str = "d-1") -> Deployment:
    return Deployment(
        id=id,
        group="a",
        status=DeploymentStatus(status),
        overview=overview,
        error_code=code,
        revision=published().revision,
    )


def commands(state: RolloutState, seconds: float) -> tuple[Command, ...]:
    return decide(state, NOON + timedelta(seconds=seconds))[1]


def test_an_end_that_codedeploy_calls_success_is_looked_into_where_a_target_did_not_end_well() -> None:
    for overview in (Overview(), Overview(succeeded=1, pending=1), Overview(succeeded=1, skipped=1)):
        state, _ = advance(running(), Observed(deployments={"d-1": seen("Succeeded", overview)}), NOON)
        assert state.groups["a"].phase is Phase.EXAMINING, overview


def test_quiet_for_five_minutes_is_looked_into_and_then_not_again_at_once() -> None:
    state = running()
    assert not commands(state, 299)
    assert commands(state, 300) == (Examine(group="a", deployment_id="d-1", ended=False),)
    state, _ = decide(state, NOON + timedelta(seconds=300))
    alive = Examination(judged=(judged(Cause.RUNNING, TargetStatus.IN_PROGRESS),), in_service=2)
    state, _ = advance(state, Observed(examined={"a": alive}), NOON + timedelta(seconds=301))
    assert not commands(state, 500)
    assert commands(state, 601)


def test_what_a_look_saw_on_the_way_spends_no_budget_after_a_whole_success() -> None:
    slow = Examination(judged=(judged(Cause.AGENT_DEAD, TargetStatus.PENDING),), in_service=2)
    state = replace(
        running(errand=Errand.LOOK), policy=Policy(failed_groups=None, failed_instances=Allowance(count=1))
    )
    state, _ = advance(state, Observed(examined={"a": slow}), NOON)
    state, _ = advance(state, Observed(deployments={"d-1": seen("Succeeded", Overview(succeeded=2))}), NOON)
    assert state.groups["a"].phase is Phase.SUCCEEDED
    assert not state.groups["a"].examination.judged


def test_a_doomed_deployment_is_stopped_and_asked_again_only_where_the_stop_may_not_have_arrived() -> None:
    state = running(doomed=True)
    stop = (Stop(group="a", deployment_id="d-1"),)
    assert commands(state, 1) == stop
    state, _ = decide(state, NOON)
    lost, _ = advance(state, Observed(stopped={"a": AwsUnavailable("lost")}), NOON)
    assert not commands(lost, 1)
    assert commands(lost, 4) == stop
    taken, _ = advance(state, Observed(stopped={"a": None}), NOON)
    assert not commands(taken, 4)
    denied, events = advance(state, Observed(stopped={"a": AwsError("denied")}), NOON)
    assert not commands(denied, 4)
    assert [e.text for e in events if isinstance(e, Notice)] == ["a: not stopped: denied"]


def test_one_look_at_a_dead_one_before_living_ones_proves_nothing_and_two_do() -> None:
    gone = judged(Cause.RECLAIMED, TargetStatus.IN_PROGRESS, "i-1")
    waits = judged(Cause.RUNNING, TargetStatus.PENDING, "i-2")
    found = Examination(judged=(gone, waits), in_service=2)
    state, _ = advance(running(errand=Errand.LOOK), Observed(examined={"a": found}), NOON)
    assert not state.groups["a"].doomed
    state, _ = advance(change(state, errand=Errand.LOOK), Observed(examined={"a": found}), NOON)
    assert state.groups["a"].doomed


def test_a_look_that_is_refused_is_no_verdict_on_what_runs_and_is_not_repeated_at_once() -> None:
    state, events = advance(running(errand=Errand.LOOK), Observed(examined={"a": AwsError("denied")}), NOON)
    assert state.groups["a"].phase is Phase.RUNNING
    assert not events
    assert not commands(state, 10)


def test_a_busy_group_whose_holder_has_ended_is_neither_skipped_nor_asked_without_a_pause() -> None:
    state, _ = decide(start(Policy(on_busy=OnBusy.SKIP)), NOON)
    holder = seen("Succeeded", Overview(), id="d-other")
    busy = Observed(refused={"a": GroupBusy("a", "d-other")}, deployments={"d-other": holder})
    state, _ = advance(state, busy, NOON)
    assert state.groups["a"].phase is Phase.WAITING
    assert not [c for c in commands(state, 1) if c.group == "a"]
    assert [c for c in commands(state, 4) if c.group == "a"] == [Start(group="a", attempt=1)]


def test_a_group_that_its_own_last_try_still_holds_is_tried_again_whatever_the_policy() -> None:
    state = running(phase=Phase.WAITING, errand=Errand.START)
    state = replace(state, policy=Policy(on_busy=OnBusy.FAIL))
    state, _ = advance(state, Observed(refused={"a": GroupBusy("a", "d-1")}), NOON)
    assert state.groups["a"].phase is Phase.WAITING
    assert commands(state, 4) == (Start(group="a", attempt=2),)


def test_an_unsure_creation_is_looked_for_before_it_is_made_again_even_where_all_is_closed() -> None:
    state, _ = decide(start(), NOON)
    state, _ = advance(state, Observed(refused={"a": AwsUnavailable("lost")}), NOON)
    state = replace(state, halted="enough", closed=True)
    assert not state.resting
    find = Find(group="a", attempt=1)
    assert commands(state, 4) == (find,)
    state, _ = decide(state, NOON + timedelta(seconds=4))
    absent, _ = advance(state, Observed(absent=frozenset("a")), NOON)
    assert absent.groups["a"].phase is Phase.WAITING
    assert not commands(absent, 4)
    found, _ = advance(state, Observed(created={"a": "d-1"}), NOON)
    assert found.groups["a"].phase is Phase.RUNNING


def test_a_further_try_of_which_nobody_heard_is_looked_for_before_its_group_is_called_stopped() -> None:
    state = running(phase=Phase.WAITING, unsure=True)
    state = replace(state, halted="enough", closed=True)
    state, _ = advance(state, Observed(), NOON)
    assert commands(state, 1) == (Find(group="a", attempt=2),)
    state, _ = decide(state, NOON)
    absent, _ = advance(state, Observed(absent=frozenset("a")), NOON)
    assert absent.groups["a"].phase is Phase.STOPPED
    found, _ = advance(state, Observed(created={"a": "d-2"}), NOON)
    assert found.groups["a"].phase is Phase.RUNNING


def test_a_throttled_creation_was_not_made_and_is_not_looked_for() -> None:
    state, _ = decide(start(), NOON)
    state, _ = advance(state, Observed(refused={"a": AwsThrottled("too many")}), NOON)
    assert [c for c in commands(state, 1) if c.group == "a"] == [Start(group="a", attempt=1)]


def test_room_that_a_failure_made_is_used_only_when_it_was_judged() -> None:
    state, _ = decide(start(), NOON)
    state, _ = advance(state, Observed(created={"a": "d-1"}, refused={"b": AccountFull("full")}), NOON)
    state, _ = advance(state, Observed(withdrawn=frozenset("c")), NOON)
    failed = seen("Failed", Overview(failed=2), code="HEALTH_CONSTRAINTS")
    state, _ = advance(state, Observed(deployments={"d-1": failed}), NOON)
    assert commands(state, 1) == (Examine(group="a", deployment_id="d-1", ended=True),)
    state, _ = decide(state, NOON)
    broken = Examination(judged=(judged(Cause.SCRIPT_FAILED, TargetStatus.FAILED),), in_service=2)
    state, events = advance(state, Observed(examined={"a": broken}), NOON)
    assert [e for e in events if isinstance(e, RolloutHalted)]
    assert not commands(state, 60)


def test_the_next_due_moment_is_the_earliest_that_somebody_waits_for() -> None:
    soon, later = NOON + timedelta(seconds=3), NOON + timedelta(seconds=9)
    state = start()
    assert next_due(state, NOON) is None
    state = replace(change(state, not_before=later), resume_at=soon)
    assert next_due(state, NOON) == soon
    assert next_due(state, soon) == later
    assert next_due(change(state, errand=Errand.START), soon) is None


def test_a_clock_that_is_behind_makes_no_time_negative() -> None:
    past = NOON - timedelta(hours=1)
    state, events = advance(running(), Observed(deployments={"d-1": seen("Succeeded", Overview(succeeded=2))}), past)
    assert [e.seconds for e in events if isinstance(e, GroupEnded)] == [0.0]
    assert state.groups["a"].phase is Phase.SUCCEEDED


def test_a_retry_is_told_with_its_reason() -> None:
    gone = Examination(judged=(judged(Cause.RECLAIMED, TargetStatus.FAILED, "i-9"),), in_service=1)
    state = running(phase=Phase.EXAMINING, errand=Errand.EXAMINE, ended_as=DeploymentStatus.FAILED)
    state, events = advance(state, Observed(examined={"a": gone}), NOON)
    assert [e.reason for e in events if isinstance(e, GroupRetried)] == ["i-9 was reclaimed"]
    assert commands(state, 1) == (Start(group="a", attempt=2, outdated_only=True),)


@pytest.mark.parametrize("kind", ["refused", "stopped", "examined"])
def test_expired_credentials_are_heard_of_whichever_call_met_them(kind: str) -> None:
    expired, other = AwsLoggedOut("expired"), AwsUnavailable("away")
    assert Observed(**{kind: {"a": other, "b": expired}}).logged_out is expired  # type: ignore[arg-type]  # by name
    assert Observed(**{kind: {"a": other}}).logged_out is None  # type: ignore[arg-type]  # by name
