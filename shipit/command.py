"""Make Invoke tasks of plain functions: the flags that all share, and the one handler of errors.

Nothing heavy is imported before a task runs, so that `inv --list` stays as quick as Invoke itself.
"""

from __future__ import annotations

import inspect
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task, task

from shipit.errors import Interrupted, ShipitError

_COMMON: Mapping[str, tuple[object, str]] = {
    "env": ("", "environment of shipit.toml; default: default-env"),
    "json": (False, "print one JSON object a line (docs/json.md)"),
    "debug": (False, "show the traceback of an error"),
}


def command(positional: str = "", /, **help_texts: str) -> Callable[[Callable[..., None]], Task[Callable[..., None]]]:
    """Make a task of a function whose first argument is the wired Tool and whose others are flags.

    Adds --env/-e, --json and --debug. The flag named `positional` may be given as a bare word behind the task's
    name. Where the function takes `**flags`, each help text that is no other parameter's makes one, a text. A
    ShipitError ends the process with its exit code and one line of what to do; Ctrl-C and SIGTERM (what a cancelled
    CI job sends) end it with 130.
    """

    def decorate(function: Callable[..., None]) -> Task[Callable[..., None]]:
        def body(context: Context, *, env: str = "", json: bool = False, debug: bool = False, **flags: Any) -> None:
            code = _run(context, function, flags, env=env, mode="json" if json else "auto", debug=debug)
            if code:
                raise Exit(code=code)

        body.__name__ = function.__name__
        body.__doc__ = function.__doc__
        body.__signature__ = _signature(function, help_texts)  # type: ignore[attr-defined]  # what Invoke reads the flags from
        texts = {name: text for name, (_, text) in _COMMON.items()}
        made: _Command = task(klass=_Command, help={**texts, **help_texts}, auto_shortflags=False)(body)
        made.bare_word = positional
        return made

    return decorate


#: The only short flags: first letters would change their meaning as flags are added.
_SHORT = {"env": "e", "message": "m"}


class _Command(Task[Callable[..., None]]):
    """A task whose flags have short forms only where `_SHORT` says so."""

    #: The flag that a bare word behind the task's name gives.
    bare_word = ""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the flags. Invoke insists on a positional one, so the bare word's is one only where a word is."""
        found: list[Argument] = super().get_arguments(ignore_unknown_help)
        for argument in found:
            if argument.name == self.bare_word and _word_follows(self.name, sys.argv):
                argument.positional, argument.default = True, None
        return sorted(found, key=lambda argument: not argument.positional)

    def arg_opts(self, name: str, default: Any, taken_names: set[str]) -> dict[str, Any]:
        options: dict[str, Any] = super().arg_opts(name, default, taken_names)
        if name in _SHORT:
            options["names"] = (name, _SHORT[name])
        return options


def _word_follows(task: str, argv: Sequence[str]) -> bool:
    places = [n for n, word in enumerate(argv) if word.split(".")[-1].replace("-", "_") == task]
    return any(not word.startswith("-") for n in places for word in argv[n + 1 : n + 2])


def _signature(function: Callable[..., None], texts: Mapping[str, str]) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    context = inspect.Parameter("context", kind)
    flags = list(inspect.signature(function).parameters.values())[1:]
    if flags and flags[-1].kind is inspect.Parameter.VAR_KEYWORD:
        named = {flag.name for flag in flags}
        flags[-1:] = [inspect.Parameter(name, kind, default="") for name in texts if name not in named]
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
            failure = _interrupted()
        except Exception as error:
            failure = _interrupted() if hides_interrupt(error) else _unforeseen(error)
            failure.__cause__ = error
        else:
            return 0
        if debug:
            traceback.print_exception(failure, file=sys.stderr)
        display.error(failure)
        return failure.exit_code


def _terminated(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _interrupted() -> Interrupted:
    return Interrupted("interrupted: nothing was left half-done", hint="the same command starts over")


def hides_interrupt(error: BaseException) -> bool:
    """Tell whether an error came while a Ctrl-C was being dealt with, as in a library that was half set up then."""
    seen = error.__context__
    while seen is not None and not isinstance(seen, KeyboardInterrupt):
        seen = seen.__context__
    return seen is not None


def _unforeseen(error: Exception) -> ShipitError:
    if type(error).__module__.startswith("botocore."):
        from shipit.aws.refusals import explain

        return explain(error)  # type: ignore[arg-type]  # all of botocore's are one of the two bases
    return ShipitError(
        f"{type(error).__name__}: {error}", hint="this is a defect of shipit: --debug shows where; please report it"
    )
