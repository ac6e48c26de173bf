"""The daemon: one loopback port for every service of the sandbox."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.serving import make_server

from shipit.sandbox.agents import Agent, ScriptedAgent
from shipit.sandbox.athena.service import AthenaService
from shipit.sandbox.clock import Clock
from shipit.sandbox.codedeploy import CodeDeploy
from shipit.sandbox.config import SandboxConfig
from shipit.sandbox.control import Control
from shipit.sandbox.instance.agent import ProcessAgent
from shipit.sandbox.instance.facts import InstanceFacts
from shipit.sandbox.instance.imds import Imds
from shipit.sandbox.instance.processes import clean_leftovers
from shipit.sandbox.lifecycle import Running, process_start
from shipit.sandbox.membership import Membership
from shipit.sandbox.moto_door import Moto, MotoRequestHandler, changes_instances
from shipit.sandbox.objects import MotoObjects
from shipit.sandbox.seed import seed_athena, seed_codedeploy, seed_moto
from shipit.sandbox.wire import JsonService

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

_ACTIVE = ["Created", "Queued", "InProgress", "Baking", "Ready"]
_TYPE = "application/x-amz-json-1.1"


class NoHosts:
    """Keep no folders: scripted instances are nothing but names."""

    def add(self, facts: InstanceFacts) -> None:
        """Do nothing."""

    def remove(self, instance_id: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def find(self, instance_id: str) -> InstanceFacts | None:
        """Know nobody."""
        return None


class _QuietHandler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Leave out the line per request: a rollout makes thousands."""


class Daemon:
    """Hold all parts of one sandbox, and the HTTP server in front of them."""

    def __init__(self, config: SandboxConfig, state: Path) -> None:
        """Bind the port and fill the sandbox; raises OSError where the port is taken."""
        self._config = config
        self._state = state
        self._clock = Clock(config.clock)
        self._server = make_server("127.0.0.1", config.port, self, threaded=True, request_handler=_QuietHandler)
        clean_leftovers(state)
        self._moto = Moto(config.region)
        seed_moto(self._moto, config)
        self._script = ScriptedAgent(self._clock) if config.workers == "scripted" else None
        self._hosts: NoHosts | ProcessAgent = NoHosts() if self._script else self._processes()
        self._members = Membership(self._moto, config, self._hosts)
        self._members.reconcile()
        self._codedeploy = CodeDeploy(self._clock, self._moto, self._agent(), config.region)
        seed_codedeploy(self._codedeploy, config)
        athena = AthenaService(MotoObjects(self._moto), lambda: datetime.now(UTC))
        seed_athena(athena, config)
        self._services = {
            "CodeDeploy_20141006": JsonService("codedeploy", self._codedeploy),
            "AmazonAthena": JsonService("athena", athena),
        }
        self._imds = Imds(self._hosts.find)
        self._control = Control(
            status=self.status,
            stop=self.stop,
            throttle=self._services["CodeDeploy_20141006"].throttle,
            reclaims=self,
            script=self._script,
        )
        self._since = time.time()
        self._used_at = time.monotonic()

    def run(self) -> None:
        """Serve until stopped, signalled or idle, then end everything that was started."""
        running = Running(
            pid=os.getpid(),
            process_start=process_start(os.getpid()),
            url=self._config.url,
            digest=self._config.digest,
        )
        running.write(self._state)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        threading.Thread(target=self._watch_idleness, daemon=True).start()
        log.info(
            "serving %s: %d groups, %d instances", self._config.url, len(self._config.queues), len(self._members)
        )
        try:
            self._server.serve_forever(poll_interval=0.1)
        finally:
            self._server.server_close()
            self._hosts.close()
            self._clock.close()
            Running.forget(self._state)
            log.info("stopped")

    def stop(self) -> None:
        """End `run` soon; returns at once, from any thread."""
        # `shutdown` waits for the serving loop, and would wait for ever in that loop's own thread.
        threading.Thread(target=self._server.shutdown, daemon=True).start()

    def status(self) -> dict[str, object]:
        """Return what `sandbox.status` shows."""
        return {
            "root": self._config.root,
            "pid": os.getpid(),
            "since": datetime.fromtimestamp(self._since, UTC).isoformat(),
            "groups": len(self._config.queues),
            "instances": len(self._members),
            "workers": self._config.workers,
            "active_deployments": len(self._active()),
            "idle_seconds_left": round(self._config.idle - (time.monotonic() - self._used_at)),
        }

    def reclaim(self, ids: list[str]) -> None:
        """End instances as a spot reclaim does."""
        self._moto.reclaim(ids)
        self._members.reconcile(self._codedeploy)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Route one request (PEP 3333)."""
        path = environ.get("PATH_INFO", "")
        if path.startswith("/_sandbox/"):
            return _reply(start_response, *self._control.handle(path.removeprefix("/_sandbox/"), _body(environ)))
        self._used_at = time.monotonic()
        if path.startswith("/_imds/"):
            environ["PATH_INFO"] = path.removeprefix("/_imds")
            return self._imds(environ, start_response)
        service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        if service in self._services:
            return _reply(start_response, *self._services[service].handle(operation, _body(environ)))
        answer = self._moto(environ, start_response)
        if changes_instances(environ):
            self._members.reconcile(self._codedeploy)
        return answer

    def _processes(self) -> ProcessAgent:
        return ProcessAgent(
            self._state,
            self._moto.fetch,
            self._config.url,
            self._config.hook_processes,
            stub=self._config.workers == "stub",
        )

    def _agent(self) -> Agent:
        if self._script:
            return self._script
        assert isinstance(self._hosts, ProcessAgent)
        return self._hosts

    def _active(self) -> list[str]:
        found: list[str] = self._codedeploy.list_deployments({"includeOnlyStatuses": _ACTIVE})["deployments"]
        return found

    def _watch_idleness(self) -> None:
        while True:
            time.sleep(min(5.0, self._config.idle / 4))
            if time.monotonic() - self._used_at > self._config.idle and not self._active():
                log.info("idle for %d s", self._config.idle)
                self.stop()
                return


def _body(environ: WSGIEnvironment) -> bytes:
    content: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return content


def _reply(start_response: StartResponse, status: int, body: bytes) -> Iterable[bytes]:
    start_response(
        f"{status} {'OK' if status == 200 else 'Error'}",
        [("Content-Type", _TYPE), ("Content-Length", str(len(body)))],
    )
    return [body]


def main(state: Path) -> None:
    """Run the sandbox that `<state>/config.json` describes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    config = SandboxConfig.from_json((state / "config.json").read_text(encoding="utf-8"))
    Daemon(config, state).run()
