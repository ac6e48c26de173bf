"""What happens to the requests of clients on demand: they are late, refused, reset, or carried out unanswered.

All times are real ones, whatever the sandbox's clock does: a client's patience and its back-off are real too.
"""

from __future__ import annotations

import io
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shipit.sandbox.faults.refusals import INTERNAL, UNAVAILABLE, Asked, asked, refusal

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

NAMES = ("latency", "outage", "refuse", "errors", "reset")

_BEFORE, _AFTER = "before", "after"


@dataclass(kw_only=True)
class Disturbance:
    """Hold one fault in effect: its values as `catalogue.read` returns them, and how often it struck."""

    name: str
    values: Mapping[str, Any]
    since: float
    random: random.Random
    seen: int = 0
    hits: int = 0

    def over(self, now: float) -> bool:
        """Tell whether it has lapsed."""
        return self.name == "outage" and now >= self.since + float(self.values["seconds"])

    def concerns(self, asked: Asked) -> bool:
        """Tell whether the request is of its kind."""
        service, operation = self.values.get("service"), self.values.get("operation")
        return service in (None, asked.service) and operation in (None, asked.operation)

    def strikes(self, now: float) -> bool:
        """Count a request that it concerns, and tell whether that one is hit."""
        self.seen += 1
        if self.name in ("errors", "reset"):
            hit = self.random.random() < float(self.values["share"])
        elif self.name == "refuse":
            hit = now >= self.since + float(self.values.get("after", 0)) and self.seen > int(
                self.values.get("calls", 0)
            )
        else:
            hit = True
        self.hits += hit
        return hit


@dataclass
class _Fate:
    """Say what befalls one request: the delay first, then a refusal, or the connection's end."""

    delay: float = 0.0
    code: str = ""
    reset: str = ""


@dataclass
class RequestFaults:
    """Keep the faults that befall requests. Safe from any thread."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _faults: list[Disturbance] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, values: Mapping[str, Any], key: tuple[str, ...]) -> None:
        """Put a fault in effect, in place of one of the same name whose values of `key` are the same."""
        with self._lock:
            same = [values.get(part) for part in key]
            self._faults = [f for f in self._faults if f.name != name or [f.values.get(part) for part in key] != same]
            seed = random.Random(values.get("seed", 0))
            self._faults.append(Disturbance(name=name, values=values, since=self.now(), random=seed))

    def clear(self) -> None:
        """Lift all."""
        with self._lock:
            self._faults = []

    def in_effect(self) -> list[Disturbance]:
        """Return those that have not lapsed."""
        with self._lock:
            return [fault for fault in self._faults if not fault.over(self.now())]

    def serve(self, environ: WSGIEnvironment, start_response: StartResponse, app: WSGIApplication) -> Iterable[bytes]:
        """Let `app` answer a client's request, unless a fault is in the way (PEP 3333).

        Raises ConnectionResetError once the connection is gone.
        """
        if not self._faults:
            return app(environ, start_response)
        body = read_body(environ)
        what = asked(environ, body)
        fate = self._fate(what)
        if fate.delay:
            self.sleep(fate.delay)
        if fate.code:
            return _refuse(environ, start_response, what, fate.code)
        if fate.reset == _BEFORE:
            _reset(environ)
        whole = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        if fate.reset == _AFTER:
            _carry_out(app, whole)
            _reset(environ)
        return app(whole, start_response)

    def _fate(self, what: Asked) -> _Fate:
        fate, now = _Fate(), self.now()
        with self._lock:
            self._faults = [fault for fault in self._faults if not fault.over(now)]
            for fault in (f for f in self._faults if f.concerns(what) and f.strikes(now)):
                match fault.name:
                    case "latency":
                        fate.delay += fault.values["seconds"]
                    case "reset":
                        # Every other one, in turn: half of them is what was asked for, not about half.
                        fate.reset = _BEFORE if fault.hits % 2 else _AFTER
                    case "outage":
                        fate.code = UNAVAILABLE
                    case "refuse":
                        fate.code = fault.values["code"]
                    case "errors":
                        fate.code = fate.code or fault.random.choice((INTERNAL, UNAVAILABLE))
        return fate


def read_body(environ: WSGIEnvironment) -> bytes:
    """Return the whole body of a request."""
    stream = environ["wsgi.input"]
    whole = environ.get("wsgi.input_terminated", False)
    content: bytes = stream.read() if whole else stream.read(int(environ.get("CONTENT_LENGTH") or 0))
    return content


def _refuse(environ: WSGIEnvironment, start_response: StartResponse, what: Asked, code: str) -> Iterable[bytes]:
    status, kind, body = refusal(what, code)
    if environ.get("REQUEST_METHOD") == "HEAD":
        body = b""
    headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [body]


def _carry_out(app: WSGIApplication, environ: WSGIEnvironment) -> None:
    answer = app(environ, lambda status, headers, error=None: lambda data: None)
    try:
        for _ in answer:
            pass
    finally:
        if hasattr(answer, "close"):
            answer.close()


def _reset(environ: WSGIEnvironment) -> None:
    """End the connection with RST: closed with nothing to linger for, and before the server would say FIN."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # `close` alone would wait for the server's own files on the socket.
    socket.close(connection.detach())
    raise ConnectionResetError("as the sandbox was told to")
