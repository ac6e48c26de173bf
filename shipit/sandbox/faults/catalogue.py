"""The faults that there are, with the flags that each takes, and the check of what somebody asked for.

Both sides use it: the command line, to refuse a slip before it reaches the daemon, and the daemon itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shipit.errors import UsageError
from shipit.sandbox.agents import LIFECYCLE
from shipit.settings import parse_duration

SERVICES = ("codedeploy", "athena", "s3", "ec2", "autoscaling")

#: The ways in which a hook goes wrong.
HANG, EXIT, FLOOD, CHILD, SLOW = WAYS = ("hang", "exit", "flood", "child", "slow")

#: Events that run scripts of the bundle.
HOOKS = tuple(event for event in LIFECYCLE if event not in ("DownloadBundle", "Install"))

_COMMAND = "inv sandbox.fault lists them all"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Describe one fault: what it does, which flags it must have (one of each set), which it may have."""

    name: str
    line: str
    example: str
    must: tuple[tuple[str, ...], ...] = ()
    may: tuple[str, ...] = ()
    #: What is in effect anew when it is given again with these flags alike; None: each one stands for itself.
    key: tuple[str, ...] | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """Return all flags that it knows."""
        return (*(flag for flags in self.must for flag in flags), *self.may)


_WHO = ("ids", "number", "share", "group")
_WHERE = ("service", "operation")

CATALOGUE: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="throttle",
            line='CodeDeploy answers "Rate exceeded", at random or above a rate',
            example="--probability 0.3",
            must=(("probability", "rate"),),
            may=("seed",),
            key=(),
        ),
        Kind(
            name="reset",
            line="connections are reset unanswered, every other one with its work done",
            example="--share 0.05",
            must=(("share",),),
            may=(*_WHERE, "seed"),
            key=_WHERE,
        ),
        Kind(
            name="errors",
            line="a service answers 500 or 503",
            example="--share 0.05 --service athena",
            must=(("share",),),
            may=(*_WHERE, "seed"),
            key=_WHERE,
        ),
        Kind(
            name="latency",
            line="every request takes so much longer, in real seconds",
            example="--seconds 2",
            must=(("seconds",),),
            may=_WHERE,
            key=_WHERE,
        ),
        Kind(
            name="outage",
            line="a service answers 503 to everything, for so many real seconds",
            example="--service s3 --seconds 60",
            must=(("service",), ("seconds",)),
            key=_WHERE,
        ),
        Kind(
            name="refuse",
            line="requests are refused with an error code of AWS, at once or later",
            example="--code ExpiredTokenException --after 20",
            must=(("code",),),
            may=(*_WHERE, "after", "calls"),
            key=_WHERE,
        ),
        Kind(
            name="limit",
            line="the account runs so many deployments at a time",
            example="--number 3",
            must=(("number",),),
            key=(),
        ),
        Kind(
            name="reclaim",
            line="spot instances are taken, at once or in mid-deployment; others come",
            example="--share 0.1 --during Install",
            must=(_WHO,),
            may=("during", "between", "notice", "seed"),
        ),
        Kind(
            name="kill",
            line="workers' main processes end by SIGKILL, as when memory runs out",
            example="--number 1 --group reports",
            must=(_WHO,),
            may=("seed",),
        ),
        Kind(
            name="metadata",
            line="instances' metadata service answers 503, for so many real seconds",
            example="--number 1 --seconds 30",
            must=(_WHO, ("seconds",)),
            may=("seed",),
        ),
        Kind(
            name="scale",
            line="Auto Scaling groups grow or shrink, as by a scaling policy",
            example="--group reports --by -1",
            must=(("group",), ("by",)),
        ),
        Kind(
            name="agent",
            line="the CodeDeploy agent of instances is dead: no command is fetched",
            example="--number 1 --group reports",
            must=(_WHO,),
            may=("seed",),
        ),
        Kind(
            name="hook",
            line="an event's hook hangs, exits, floods, leaves a child, or is slow",
            example="--event AfterInstall --how flood --group reports",
            must=(("event",), ("how",)),
            may=(*_WHO, "seconds", "status", "seed"),
        ),
        Kind(
            name="busy",
            line="somebody else's deployment holds groups for so many seconds",
            example="--group reports --seconds 30",
            must=(("group",), ("seconds",)),
        ),
    )
}

