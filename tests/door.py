"""A door in front of a sandbox: every request of a command passes it, and at one of them something happens."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: What one connection settles with the other, and is not passed on.
_HOP = frozenset(("connection", "expect", "keep-alive", "transfer-encoding"))


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
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_port
        self.open()
        threading.Thread(target=self._server.serve_forever, name="door", daemon=True).start()

    def open(self) -> None:
        """Let everything pass, and count from 0."""
        self.arm(0, lambda: None)

    def arm(self, number: int, act: Callable[[], None], *, done: bool = False) -> None:
        """Count from 0, and act at a request (from 1) instead of passing it on; where `done` instead of answering it.

        What was `done` is so in AWS, and the command does not know. Nothing passes from then on.
        """
        with self._counting:
            self.seen, self._number, self._act, self._done = 0, number, act, done

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _passes(self) -> tuple[bool, bool]:
        """Count a request; tell whether it is to go in, and whether its answer is to come out."""
        with self._counting:
            self.seen += 1
            shut = bool(self._number) and self.seen >= self._number
            if self.seen == self._number and not self._done:
                self._act()
            return not shut or (self.seen == self._number and self._done), not shut

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                goes_in, comes_out = door._passes()
                if goes_in:
                    answer, content = door._ask(self, body)
                if not comes_out:
                    if goes_in:
                        door._act()
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
