"""No history of answers, late, lost, double, out of order or false, makes the pure half lose, double or flatter."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fakes import NOON
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rollout.steps import NAMES, RETRIES, judged, start

from shipit.errors import AccountFull, AwsError, AwsThrottled, AwsUnavailable, GroupBusy, ShipitError
from shipit.events import Event, GroupEnded, GroupStarted, RolloutHalted
from shipit.models import (
    Cause,
    Deployment,
    DeploymentStatus,
    Examination,
    Overview,
    Phase,
    TargetStatus,
)
from shipit.rollout import GroupState, Observed, OnBusy, Policy, RolloutState, advance, decide
from shipit.rollout.state import Command, Errand, Examine, Find, Start, Stop

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
            assert len(set(group.deployments)) == len(group.deployments) <= group.tried
            assert group.spared <= group.tried - group.spared <= 1 + RETRIES
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
