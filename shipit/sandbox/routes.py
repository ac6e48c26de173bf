"""Which part of the sandbox answers a request: one address for all services, as a WSGI callable (PEP 3333)."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from shipit.sandbox.control import Control
from shipit.sandbox.faults.requests import RequestFaults, read_body
from shipit.sandbox.instance.role import caller, caller_identity, is_from_instance
from shipit.sandbox.moto_door import is_about_instances, may_change_instances
from shipit.sandbox.wire import JsonService

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_JSON, _XML = "application/x-amz-json-1.1", "text/xml"
_CONTROL, _IMDS = "/_sandbox/", "/_imds/"
_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 412: "Precondition Failed", 500: "Internal Server Error"}


class Routes:
    """Hand each request to the part that answers it."""

    def __init__(
        self,
        *,
        control: Control,
        faults: RequestFaults,
        services: Mapping[str, JsonService],
        imds: WSGIApplication,
        moto: WSGIApplication,
        report_writes: Callable[[WSGIEnvironment], tuple[int, bytes] | None],
        lifecycle_actions: Callable[[bytes], tuple[int, bytes] | None],
        on_request: Callable[[WSGIEnvironment], None],
        on_change: Callable[[], None],
    ) -> None:
        """Serve `services` by the first part of `X-Amz-Target`, and leave to `moto` what is nobody else's.

        `faults` befall the requests of clients, not those of the sandbox's own instances. `report_writes` answers
        what instances write to S3 as reports, `lifecycle_actions` those forms to Auto Scaling that moto does not
        know; both None for all others. `on_request` is called before each request but those to `control`,
        `on_change` after each that may have changed who is in which Auto Scaling group, before its client reads it.
        """
        self._control = control
        self._faults = faults
        self._services = services
        self._imds = imds
        self._moto = moto
        self._report_writes = report_writes
        self._lifecycle_actions = lifecycle_actions
        self._on_request = on_request
        self._on_change = on_change

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if _is_from_a_browser(environ):
            refusal = {"__type": "AccessDeniedException", "message": "the sandbox does not answer web pages"}
            return _reply(start_response, 403, json.dumps(refusal).encode())
        if path.startswith(_CONTROL):
            return _reply(start_response, *self._control.handle(path.removeprefix(_CONTROL), read_body(environ)))
        self._on_request(environ)
        if path.startswith(_IMDS):
            return self._imds({**environ, "PATH_INFO": path.removeprefix(_IMDS)}, start_response)
        if is_from_instance(environ):
            if (answered := self._report_writes(environ)) is not None:
                return _reply(start_response, *answered, _XML)
            return self._serve(environ, start_response)
        return self._faults.serve(environ, start_response, self._serve)

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        if service in self._services:
            return _reply(start_response, *self._services[service].handle(operation, read_body(environ)))
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        asks_who_it_is = "/sts/aws4_request" in authorization and caller(environ)
        if not asks_who_it_is and not is_about_instances(authorization):
            return self._moto(environ, start_response)
        form = read_body(environ)
        if asks_who_it_is and b"Action=GetCallerIdentity" in form:
            return _reply(start_response, 200, caller_identity(asks_who_it_is), _XML)
        if (answered := self._lifecycle_actions(form)) is not None:
            return _reply(start_response, *answered, _XML)
        answer = self._moto({**environ, "wsgi.input": io.BytesIO(form)}, start_response)
        if may_change_instances(form):
            self._on_change()
        return answer


def _is_from_a_browser(environ: WSGIEnvironment) -> bool:
    """Tell a web page's request from a client's: no client of AWS sends these headers, or asks for a foreign host.

    Whoever can put a bundle here and deploy it runs programs on this machine. Nothing checks signatures, and moto
    allows every origin: without this, any page in the user's browser could do it (DNS rebinding included).
    """
    host = environ.get("HTTP_HOST", "").partition(":")[0]
    local = host in ("", "127.0.0.1", "localhost") or host.endswith(".localhost")
    return not local or "HTTP_ORIGIN" in environ or "HTTP_SEC_FETCH_SITE" in environ


def _reply(start_response: StartResponse, status: int, body: bytes, kind: str = _JSON) -> Iterable[bytes]:
    start_response(
        f"{status} {_REASONS.get(status, 'Error')}", [("Content-Type", kind), ("Content-Length", str(len(body)))]
    )
    return [body]
