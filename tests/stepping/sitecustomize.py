"""Shift the wall clock of a Python process: what ntpd, a suspended laptop or an operator does to a machine.

With this folder on its PYTHONPATH, a process reads the shift, in seconds, from the file that CLOCK_STEP names, anew
whenever it asks for the time. Clocks that nobody sets are left alone, as they are by a real step.
"""

import datetime
import os
import time

_FILE = os.environ["CLOCK_STEP"]
_time, _time_ns, _datetime = time.time, time.time_ns, datetime.datetime


def _shift() -> float:
    with open(_FILE, encoding="ascii") as file:
        return float(file.read() or 0)


class _Kind(type(_datetime)):
    def __instancecheck__(cls, thing: object) -> bool:
        # What C code makes, such as pydantic's parser, is still of the old class.
        return isinstance(thing, _datetime)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, _datetime)


class Shifted(_datetime, metaclass=_Kind):
    """Tell the shifted time."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return _datetime.now(tz) + datetime.timedelta(seconds=_shift())

    @classmethod
    def utcnow(cls) -> datetime.datetime:
        return cls.now(datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> datetime.datetime:
        return cls.now()


time.time = lambda: _time() + _shift()
time.time_ns = lambda: _time_ns() + int(_shift() * 1e9)
datetime.datetime = Shifted
