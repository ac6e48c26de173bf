"""Read Celery's settings from Python source without running it: what is written there as a value, and where.

Understood are `app.conf.update(…)`, `app.conf.x = …`, `app.conf["x"] = …`, `Celery(…)`, modules and classes of
settings in new and old names, and dictionaries of them. What a function returns or the environment holds is UNKNOWN.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

#: The settings that rules ask for, with the names that Celery 3 had for them (celery.app.defaults).
KNOWN: Mapping[str, str] = {
    "task_acks_late": "CELERY_ACKS_LATE",
    "task_reject_on_worker_lost": "CELERY_REJECT_ON_WORKER_LOST",
    "worker_prefetch_multiplier": "CELERYD_PREFETCH_MULTIPLIER",
    "task_time_limit": "CELERYD_TASK_TIME_LIMIT",
    "broker_transport_options": "BROKER_TRANSPORT_OPTIONS",
    "broker_url": "BROKER_URL",
}
TRANSPORT: Final = "broker_transport_options"
_OLD = {old: new for new, old in KNOWN.items()}
_TASK_OPTIONS = ("acks_late", "reject_on_worker_lost", "time_limit")
_DELAYS = {"apply_async": "countdown", "retry": "countdown", "send_task": "countdown"}
#: Methods of `app.control` that send something to workers.
_REMOTE = (
    *("add_consumer", "autoscale", "broadcast", "cancel_consumer", "disable_events", "enable_events", "heartbeat"),
    *("inspect", "ping", "pool_grow", "pool_restart", "pool_shrink", "rate_limit", "revoke", "shutdown", "terminate"),
    "time_limit",
)
#: Largest number that is taken from source: none of the settings is near it.
_MOST = 1e12


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


#: The value of what only running the program would tell.
UNKNOWN: Final = _Unknown()


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Hold one assignment of a setting; transport options are `broker_transport_options.NAME`."""

    name: str
    value: object
    file: str
    line: int


