"""The sandbox ends when it was not used for long and nothing runs in it; once it does, nobody gets it back."""

from dataclasses import dataclass

from shipit.sandbox.idleness import Idleness


@dataclass
class World:
    """A time and a deployment, both under the test's control."""

    time: float = 0.0
    busy: bool = False

    def idleness(self) -> Idleness:
        return Idleness(10.0, lambda: self.busy, lambda: self.time)


def test_it_is_over_after_its_time() -> None:
    world = World()
    idleness = world.idleness()
    world.time = 9.9
    assert not idleness.is_over()
    world.time = 10.0
    assert idleness.is_over()


def test_each_use_starts_it_anew() -> None:
    world = World()
    idleness = world.idleness()
    world.time = 9.0
    assert idleness.use()
    world.time = 18.0
    assert not idleness.is_over()
    assert idleness.left == 1.0


def test_a_deployment_holds_it_open_and_its_end_does_not_start_it_anew() -> None:
    world = World(busy=True)
    idleness = world.idleness()
    world.time = 100.0
    assert not idleness.is_over()
    world.busy = False
    assert idleness.is_over()


def test_a_use_comes_too_late_once_it_is_over() -> None:
    world = World()
    idleness = world.idleness()
    world.time = 10.0
    assert idleness.is_over()
    assert not idleness.use()
    assert idleness.is_over()


def test_a_stop_ends_it_at_once() -> None:
    idleness = World(busy=True).idleness()
    idleness.end()
    assert not idleness.use()
    assert idleness.is_over()
