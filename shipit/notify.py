"""Tell others of a rollout: a webhook and a command, on its start, failure and success.

Touches the network and starts a process. A notification that fails is a warning and never fails the rollout; its
words never hold the webhook's URL, which is a secret (whoever has it may post).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from http.client import HTTPException
from typing import IO, Protocol
from urllib.parse import urlsplit

from shipit.errors import UsageError
from shipit.events import Listener, Notice
from shipit.wording import duration, plural

#: Seconds that a webhook may take to answer, that a command may take, and that lie before the second try.
POST_TIMEOUT, COMMAND_TIMEOUT, PAUSE = 10.0, 60.0, 1.0
#: What Slack, and what speaks like it, accepts (docs.slack.dev, "Sending messages using incoming webhooks").
SLACK = '{"text": "${slack}"}'

_PLACE = re.compile(r"\$\{([^{}]*)\}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_TAIL = 300
_MARKS = {"start": "▶", "success": "✓", "failure": "✗"}


class Moment(StrEnum):
    """Say when in a rollout a notification is sent."""

    START = "start"
    FAILURE = "failure"
    SUCCESS = "success"


@dataclass(frozen=True, kw_only=True)
class Message:
    """Hold what a notification tells.

    `message` is what the command says of its end, if anything; `groups` counts those of the rollout; `seconds` is how
    long it took and `exit_code` what the command will return, both None at the start.
    """

    event: Moment
    env: str
    build: str
    rollout: str
    by: str
    why: str = ""
    outcome: str = ""
    exit_code: int | None = None
    message: str = ""
    groups: int = 0
    seconds: float | None = None

    @property
    def sentence(self) -> str:
        """Say it to people: the message, or what the other fields tell."""
        what = f"{self.build} to {plural(self.groups, 'group')}"
        if self.event is Moment.START:
            return self.message or f"a rollout of {what} has started"
        took = f" after {duration(self.seconds)}" if self.seconds is not None else ""
        said = f"the rollout of {what} ended {self.outcome or self.event}{took}"
        return f"{said}: {self.message}" if self.message else said

    @property
    def values(self) -> Mapping[str, str]:
        """Return what a template may name and, in capitals behind `SHIPIT_HOOK_`, what a command is given."""
        return {
            "event": self.event.value,
            "env": self.env,
            "build": self.build,
            "rollout": self.rollout,
            "by": self.by,
            "why": self.why,
            "outcome": self.outcome,
            "exit_code": "" if self.exit_code is None else str(self.exit_code),
            "message": self.sentence,
            "groups": str(self.groups),
            "seconds": "" if self.seconds is None else f"{self.seconds:.0f}",
        }


class Ended(Protocol):
    """How a command ended: its exit code and the end of what it printed."""

    @property
    def exit_code(self) -> int:
        """Return its exit code."""

    @property
    def tail(self) -> str:
        """Return the end of its output."""


class Runner(Protocol):
    """What runs the command hook."""

    def __call__(self, command: str, env: Mapping[str, str]) -> Ended:
        """Run the command by the shell, `env` added to our environment; raises OSError where it cannot."""


class Poster(Protocol):
    """What sends the webhook."""

    def __call__(self, url: str, body: bytes) -> int:
        """Post the JSON and return the status of the answer; raises OSError where there is none."""


def check_webhook(url: str) -> None:
    """Refuse with UsageError a URL that is not http(s); the words do not hold it."""
    try:
        parts = urlsplit(url)
        well = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isascii() and url.isprintable()
    except ValueError:
        well = False
    if not well or " " in url:
        raise UsageError("the webhook's URL is not one of http or https", hint="https://hooks.example.com/…")


def body_of(template: str, message: Message) -> bytes:
    """Return the JSON to post: the template, `${build}` and its like replaced inside its strings.

    Raises UsageError for a template that is no JSON or names something that is not there.
    """
    try:
        whole = json.loads(template or SLACK)
    except ValueError as error:
        raise UsageError(
            f"the webhook's template is not JSON: {error}", hint='write ${…} inside strings: {"text": "${message}"}'
        ) from None
    values = {**message.values, "slack": slack_text(message)}
    return json.dumps(_filled(whole, values)).encode("ascii")


def slack_text(message: Message) -> str:
    """Return the default message, in which Slack finds no command: `&`, `<` and `>` escaped as it asks."""
    facts = [message.rollout, f"by {message.by}", *([message.why] if message.why else [])]
    text = f"{_MARKS[message.event]} {message.env}: {message.sentence} ({', '.join(facts)})"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def notify(
    message: Message,
    *,
    webhook: str,
    template: str,
    command: str,
    run: Runner,
    post: Poster,
    listen: Listener,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Post to `webhook` and run `command`, each where it is not empty; whatever fails is a Notice.

    An empty `template` is Slack's. No answer, a 429 and a 5xx are tried once more after a second.
    """
    jobs: list[tuple[str, Callable[[], str]]] = []
    if webhook:
        jobs.append(("webhook", lambda: _post(message, webhook, template, post, sleep)))
    if command:
        jobs.append(("command hook", lambda: _run(message, command, run)))
    for name, send in jobs:
        try:
            wrong = send()
        except UsageError as error:
            wrong = error.message
        except Exception as error:
            # Whatever it is, it must not stop a rollout; its text may hold the URL.
            wrong = _reason(error)
        if wrong:
            text = f"the {name} for {message.event} failed, the rollout goes on: {_masked(wrong, webhook)}"
            listen(Notice(text=text, warning=True))


