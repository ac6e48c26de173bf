"""The daemon: all parts of one sandbox, behind one loopback port.

Measured on two cores: 50 groups of 200 instances serve after 2 s in 200 MB, 500 groups of 3,000 scripted ones after
4.5 s in 240 MB. Every request has a connection and a thread of its own (1.5 ms a call): werkzeug keeps no connection
open, and beside the 3 to 10 ms of a call to moto that does not show.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.serving import make_server

from shipit.errors import ShipitError
from shipit.sandbox.athena.service import AthenaService
from shipit.sandbox.clock import Clock
from shipit.sandbox.codedeploy import CodeDeploy
from shipit.sandbox.config import SandboxConfig
from shipit.sandbox.control import Control
from shipit.sandbox.faults.injector import Faults, Parts
from shipit.sandbox.faults.instances import FaultyAgent
from shipit.sandbox.idleness import Idleness
from shipit.sandbox.instance.agent import ProcessAgent
from shipit.sandbox.instance.heartbeat import Heartbeats
from shipit.sandbox.instance.imds import Imds
from shipit.sandbox.instance.processes import clean_leftovers, instances_folder, journal_folder
from shipit.sandbox.instance.role import is_from_instance
from shipit.sandbox.membership import Membership
from shipit.sandbox.moto_door import Moto, MotoRequestHandler
from shipit.sandbox.moto_queues import FairQueues
from shipit.sandbox.objects import MotoObjects
from shipit.sandbox.report_writes import ReportWrites
from shipit.sandbox.routes import Routes
from shipit.sandbox.running import Running, process_start
from shipit.sandbox.scale_in import ScaleIn
from shipit.sandbox.seed import seed_athena, seed_codedeploy, seed_moto
from shipit.sandbox.turns import ConditionalWritesInTurn
from shipit.sandbox.wire import JsonService
from shipit.sandbox.workers import ScriptedWorkers, make_workers

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

log = logging.getLogger(__name__)

_ACTIVE = ["Created", "Queued", "InProgress", "Baking", "Ready"]


class _QuietHandler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Leave out the line per request: a rollout makes thousands."""

    def connection_dropped(self, error: BaseException, environ: WSGIEnvironment | None = None) -> None:
        """Read no further request from a connection that a fault has reset."""
        self.close_connection = True


