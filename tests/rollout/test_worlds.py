"""Whatever befalls it, a rollout ends as the world says, and another process carries on where one died."""

from __future__ import annotations

import random
from functools import partial

import pytest
from fakes import NOON
from rollout.life import Life
from rollout.world import HOUR, NEW, Died, Faults, World

from shipit.events import GroupEnded, GroupStarted
from shipit.models import Cause, Phase, RolloutRecord
from shipit.rollout import OnBusy, Orders, Policy, Rollout, RolloutState, annotate, begin, entries, restore

PATIENT = Policy(failed_groups=None, retries=10)
NAMES = "abcde"


def disturb(world: World, chance: random.Random, *, faults: bool = True) -> None:
    """Let a little of everything happen within the first minute."""
    if faults:
        world.faults = Faults(
            throttled=chance.choice([0.0, 0.1, 0.3]),
            unreached=chance.choice([0.0, 0.05, 0.2]),
            unheard=chance.choice([0.0, 0.1, 0.3]),
            omitted=chance.choice([0.0, 0.1, 0.5]),
        )
    world.account_limit = chance.choice([2, 3, 1000])
    world.own_are_newest = chance.random() < 0.3
    for name, group in world.groups.items():
        group.seconds = chance.choice([3.0, 10.0, 40.0])
        group.launch = chance.choice([1.0, 20.0, 90.0])
        group.serial = chance.random() < 0.3
        for _ in range(chance.choice([0, 0, 1, 2])):
            at, cause = chance.uniform(0, 60), chance.choice([Cause.RECLAIMED, Cause.SCALED_IN])
            which = chance.randrange(4)
            world.later(at, partial(world.take, name, cause=cause, which=which))
        if chance.random() < 0.3:
            world.later(chance.uniform(0, 60), partial(world.launch, name))
        if chance.random() < 0.2:
            # Who deploys after us is another story.
            world.later(chance.uniform(0, 5), partial(occupy_first, world, name))
        if chance.random() < 0.2:
            for instance in world.alive(name):
                instance.bad = chance.random() < 0.7


def occupy_first(world: World, name: str) -> None:
    if not world.ours(name):
        world.occupy(name, seconds=20.0)


def is_as_it_is_told(world: World, rollout: Rollout) -> None:
    """Hold every group's phase against the world, after all has settled."""
    world.faults = Faults()
    world.sleep(2 * HOUR)
    for name, state in rollout.state.groups.items():
        instances = world.in_service(name)
        healthy = {i.build for i in instances} == {NEW}
        blamed = any(i.bad for i in world.groups[name].instances.values())
        if state.phase is Phase.SUCCEEDED:
            assert healthy or not instances, (name, state)
            # Nobody who lived through the last deployment failed in it or was left out.
            ran = world.deployments[state.deployment_id]
            living = [t for i, t in ran.targets.items() if world.groups[name].instances[i].died_at is None]
            assert all(t.status == "Succeeded" for t in living), (name, state)
        elif state.phase in (Phase.FAILED, Phase.PARTIAL):
            assert blamed, (name, state)
        else:
            assert state.phase is Phase.EMPTY, (name, state)
        if healthy and not blamed:
            assert state.phase in (Phase.SUCCEEDED, Phase.EMPTY), (name, state)


