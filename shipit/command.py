"""Make Invoke tasks of plain functions: the flags that all share, and the one handler of errors.

Nothing heavy is imported before a task runs, so that `inv --list` stays as quick as Invoke itself.
"""

from __future__ import annotations

import inspect
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task, task

from shipit.errors import Interrupted, ShipitError

_COMMON: Mapping[str, tuple[object, str]] = {
    "env": ("", "environment of shipit.toml; default: default-env"),
    "json": (False, "print one JSON object a line (docs/json.md)"),
    "debug": (False, "show the traceback of an error"),
}


def command(**help_texts: str) -> Callable[[Callable[..., None]], Task[Callable[..., None]]]:
    """Make a task of a function whose first argument is the wired Tool and whose others are flags.

    Adds --env/-e, --json and --debug. A ShipitError ends the process with its exit code and one line of what to
    do; Ctrl-C and SIGTERM (what a cancelled CI job sends) end it with 130.
    """

    def decorate(function: Callable[..., None]) -> Task[Callable[..., None]]:
        def body(context: Context, *, env: str = "", json: bool = False, debug: bool = False, **flags: Any) -> None:
            code = _run(context, function, flags, env=env, mode="json" if json else "auto", debug=debug)
            if code:
                raise Exit(code=code)

        body.__name__ = function.__name__
        body.__doc__ = function.__doc__
        body.__signature__ = _signature(function)  # type: ignore[attr-defined]  # what Invoke reads the flags from
        texts = {name: text for name, (_, text) in _COMMON.items()}
        made: Task[Callable[..., None]] = task(klass=_Command, help={**texts, **help_texts}, auto_shortflags=False)(
            body
        )
        return made

    return decorate


class _Command(Task[Callable[..., None]]):
    """A task with -e for --env and no other short flag: first letters would change as flags are added."""

    def arg_opts(self, name: str, default: Any, taken_names: set[str]) -> dict[str, Any]:
        options: dict[str, Any] = super().arg_opts(name, default, taken_names)
        if name == "env":
            options["names"] = ("env", "e")
        return options


def _signature(function: Callable[..., None]) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    context = inspect.Parameter("context", kind)
    flags = list(inspect.signature(function).parameters.values())[1:]
    common = [inspect.Parameter(name, kind, default=default) for name, (default, _) in _COMMON.items()]
    return inspect.Signature([context, *flags, *common])


def _run(
    context: Context, function: Callable[..., None], flags: Mapping[str, Any], *, env: str, mode: str, debug: bool
) -> int:
    from shipit.display import open_display
    from shipit.settings import load
    from shipit.wiring import Tool

    signal.signal(signal.SIGTERM, _terminated)
    with open_display(mode) as display:
        try:
            function(Tool(context, load(env), display), **flags)
        except ShipitError as error:
            failure = error
        except KeyboardInterrupt:
            failure = Interrupted("interrupted: nothing was left half-done", hint="the same command starts over")
        except Exception as error:
            failure = _unforeseen(error)
            failure.__cause__ = error
        else:
            return 0
        if debug:
            traceback.print_exception(failure, file=sys.stderr)
        display.error(failure)
        return failure.exit_code


def _terminated(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _unforeseen(error: Exception) -> ShipitError:
    if type(error).__module__.startswith("botocore."):
        from shipit.aws.refusals import explain

        return explain(error)  # type: ignore[arg-type]  # all of botocore's are one of the two bases
    return ShipitError(
        f"{type(error).__name__}: {error}", hint="this is a defect of shipit: --debug shows where; please report it"
    )
