"""A door in front of a sandbox: every request of a command passes it, and at one of them something happens."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: What one connection settles with the other, and is not passed on.
_HOP = frozenset(("connection", "expect", "keep-alive", "transfer-encoding"))

#: Seconds after which a request that was to meet another is dropped.
_PATIENCE = 60.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Say nothing: who is killed leaves connections behind."""


class Door:
    """Pass requests on to a sandbox, and count them."""

    def __init__(self, behind: int) -> None:
        """Stand in front of the loopback port `behind`."""
        self._behind = behind
        self._counting = threading.Lock()
        self._meeting: tuple[str, threading.Barrier] | None = None
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_port
        self.open()
        threading.Thread(target=self._server.serve_forever, name="door", daemon=True).start()

    def open(self) -> None:
        """Let everything pass, and count from 0."""
        self.arm(0, lambda: None)

    def arm(
        self, number: int, act: Callable[[], None], *, at: str = "", done: bool = False, shuts: bool = True
    ) -> None:
        """Count from 0, and act at a request (from 1): before it is passed on, or once AWS has `done` it.

        Only those count whose operation, or method and path, contains `at`. Where the door `shuts`, the command gets
        no answer from then on.
        """
        with self._counting:
            self.seen, self._number, self._act = 0, number, act
            self._at, self._done, self._shuts = at, done, shuts

    def meet(self, at: str) -> None:
        """Hold the next request whose operation, or method and path, contains `at`, until there is another."""
        self._meeting = (at, threading.Barrier(2, action=self._met))

    def _met(self) -> None:
        self._meeting = None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _passes(self, what: str) -> tuple[bool, bool, bool]:
        """Count a request; tell whether it is to go in, whether to act after it, and whether it is answered."""
        with self._counting:
            counts = self._at in what
            self.seen += counts
            hit = counts and self.seen == self._number
            shut = self._shuts and 0 < self._number <= self.seen
            if hit and not self._done:
                self._act()
            return not shut or (hit and self._done), hit and self._done, not shut

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                what = operation or f"{self.command} {self.path}"
                if door._meeting and door._meeting[0] in what:
                    # Whoever waits for one that never comes sees that nobody answers.
                    door._meeting[1].wait(timeout=_PATIENCE)
                goes_in, acts, comes_out = door._passes(what)
                if goes_in:
                    answer, content = door._ask(self, body)
                if acts:
                    door._act()
                if not comes_out:
                    self.close_connection = True
                    return
                self.send_response_only(answer.status, answer.reason)
                for name, value in answer.getheaders():
                    if name.lower() not in _HOP and name.lower() != "content-length":
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass

        return Handler

    def _ask(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._behind, timeout=60)
        try:
            connection.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name.lower() not in _HOP:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()