@dataclass(kw_only=True)
class Module:
    """Say what one file tells of Celery.

    `tasks` are the options of each task's decorator; `opaque` the lines of settings that come from elsewhere, with
    the name of where; `delays` the seconds that calls ask for; `remote` the remote-control calls; `plugin` tells
    whether it imports shipit_worker. Lines count from 1.
    """

    file: str
    settings: list[Setting] = field(default_factory=list)
    tasks: list[tuple[int, Mapping[str, object]]] = field(default_factory=list)
    applications: list[int] = field(default_factory=list)
    opaque: list[tuple[int, str]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    delays: list[tuple[int, float]] = field(default_factory=list)
    remote: list[tuple[int, str]] = field(default_factory=list)
    plugin: bool = False
    readable: bool = True


def read_module(file: str, text: str) -> Module:
    """Return what the source says of Celery; nothing, and not `readable`, where it is not Python of this version."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the project's own escapes and comparisons
            tree = ast.parse(text)
        return _Reader(file, tree).read()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Module(file=file, readable=False)


class _Reader:
    def __init__(self, file: str, tree: ast.Module) -> None:
        self._tree = tree
        self._found = Module(file=file)
        self._constants = _constants(tree)

    def read(self) -> Module:
        classes = [n for n in ast.walk(self._tree) if isinstance(n, ast.ClassDef)]
        self._found.classes += [c.name for c in classes]
        for body in (self._tree.body, *(c.body for c in classes)):
            for statement in _plain(body):
                for name, value in _assignments(statement):
                    self._set(name, value, value.lineno)
        for node in ast.walk(self._tree):
            match node:
                case ast.Import(names=names):
                    self._found.plugin |= any(n.name.split(".")[0] == "shipit_worker" for n in names)
                case ast.ImportFrom(module=str(module), level=0):
                    self._found.plugin |= module.split(".")[0] == "shipit_worker"
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._assign(target, value)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._assign(target, value)
                case ast.Call():
                    self._call(node)
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self._task(node)
        return self._found

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        """Take `x.conf.NAME = …`, `x.conf["NAME"] = …` and `x.conf.broker_transport_options["NAME"] = …`."""
        match target:
            case ast.Attribute(value=of, attr=name) if _is_conf(of):
                self._set(name, value, target.lineno)
            case ast.Subscript(value=of, slice=ast.Constant(value=str(name))) if _is_conf(of):
                self._set(name, value, target.lineno)
            case ast.Subscript(value=ast.Attribute(value=of, attr=outer), slice=ast.Constant(value=str(name))) if (
                _is_conf(of) and outer == TRANSPORT
            ):
                self._add(f"{TRANSPORT}.{name}", self._value(value), target.lineno)

    def _call(self, call: ast.Call) -> None:
        match call.func:
            case ast.Attribute(value=of, attr="update" | "add_defaults") if _is_conf(of):
                self._update(call)
            case ast.Attribute(value=ast.Attribute(value=of, attr=outer), attr="update") if (
                _is_conf(of) and outer == TRANSPORT
            ):
                for name, value in self._pairs(call, call):
                    self._add(f"{TRANSPORT}.{name}", self._value(value), value.lineno)
            case ast.Attribute(attr="config_from_object" | "config_from_envvar" as how):
                first = call.args[0] if call.args else None
                where = ast.unparse(first).strip("'\"") if first is not None and how.endswith("object") else ""
                self._found.opaque.append((call.lineno, where))
            case ast.Name(id="Celery") | ast.Attribute(attr="Celery"):
                self._application(call)
            case ast.Attribute(value=ast.Attribute(attr="control"), attr=name) if name in _REMOTE:
                self._found.remote.append((call.lineno, f"control.{name}"))
            case ast.Attribute(attr=name) if name in _DELAYS:
                self._delay(call, _DELAYS[name])

    def _application(self, call: ast.Call) -> None:
        self._found.applications.append(call.lineno)
        for keyword in call.keywords:
            if keyword.arg == "broker":
                self._set("broker_url", keyword.value, keyword.value.lineno)
            elif keyword.arg == "changes":
                for name, value in self._pairs(keyword.value, call):
                    self._set(name, value, value.lineno)
            elif keyword.arg == "config_source":
                self._found.opaque.append((call.lineno, ast.unparse(keyword.value).strip("'\"")))
            elif keyword.arg is not None:
                self._set(keyword.arg, keyword.value, keyword.value.lineno)

    def _update(self, call: ast.Call) -> None:
        for name, value in self._pairs(call, call):
            self._set(name, value, value.lineno)

    def _pairs(self, of: ast.expr, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
        """Yield names and values of a dictionary, or of what a call is given; note what cannot be followed."""
        match of:
            case ast.Call(args=args, keywords=keywords) if of is call or _is_dict(of):
                for argument in args:
                    yield from self._pairs(argument, call)
                for keyword in keywords:
                    if keyword.arg is None:
                        yield from self._pairs(keyword.value, call)
                    else:
                        yield keyword.arg, keyword.value
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        yield key.value, value
                    elif key is None:
                        yield from self._pairs(value, call)
                    else:
                        self._found.opaque.append((call.lineno, ""))
            case ast.Name(id=name) if isinstance(self._constants.get(name), ast.Dict | ast.Call):
                known = self._constants.pop(name)  # a name that leads to itself ends here
                if isinstance(known, ast.Call) and not _is_dict(known):
                    self._found.opaque.append((call.lineno, ""))
                else:
                    yield from self._pairs(known, call)
                self._constants[name] = known
            case _:
                self._found.opaque.append((call.lineno, ""))

    def _task(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in function.decorator_list:
            named = decorator.func if isinstance(decorator, ast.Call) else decorator
            last = named.attr if isinstance(named, ast.Attribute) else named.id if isinstance(named, ast.Name) else ""
            if last in ("task", "shared_task", "periodic_task"):
                keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
                options = {k.arg: self._value(k.value) for k in keywords if k.arg in _TASK_OPTIONS}
                if any(k.arg is None for k in keywords):
                    options = dict.fromkeys(_TASK_OPTIONS, UNKNOWN) | options
                self._found.tasks.append((decorator.lineno, {k: v for k, v in options.items() if k}))
                for keyword in keywords:
                    if keyword.arg == "default_retry_delay":
                        self._add_delay(keyword.value)

    def _delay(self, call: ast.Call, name: str) -> None:
        for keyword in call.keywords:
            if keyword.arg == name:
                self._add_delay(keyword.value)

    def _add_delay(self, value: ast.expr) -> None:
        seconds = self._value(value)
        if isinstance(seconds, int | float) and not isinstance(seconds, bool):
            self._found.delays.append((value.lineno, float(seconds)))

    def _set(self, name: str, value: ast.expr, line: int) -> None:
        known = _canonical(name)
        if known != TRANSPORT:
            if known:
                self._add(known, self._value(value), line)
            return
        before = len(self._found.opaque)
        for option, of in self._pairs(value, ast.Call(func=value, args=[], keywords=[], lineno=line)):
            self._add(f"{TRANSPORT}.{option}", self._value(of), of.lineno)
        # What cannot be followed hides transport options alone.
        whole = len(self._found.opaque) == before
        del self._found.opaque[before:]
        self._add(TRANSPORT, {} if whole else UNKNOWN, line)

    def _add(self, name: str, value: object, line: int) -> None:
        self._found.settings.append(Setting(name=name, value=value, file=self._found.file, line=line))

    def _value(self, node: ast.expr) -> object:
        match node:
            case ast.Constant(value=value):
                return UNKNOWN if isinstance(value, int | float) and abs(value) > _MOST else value
            case ast.Name(id=name) if name in self._constants:
                known = self._constants.pop(name)
                found = self._value(known)
                self._constants[name] = known
                return found
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                number = self._value(operand)
                return -number if isinstance(number, int | float) else UNKNOWN
            case ast.BinOp(left=left, op=op, right=right):
                return _computed(self._value(left), op, self._value(right))
            case _:
                return UNKNOWN


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the values of the module's names that are assigned once in all of it."""
    count: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            count[node.id] = count.get(node.id, 0) + 1
    pairs = (pair for statement in tree.body for pair in _assignments(statement))
    return {name: value for name, value in pairs if count.get(name) == 1}


def _plain(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements, with those below `if`, `try` and `with`."""
    waiting = list(reversed(body))
    while waiting:
        statement = waiting.pop()
        yield statement
        for part in ("finalbody", "orelse", "body"):
            if isinstance(statement, ast.If | ast.Try | ast.With):
                waiting += reversed(getattr(statement, part, []))
        for handler in getattr(statement, "handlers", []):
            waiting += reversed(handler.body)


def _assignments(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    match statement:
        case ast.Assign(targets=targets, value=value):
            yield from ((t.id, value) for t in targets if isinstance(t, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value


def _canonical(name: str) -> str:
    """Return Celery's own name of a setting in old or namespaced spelling; empty for one that no rule asks for."""
    if name in KNOWN:
        return name
    if name in _OLD:
        return _OLD[name]
    if name.isupper():
        return next((known for known in KNOWN if name.lower().endswith(f"_{known}")), "")
    return ""


def _is_conf(node: ast.expr) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "conf") or (
        isinstance(node, ast.Name) and node.id == "conf"
    )


def _is_dict(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "dict"


def _computed(left: object, op: ast.operator, right: object) -> object:
    if not (isinstance(left, int | float) and isinstance(right, int | float)):
        return UNKNOWN
    if max(abs(left), abs(right)) > _MOST:
        return UNKNOWN
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div() if right:
            return left / right
        case ast.FloorDiv() if right:
            return left // right
        case _:
            return UNKNOWN
