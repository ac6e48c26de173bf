"""Rules for systemd units: how a worker is started and stopped, and how it learns of its end."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from shipit.lint.rules import Rule
from shipit.lint.sources import Sources
from shipit.lint.unit_file import Unit, read_units, seconds
from shipit.models import Finding, Severity

KILL_MODE = Rule(
    id="systemd-kill-mode",
    finds="a worker's unit whose `KillMode` is not `mixed`",
    why="measured: a stop by the default, control-group, sends SIGTERM to the pool's processes too and lost 2 of 4 "
    "tasks; with mixed 0, and no restarts",
    fix="KillMode=mixed",
    severity=Severity.ERROR,
)
STOP_TIMEOUT = Rule(
    id="systemd-stop-timeout",
    finds="`TimeoutStopSec` below what the drain of its `ExecStop` may take",
    why="systemd ends the drain before its SIGQUIT, and then kills: measured, what SIGQUIT gives back is visible "
    "again in 1.9 s, what a kill leaves behind only at the visibility timeout",
    fix="raise TimeoutStopSec above wait + grace + cold of the drain, or lower those (scripts/settings.env)",
)
CURRENT = Rule(
    id="systemd-current",
    finds="a unit that starts or works through the symlink `current`",
    why="measured: a process started through it that imports lazily after the switch mixes two builds",
    fix="name the release itself: WorkingDirectory= and ExecStart= below releases/%i",
    severity=Severity.ERROR,
)
TYPE = Rule(
    id="systemd-type",
    finds="a worker's unit that is not `Type=notify`",
    why="`systemctl start` returns before the worker consumes, so a broken build passes; measured with notify: it "
    "failed in 0.1 s while the old build went on consuming, and a good one was ready in 0.97 s",
    fix="Type=notify and NotifyAccess=main, and `import shipit_worker` in the Celery module",
)
RESTART = Rule(
    id="systemd-restart",
    finds="a worker's unit without `Restart=`",
    why="a worker that dies (out of memory, a lost connection) is not started again until somebody deploys; its "
    "queue waits meanwhile. Not measured",
    fix="Restart=on-failure and RestartSec=2",
)
SPOT_CRON = Rule(
    id="spot-cron",
    finds="a spot watcher run by cron or by a timer",
    why="a reclaim is announced 120 s ahead and cron looks once a minute, so up to 60 of them are gone; measured, a "
    "service that polls every 5 s had short tasks done 4.8 s after a notice of 20 s",
    fix="leave it to scripts/watch.py, a systemd service that looks every 5 s (docs/watcher.md)",
)
RULES = (KILL_MODE, STOP_TIMEOUT, CURRENT, TYPE, RESTART, SPOT_CRON)

#: Seconds by which systemd ends a stop without a word (DefaultTimeoutStopSec), and what drain.py takes without one.
_STOP = "90"
_DRAIN = {"wait": 11.5, "grace": 60.0, "cold": 20.0}
_SPOT = re.compile(r"spot/(instance-action|termination-time)|events/recommendations/rebalance")
_CRON = re.compile(r"(^|/)(cron\.(d|hourly|daily)/|crontab)|\.cron(tab)?$")
_MAKES_CRON = re.compile(r"\bcrontab\s+-|/etc/cron")
#: A command's folders, `current` among them.
_THROUGH_CURRENT = re.compile(r"(^|[\s=\"'@:!+-])/?[^\s\"']*/current(/|[\s\"']|$)")


def check_units(sources: Sources, application: str) -> Iterator[Finding]:
    """Yield what is wrong with the units of the bundle. `application` names the worker's own."""
    for unit in read_units(sources):
        yield from _current(unit)
        if _is_worker(unit, sources, application):
            yield from _worker(unit, sources)
    yield from _spot(sources)


def _is_worker(unit: Unit, sources: Sources, application: str) -> bool:
    """Tell whether the unit starts a Celery worker: by its name, its command, or the script that this starts."""
    base = posixpath.basename(unit.file)
    if base in (f"{application}@.service", f"{application}.service"):
        return True
    command = unit.value("ExecStart")
    started = sources.text(_script(command, sources)) if command else ""
    return any(re.search(r"\bcelery\b", text) and not _only_beat(text) for text in (command, started))