def _post(message: Message, url: str, template: str, post: Poster, sleep: Callable[[float], None]) -> str:
    """Return what went wrong, nothing where it was accepted."""
    check_webhook(url)
    body = body_of(template, message)
    wrong, passing = _attempt(url, body, post)
    if passing:
        sleep(PAUSE)
        wrong, _ = _attempt(url, body, post)
    return wrong


def _attempt(url: str, body: bytes, post: Poster) -> tuple[str, bool]:
    """Return what went wrong, and whether it may pass."""
    try:
        status = post(url, body)
    except OSError as error:
        return _reason(error), True
    if 200 <= status < 300:
        return "", False
    return f"it answered {status}", status >= 500 or status == HTTPStatus.TOO_MANY_REQUESTS


def _run(message: Message, command: str, run: Runner) -> str:
    env = {f"SHIPIT_HOOK_{name.upper()}": _for_env(value) for name, value in message.values.items()}
    ended = run(command, env)
    if ended.exit_code == 0:
        return ""
    last = ended.tail.strip().rpartition("\n")[2].strip()
    return f"it exited {ended.exit_code}" + (f": {last}" if last else "")


def _for_env(text: str) -> str:
    """Return what an environment can carry: no NUL, no halves of characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _filled(value: object, values: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return _PLACE.sub(lambda place: _value(place[1], values), value)
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, values) for key, item in value.items()}
    return value


def _value(name: str, values: Mapping[str, str]) -> str:
    if name not in values:
        raise UsageError(f"the webhook's template names ${{{name}}}, which is not there: {', '.join(values)} are")
    return values[name]


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError):
        error = error.reason
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _masked(text: str, webhook: str) -> str:
    """Return one short line in which neither the webhook nor any other URL is left."""
    path = webhook.partition("://")[2].partition("/")[2]
    for secret in (webhook, path):
        text = text.replace(secret, "…") if secret else text
    text = " ".join(_URL.sub("<url>", text).split())
    return text if len(text) <= _TAIL else text[: _TAIL - 1] + "…"


# --- the real ones -------------------------------------------------------------------------------------------------


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Take a redirect for an answer: urllib would follow it with a GET, and the message would be lost."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def http_post(url: str, body: bytes, *, timeout: float = POST_TIMEOUT) -> int:
    """Post the JSON over http(s) and return the status; raises OSError where no answer comes in `timeout` seconds."""
    request = urllib.request.Request(
        url,
        data=body,
        method="POST",
        headers={"Content-Type": "application/json; charset=utf-8", "User-Agent": "shipit"},
    )
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except HTTPException as error:
        raise OSError(None, f"no proper answer ({type(error).__name__})") from None


@dataclass(frozen=True, kw_only=True)
class CommandEnded:
    """Hold how a command ended, and the end of what it printed."""

    exit_code: int
    tail: str


def run_command(command: str, env: Mapping[str, str], *, timeout: float = COMMAND_TIMEOUT) -> CommandEnded:
    """Run the command by /bin/sh with nothing on stdin, its output kept from ours.

    Raises TimeoutError after `timeout` seconds, when it and all that it started have been killed. What it leaves
    behind in the background is not waited for.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise TimeoutError from None
        except BaseException:
            _kill(process)
            raise
        return CommandEnded(exit_code=code, tail=_tail(output))


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - 2000))
    return output.read().decode("utf-8", "replace")
