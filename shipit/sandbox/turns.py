"""Conditional writes to S3, one at a time: moto looks at the condition and then writes, with other threads between.

Of eight threads that created one key with If-None-Match, moto alone let two succeed in 4 races of 150.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class ConditionalWritesInTurn:
    """Hand requests on to another application (PEP 3333), writes under a condition in turn."""

    def __init__(self, application: WSGIApplication) -> None:
        """Stand in front of `application`, which does its work before it returns, as Flask does."""
        self._application = application
        self._turn = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        conditional = "HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ
        if not conditional or environ["REQUEST_METHOD"] not in ("PUT", "POST"):
            return self._application(environ, start_response)
        # Read before its turn comes, so that a client that stalls holds up no other.
        body = io.BytesIO(_body(environ))
        with self._turn:
            return self._application({**environ, "wsgi.input": body}, start_response)


def _body(environ: WSGIEnvironment) -> bytes:
    whole = environ.get("wsgi.input_terminated", False)
    length = -1 if whole else int(environ.get("CONTENT_LENGTH") or 0)
    content: bytes = environ["wsgi.input"].read(length)
    return content
