"""What the user asks for is checked before anything goes wrong; a slip is answered with the nearest that is."""

from typing import Any

import pytest
from invoke.tasks import Task

from shipit import tasks
from shipit.errors import UsageError
from shipit.sandbox.faults.catalogue import CATALOGUE, FLAGS, read


def test_every_flag_of_a_fault_is_a_flag_of_the_command_and_no_other_is() -> None:
    task: Task[Any] = tasks.fault
    given = {argument.name for argument in task.get_arguments()} - {"name", "env", "json", "debug"}
    assert given == set(FLAGS) == {flag for kind in CATALOGUE.values() for flag in kind.flags}


def test_each_example_is_taken() -> None:
    for kind in CATALOGUE.values():
        words = kind.example.split()
        flags = dict(zip((word.removeprefix("--") for word in words[::2]), words[1::2], strict=True))
        assert read(kind.name, flags).keys() == flags.keys()


def test_texts_and_numbers_are_read_alike_and_what_is_empty_was_not_given() -> None:
    typed = {"share": "5%", "service": "s3", "operation": "", "seed": "3", "between": False}
    sent = {"share": 0.05, "service": "s3", "operation": None, "seed": 3}
    assert read("reset", typed) == read("reset", sent) == {"share": 0.05, "service": "s3", "seed": 3}
    assert read("outage", {"service": "s3", "seconds": "1m30s"})["seconds"] == 90
    assert read("reclaim", {"ids": "i-1, i-2,"})["ids"] == ("i-1", "i-2")
    assert read("reclaim", {"number": 0})["number"] == 0


@pytest.mark.parametrize(
    ("name", "given", "message", "hint"),
    [
        ("thottle", {}, "no fault 'thottle'; did you mean throttle?", "lists them all"),
        ("zzz", {}, "no fault 'zzz'", "lists them all"),
        ("throttle", {"share": 1}, "throttle has no --share", "it takes --probability, --rate, --seed"),
        ("reset", {"share": 1, "services": "s3"}, "reset has no --services; did you mean --service?", "it takes"),
        ("throttle", {}, "throttle needs --probability or --rate", "inv sandbox.fault throttle --probability 0.3"),
        ("outage", {"service": "s3"}, "outage needs --seconds", "--service s3 --seconds 60"),
        ("outage", {"service": "s4", "seconds": 1}, "did you mean s3?", ""),
        ("reset", {"share": 1.5}, "between 0 and 1", ""),
        ("reset", {"share": "5 percent"}, "between 0 and 1", ""),
        ("latency", {"seconds": "-1"}, "--seconds -1", ""),
        ("latency", {"seconds": "nan"}, "--seconds nan", ""),
        ("latency", {"seconds": "soon"}, "is not a duration", ""),
        ("throttle", {"rate": 0}, "more than nothing", ""),
        ("limit", {"number": -1}, "at least 0", ""),
        ("reclaim", {}, "reclaim needs --ids or --number or --share or --group", ""),
        ("reclaim", {"number": 1, "share": 0.5}, "takes one of --number and --share", ""),
        ("reclaim", {"number": 1, "during": "install"}, "did you mean Install?", ""),
        ("reclaim", {"number": 1, "during": "Install", "between": True}, "between two, or some time after", ""),
        ("reclaim", {"number": 1, "during": "Install", "notice": 20}, "between two, or some time after", ""),
        ("reclaim", {"number": 1, "notice": -1}, "not a time that passes", ""),
        ("kill", {}, "kill needs --ids or --number or --share or --group", ""),
        ("reclaim", {"ids": " , "}, "names nobody", ""),
        ("scale", {"group": "reports", "by": 0}, "+1, -2", ""),
        ("hook", {"event": "Install", "how": "exit"}, "must be one of ApplicationStop", ""),
        ("hook", {"event": "AfterInstall", "how": "explode"}, "must be one of hang, exit", ""),
        ("clear", {"seed": 1}, "clear has no --seed", "it takes no flags"),
    ],
)
def test_a_slip_is_refused_with_what_was_meant(name: str, given: dict[str, object], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as e:
        read(name, given)
    assert message in e.value.message
    assert "\n" not in e.value.message
    assert hint in e.value.hint