#: Lift every fault in effect.
CLEAR = "clear"


def read(name: str, given: Mapping[str, object]) -> dict[str, Any]:
    """Return the values of a fault's flags, as numbers where they are; raises UsageError for what is wrong.

    Texts and JSON's own numbers are both fine; what is empty, None or False counts as not given.
    """
    if name == CLEAR:
        kind = Kind(name=CLEAR, line="", example="")
    elif name in CATALOGUE:
        kind = CATALOGUE[name]
    else:
        raise UsageError(f"there is no fault {name!r}{_nearest(name, (*CATALOGUE, CLEAR))}", hint=_COMMAND)
    asked = {flag: value for flag, value in given.items() if value is not None and value is not False and value != ""}
    for flag in asked:
        if flag not in kind.flags:
            takes = ", ".join(f"--{known}" for known in kind.flags) or "no flags"
            raise UsageError(f"{name} has no --{flag}{_nearest(flag, kind.flags, '--')}", hint=f"it takes {takes}")
    for flags in kind.must:
        if not asked.keys() & set(flags):
            wanted = " or ".join(f"--{flag}" for flag in flags)
            raise UsageError(f"{name} needs {wanted}", hint=f"for example: inv sandbox.fault {name} {kind.example}")
    if len(chosen := [flag for flag in ("ids", "number", "share") if flag in asked]) > 1 and "ids" in kind.flags:
        raise UsageError(f"{name} takes one of --{' and --'.join(chosen)}", hint="each of them chooses the instances")
    if len(asked.keys() & {"during", "between", "notice"}) > 1:
        raise UsageError(
            "an instance ends during an event, between two, or some time after a notice",
            hint="give one of --during, --between, --notice",
        )
    return {flag: _value(name, flag, value) for flag, value in asked.items()}


def _value(name: str, flag: str, value: object) -> Any:
    try:
        return _READERS[flag](value)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{name}: --{flag} {value}: {error}", hint=_COMMAND) from None


def _nearest(word: str, known: tuple[str, ...], prefix: str = "") -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def _share(value: object) -> float:
    text = str(value).strip()
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        number = -1
    if not 0 <= number <= 1:
        raise ValueError("a share lies between 0 and 1, or is written 5%")
    return number


def _seconds(value: object) -> float:
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        number = parse_duration(text)
    if not 0 <= number < float("inf"):
        raise ValueError("not a time that passes")
    return number


def _positive(value: object) -> float:
    number = float(str(value))
    if not 0 < number < float("inf"):
        raise ValueError("must be more than nothing")
    return number


def _integer(least: int) -> Callable[[object], int]:
    def reader(value: object) -> int:
        number = int(str(value))
        if number < least:
            raise ValueError(f"must be at least {least}")
        return number

    return reader


def _by(value: object) -> int:
    number = int(str(value))
    if number == 0:
        raise ValueError("must be +1, -2 or the like")
    return number


def _one_of(known: tuple[str, ...]) -> Callable[[object], str]:
    def reader(value: object) -> str:
        if value not in known:
            raise ValueError(f"must be one of {', '.join(known)}{_nearest(str(value), known)}")
        return str(value)

    return reader


def _words(value: object) -> tuple[str, ...]:
    words = value if isinstance(value, (list, tuple)) else str(value).split(",")
    found = tuple(str(word).strip() for word in words if str(word).strip())
    if not found:
        raise ValueError("names nobody")
    return found


_READERS: Mapping[str, Callable[[object], Any]] = {
    "probability": _share,
    "rate": _positive,
    "share": _share,
    "service": _one_of(SERVICES),
    "operation": str,
    "seconds": _seconds,
    "code": str,
    "after": _seconds,
    "calls": _integer(0),
    "number": _integer(0),
    "ids": _words,
    "group": _words,
    "during": _one_of(LIFECYCLE),
    "between": bool,
    "notice": _seconds,
    "by": _by,
    "event": _one_of(HOOKS),
    "how": _one_of(WAYS),
    "status": _integer(0),
    "seed": _integer(0),
}

FLAGS = tuple(_READERS)