def _only_beat(text: str) -> bool:
    return bool(re.search(r"\b(beat|flower)\b", text)) and not re.search(r"\bworker\b", text)


def _script(command: str, sources: Sources) -> str:
    words = command.lstrip("@-:+!").split()
    return next((found for word in words[:4] if "/" in word and (found := sources.named(word))), "")


def _worker(unit: Unit, sources: Sources) -> Iterator[Finding]:
    mode = unit.value("KillMode", "control-group")
    if mode != "mixed":
        said = f"KillMode={mode}" if unit.last("KillMode") else "KillMode is not set: control-group"
        yield KILL_MODE.at(*unit.line_of("KillMode"), said)
    kind = unit.value("Type", "simple")
    if kind not in ("notify", "notify-reload"):
        yield TYPE.at(*unit.line_of("Type"), f"Type={kind}" if unit.last("Type") else "Type is not set: simple")
    if unit.value("Restart", "no") == "no":
        yield RESTART.at(*unit.line_of("Restart"), "nothing restarts the worker")
    stop = unit.value("ExecStop")
    limit = seconds(unit.value("TimeoutStopSec", unit.value("TimeoutSec", _STOP)))
    if "drain" in stop and limit is not None:
        needed = _drain_seconds(stop, {key: one.value for key, one in sources.settings().items()})
        if needed is not None and limit <= needed:
            key = "TimeoutStopSec" if unit.last("TimeoutStopSec") else "TimeoutSec"
            said = f"the stop ends after {limit:g} s, the drain may take {needed:g} s"
            yield STOP_TIMEOUT.at(*unit.line_of(key), said)


def _drain_seconds(command: str, env: dict[str, str]) -> float | None:
    """Return the longest that a drain takes: by its flags, else by the settings; None where this is not a number."""
    total = 0.0
    for stage, default in _DRAIN.items():
        flag = re.search(rf"--{stage}[= ](\S+)", command)
        value = flag[1] if flag else env.get(f"SHIPIT_DRAIN_{stage.upper()}", "") or str(default)
        try:
            total += float(value)
        except ValueError:
            return None
    return total


def _current(unit: Unit) -> Iterator[Finding]:
    for key in ("ExecStart", "WorkingDirectory", "Environment"):
        for one in unit.all(key):
            if _THROUGH_CURRENT.search(one.value):
                yield CURRENT.at(one.file, one.line, f"{key}= goes through current")


def _spot(sources: Sources) -> Iterator[Finding]:
    for name in sources.files:
        if _CRON.search(name):
            for number, line in enumerate(sources.text(name).splitlines(), start=1):
                if not line.lstrip().startswith("#") and _watches(line, sources):
                    yield SPOT_CRON.at(name, number, "cron looks for spot notices")
    for name in sources.shell():
        text = sources.text(name)
        lines = [(n, line) for n, line in enumerate(text.splitlines(), start=1) if _MAKES_CRON.search(line)]
        if lines and (_SPOT.search(text) or any(_watches(line, sources) for _, line in lines)):
            yield SPOT_CRON.at(name, lines[0][0], "installs a cron job that looks for spot notices")
    services = {unit.file: unit for unit in read_units(sources)}
    for timer in read_units(sources, ".timer"):
        wanted = timer.value("Unit") or posixpath.basename(timer.file).removesuffix(".timer") + ".service"
        unit = services.get(posixpath.join(posixpath.dirname(timer.file), wanted))
        if unit and _watches(unit.value("ExecStart"), sources):
            yield SPOT_CRON.at(timer.file, 1, f"a timer starts {wanted}, which looks for spot notices")


def _watches(line: str, sources: Sources) -> bool:
    """Tell whether a command asks for spot notices, or starts a script of the bundle that does."""
    if _SPOT.search(line):
        return True
    scripts = (sources.named(word.strip("\"'")) for word in line.split() if "/" in word)
    return any(_SPOT.search(sources.text(script)) for script in scripts if script)