@pytest.mark.parametrize("block", range(10))
def test_a_rollout_in_any_weather_comes_to_rest_and_says_of_each_group_what_the_world_says(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        chance = random.Random(seed)
        world = World(*NAMES, instances=chance.choice([1, 2, 3]), seed=seed)
        disturb(world, chance)
        policy = Policy(failed_groups=None, retries=10, on_busy=chance.choice([OnBusy.WAIT, OnBusy.STOP]))
        life = Life(world)
        plan = world.plan()
        rollout = Rollout(plan, begin(plan, policy), life.tools, by="ann", poll=2.0, timeout=3 * HOUR)
        late = rollout.run_wave(0, 1)
        assert not late, seed
        rollout.settle()
        rollout.finish()
        is_as_it_is_told(world, rollout)
        ids = [e.deployment_id for e in life.events if isinstance(e, GroupStarted)]
        assert len(ids) == len(set(ids)), seed
        if not world.own_are_newest:
            # One creation for each group and try, whatever was lost; and every deployment of ours is known.
            assert set(world.created.values()) == {1}, seed
            assert len(ids) == sum(world.created.values()), seed
            for name, state in rollout.state.groups.items():
                assert state.deployments == tuple(d.id for d in world.ours(name)), seed
        ends = [e.group for e in life.events if isinstance(e, GroupEnded)]
        assert sorted(ends) == list(NAMES), seed
        assert world.most_active <= world.account_limit + len(NAMES)


@pytest.mark.parametrize("block", range(4))
def test_a_stop_or_a_deadline_at_any_moment_ends_it_with_nothing_unknown_and_nothing_new(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        chance = random.Random(1000 + seed)
        world = World(*NAMES, seed=seed)
        disturb(world, chance)
        moment, by_order = chance.uniform(0, 60), chance.random() < 0.5
        life = Life(world)

        def order(sleeps: int, life: Life = life, world: World = world, moment: float = moment) -> None:
            if world.at >= moment:
                life.given = Orders(stop="bob")

        if by_order:
            life.on_sleep = order
        plan = world.plan()
        limit = 3 * HOUR if by_order else moment
        rollout = Rollout(plan, begin(plan, PATIENT), life.tools, by="ann", poll=2.0, timeout=limit)
        late = rollout.run_wave(0, 1)
        rollout.finish()
        assert not (late and by_order), seed
        ours = {n: tuple(d.id for d in world.ours(n)) for n in NAMES}
        for name, state in rollout.state.groups.items():
            known = state.deployments == ours[name] or world.own_are_newest
            # At the deadline alone an answer may still be owed: then the group says so.
            assert known or (state.unsure and late), (seed, name)
            assert not (by_order and state.phase in (Phase.RUNNING, Phase.EXAMINING)), (seed, name)
        world.sleep(HOUR)
        assert {n: tuple(d.id for d in world.ours(n)) for n in NAMES} == ours, seed


def first_record() -> RolloutRecord:
    """Return the record as it was written before the first deployment was created."""
    groups = entries(World(*NAMES).plan())
    return RolloutRecord(id="r-1", env="test", build=NEW, by="ann", started_at=NOON, groups=groups)


def die(world: World, chance: random.Random, policy: Policy, lives: int) -> Rollout:
    """Let so many processes die at random steps, each with its latest notes lost, and another carry it to its end."""
    record = first_record()
    state: RolloutState | None = None
    while True:
        plan = world.plan()
        if state is not None:
            last = {n: world.view(g.last_attempt) for n, g in world.groups.items() if g.last_attempt}
            state = restore(record, plan, last, policy)
        steps = chance.randrange(1, 250) if lives else None
        life = Life(world, steps=steps, note_until=chance.randrange(steps + 1) if steps else None)
        state = state or begin(plan, policy)
        rollout = Rollout(plan, state, life.tools, by="ann", poll=2.0, timeout=3 * HOUR)
        try:
            assert not rollout.run_wave(0, 1)
            rollout.settle()
            rollout.finish()
            return rollout
        except Died:
            lives -= 1
            record = annotate(record, life.noted, {}) if life.noted else record
            world.sleep(chance.choice([0.5, 5.0, 60.0, 2 * HOUR]))


@pytest.mark.parametrize("block", range(10))
def test_a_rollout_whose_process_died_at_any_moment_is_carried_on_and_no_group_is_deployed_twice(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        chance = random.Random(2000 + seed)
        world = World(*NAMES, seed=seed)
        world.account_limit = chance.choice([2, 1000])
        world.faults = Faults(unheard=chance.choice([0.0, 0.3]))
        rollout = die(world, chance, PATIENT, lives=chance.choice([1, 1, 2, 3]))
        assert {g.phase for g in rollout.state.groups.values()} == {Phase.SUCCEEDED}, seed
        for name in NAMES:
            assert world.builds(name) == {NEW}, (seed, name)
            succeeded = [d for d in world.ours(name) if d.status == "Succeeded"]
            assert len(succeeded) == 1, (seed, name)
            assert len(world.ours(name)) == 1, (seed, name)


@pytest.mark.parametrize("block", range(10))
def test_a_rollout_that_died_in_bad_weather_is_carried_on_to_what_the_world_says(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        chance = random.Random(3000 + seed)
        world = World(*NAMES, instances=chance.choice([1, 2, 3]), seed=seed)
        disturb(world, chance)
        rollout = die(world, chance, PATIENT, lives=chance.choice([1, 2]))
        is_as_it_is_told(world, rollout)
        assert world.own_are_newest or set(world.created.values()) == {1}, seed