class Daemon:
    """Hold all parts of one sandbox, and the HTTP server in front of them."""

    def __init__(self, config: SandboxConfig, state: Path) -> None:
        """Bind the port, clean up after a daemon that was killed, and fill the sandbox.

        Raises OSError where the port is taken, before anything else is touched.
        """
        self._config = config
        self._state = state
        self._server = make_server(
            "127.0.0.1",
            config.port,
            lambda *request: self._routes(*request),
            threaded=True,
            request_handler=_QuietHandler,
        )
        clean_leftovers(state)
        # Those of the daemon before stayed, to be looked at; none of them will ever be in a group again.
        for folder in (instances_folder(state), journal_folder(state)):
            shutil.rmtree(folder, ignore_errors=True)
        self._clock = Clock(config.clock)
        self._moto = Moto(config.region)
        seed_moto(self._moto, config)
        self._queues = FairQueues(self._moto, self._moto.sqs)
        self._queues.create(config.queues, config.visibility)
        self._workers = make_workers(config, state, self._clock, self._moto.fetch)
        # Reports bear the machine's own time, so on a faster clock the interval is longer by its factor.
        self._heartbeats = (
            Heartbeats(self._workers, self._clock, config.heartbeat * config.clock)
            if isinstance(self._workers, ProcessAgent)
            else None
        )
        self._scale_in = ScaleIn(self._moto, self._workers.is_watched, lambda: self._follow_changes())
        self._members = Membership(self._moto, config, self._workers)
        self._members.reconcile()
        self._agent = FaultyAgent(
            self._workers, self._clock, self._take_away, scripted=isinstance(self._workers, ScriptedWorkers)
        )
        if isinstance(self._workers, ProcessAgent):
            self._workers.wrap_hooks(self._agent.wrapper)
        self._codedeploy = CodeDeploy(self._clock, self._moto, self._agent, config.region)
        seed_codedeploy(self._codedeploy, config)
        self._athena = AthenaService(MotoObjects(self._moto), lambda: datetime.now(UTC))
        seed_athena(self._athena, config)
        self._idleness = Idleness(config.idle, lambda: bool(self._active()))
        self._stopping = threading.Event()
        #: When instances end that were given notice; ids are never used again.
        self._ends_at: dict[str, datetime] = {}
        #: Until when the metadata service of an instance is out of order, by time.monotonic.
        self._blind_until: dict[str, float] = {}
        self._since = datetime.now(UTC)
        self._routes = self._make_routes()

    def run(self) -> None:
        """Serve until stopped, signalled or idle, then end everything that was started."""
        running = Running(pid=os.getpid(), process_start=process_start(os.getpid()), url=self._config.url)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: self.stop(f"signal {number}"))
        threading.Thread(target=self._watch_idleness, daemon=True).start()
        running.write(self._state)
        if self._heartbeats:
            self._heartbeats.start()
        log.info("serving %s: %s", self._config.url, self.status())
        try:
            self._server.serve_forever(poll_interval=0.1)
        finally:
            self._server.server_close()
            if self._heartbeats:
                self._heartbeats.close()
            self._workers.close()
            self._athena.close()
            self._clock.close()
            Running.forget(self._state)
            log.info("stopped")

    def stop(self, why: str = "asked to") -> None:
        """End `run` soon; returns at once, from any thread. The log says why."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        log.info("stopping: %s", why)
        self._idleness.end()
        # `shutdown` waits for the serving loop, and would wait for ever in that loop's own thread.
        threading.Thread(target=self._server.shutdown, daemon=True).start()

    def status(self) -> dict[str, object]:
        """Return what `sandbox.status` shows."""
        return {
            "root": self._config.root,
            "pid": os.getpid(),
            "since": self._since.isoformat(timespec="seconds"),
            "groups": len(self._config.queues),
            "instances": len(self._members),
            "workers": self._config.workers,
            "active_deployments": len(self._active()),
            "idle_seconds_left": round(self._idleness.left),
        }

    def groups(self) -> list[str]:
        """Return the names of all Auto Scaling groups."""
        return self._moto.groups()

    def members(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield all members of all groups: group, instance id, lifecycle state, availability zone."""
        return self._moto.members()

    def reclaim(self, ids: list[str], notice: float = 0.0) -> None:
        """End instances as a spot reclaim does; raises ValueError for unknown ones.

        With a `notice`, their metadata says so first, and they end after so many real seconds.
        """
        if not notice:
            self._moto.reclaim(ids)
            self._follow_changes()
            return
        self._moto.require(ids)
        ends_at = datetime.now(UTC) + timedelta(seconds=notice)
        for instance in ids:
            self._ends_at[instance] = ends_at
            timer = threading.Timer(notice, self._take_away, (instance,))
            timer.daemon = True
            timer.start()

    def kill(self, ids: list[str]) -> int:
        """Kill the workers of instances without a word; return how many there were."""
        return self._workers.kill(ids, f"{self._config.application}@*.service")

    def blind(self, ids: list[str], seconds: float) -> None:
        """Let the metadata service of these instances answer 503 for so many real seconds."""
        self._blind_until.update(dict.fromkeys(ids, time.monotonic() + seconds))

    def scale(self, group: str, by: int) -> None:
        """Let an Auto Scaling group grow or shrink; raises ValueError beyond its bounds.

        An instance that goes and has a watcher waits for that, as its group's hook says.
        """
        self._moto.scale(group, by, on_shrink=self._scale_in.begin)
        self._follow_changes()

    def _take_away(self, instance_id: str) -> None:
        # It may have left its group by itself meanwhile.
        with contextlib.suppress(ValueError):
            self.reclaim([instance_id])

    def _make_routes(self) -> Routes:
        codedeploy = JsonService("codedeploy", self._codedeploy)
        faults = Faults(
            Parts(
                application=self._config.application,
                throttle=codedeploy.throttle,
                fleet=self,
                deployments=self._codedeploy,
                timer=self._clock,
                agent=self._agent,
            )
        )
        control = Control(
            status=self.status,
            wake=self._idleness.use,
            stop=self.stop,
            throttle=codedeploy.throttle,
            faults=faults,
            reclaim=self.reclaim,
            script=self._workers if isinstance(self._workers, ScriptedWorkers) else None,
        )
        return Routes(
            control=control,
            faults=faults.requests,
            services={"CodeDeploy_20141006": codedeploy, "AmazonAthena": JsonService("athena", self._athena)},
            imds=Imds(
                self._workers.find,
                self._ends_at.get,
                target=self._scale_in.target,
                fails=lambda instance_id: time.monotonic() < self._blind_until.get(instance_id, 0.0),
            ),
            moto=ConditionalWritesInTurn(self._queues),
            report_writes=ReportWrites(self._moto, self._config.reports, self._config.history).answer,
            lifecycle_actions=self._scale_in.answer,
            on_request=self._note_use,
            on_change=self._follow_changes,
        )

    def _note_use(self, environ: WSGIEnvironment) -> None:
        # An instance reports on its own: that is nobody using the sandbox.
        if not is_from_instance(environ):
            self._idleness.use()

    def _follow_changes(self) -> None:
        self._members.reconcile(self._codedeploy)

    def _active(self) -> list[str]:
        found: list[str] = self._codedeploy.list_deployments({"includeOnlyStatuses": _ACTIVE})["deployments"]
        return found

    def _watch_idleness(self) -> None:
        while not self._stopping.wait(min(5.0, self._config.idle / 4)):
            if self._idleness.is_over():
                self.stop(f"nobody used it for {self._config.idle:.0f} s, and nothing runs")


def main(state: Path) -> None:
    """Run the sandbox that `<state>/config.json` describes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    config = SandboxConfig.from_json((state / "config.json").read_text(encoding="utf-8"))
    try:
        daemon = Daemon(config, state)
    except Exception as error:
        log.exception("the sandbox could not be made")
        # The log's last line is what the user who waits for the start is shown.
        sys.exit(error.message if isinstance(error, ShipitError) else f"{type(error).__name__}: {error}")
    daemon.run()
