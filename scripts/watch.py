#!/usr/bin/env python3
"""Watch this instance for its end, drain its workers in time, and report what runs: a service, one per application.

    watch.py APP        as root, from systemd/watcher.service

A spot notice or, by setting, a rebalance recommendation drains every worker of APP before the instance ends; a
scale-in drains them while heartbeats extend its lifecycle action, which is completed at the end. docs/watcher.md says
what each setting does. Two at once do no harm: the second waits for the first to end. Standard library alone, Python
3.9 and later.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import threading
import time
from types import FrameType

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which -I leaves out

# All of it now: the release that this runs from may be gone when the instance is.
import drain
from shipit_instance.aws import Aws
from shipit_instance.facts import Identity, Settings, identify, read_settings, state_folder
from shipit_instance.lifecycle import Hook
from shipit_instance.metadata import Failed, Metadata
from shipit_instance.reporter import Reporter
from shipit_instance.sender import Sender
from shipit_instance.spool import Spool
from shipit_instance.watcher import Eyes, Watcher
from shipit_instance.workers import Systemd

#: Seconds after something that nobody thought of.
_AFTER_A_BUG = 5.0
#: Seconds that sending may take once the service is told to stop; its unit gives it a little more.
_LAST_SENDING = 10.0


class Service:
    """Run the watcher and, on a thread of its own, the sender of reports: S3 that hangs holds up no look."""

    def __init__(self, app: str, root: str) -> None:
        """Watch the workers of `app` below `root`, which is empty on a real machine."""
        self._app = app
        self._root = root
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._ended = threading.Event()

    def stop(self, number: int, frame: FrameType | None) -> None:
        """End soon: a signal's handler."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> int:
        """Watch until told to stop; return the exit code."""
        settings = read_settings(self._root)
        poll = settings.seconds("SHIPIT_WATCH_POLL") or 5.0
        lock = self._alone(state_folder(self._root, self._app), poll)
        identity = self._identity(poll)
        if identity is not None:
            self._watch(settings, identity)
        if lock is not None:
            os.close(lock)
        return 0

    def _watch(self, settings: Settings, identity: Identity) -> None:
        spool = Spool(f"{state_folder(self._root, self._app)}/{identity.instance_id}", say)
        region = settings.text("AWS_REGION") or identity.az[:-1]
        reporter = Reporter(
            home=f"{self._root}/opt/shipit/{self._app}",
            settings=settings,
            identity=identity,
            spool=spool,
            wall=time.time,
            say=say,
        )
        metadata = Metadata()
        aws = Aws(metadata, region)

        def hook() -> Hook | None:
            name = settings.text("SHIPIT_DRAIN_HOOK")
            if name == "off":  # somebody else answers it
                return None
            return Hook(
                aws,
                group=settings.text("SHIPIT_ASG"),
                hook=name,
                instance_id=identity.instance_id,
                every=settings.seconds("SHIPIT_HOOK_HEARTBEAT"),
                say=say,
            )

        watcher = Watcher(
            look=Eyes(metadata, time.time, say, rebalance=settings.text("SHIPIT_REBALANCE") == "drain"),
            units=Systemd(self._app),
            reports=_Waking(reporter, self._wake),
            waiting=lambda: len(spool),
            hook=hook,
            drain=drain.drain,
            spawn=lambda job: threading.Thread(target=job, daemon=True).start(),
            settings=settings,
            monotonic=time.monotonic,
            say=say,
        )
        sender = Sender(spool, Aws(Metadata(), region), say)
        sending = threading.Thread(target=self._send, args=(sender,), daemon=True)
        sending.start()
        while not self._stopping.is_set():
            try:
                pause = watcher.step()
            except Exception as error:  # a bug must not leave the workers without notice
                say(f"a look failed: {error!r}")
                pause = _AFTER_A_BUG
            self._stopping.wait(pause)
        watcher.last_step()
        self._ended.set()
        self._wake.set()
        sending.join(_LAST_SENDING)

    def _send(self, sender: Sender) -> None:
        last = False
        while not last:
            # In this order: whatever is reported from here on wakes us for another round.
            self._wake.clear()
            last = self._ended.is_set()
            try:
                pause = sender.step()
            except Exception as error:
                say(f"sending failed: {error!r}")
                pause = _AFTER_A_BUG
            if not last:
                self._wake.wait(pause)

    def _identity(self, poll: float) -> Identity | None:
        """Learn who this is, however long that takes; None where we are told to stop before."""
        said = False
        while not self._stopping.is_set():
            try:
                return identify(Metadata())
            except Failed as failure:
                if not said:
                    say(f"{failure}; asking again")
                said = True
            self._stopping.wait(poll)
        return None

    def _alone(self, folder: str, poll: float) -> int | None:
        """Wait until no other watcher of the application runs. The kernel frees the lock of one that dies.

        Without a lock, because the disk takes none, it is better to watch than not to.
        """
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            lock = os.open(f"{folder}/watch.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            say(f"{error}; watching without a lock")
            return None
        said = False
        while not self._stopping.is_set():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said:
                    say("another watcher runs; waiting for its end")
                said = True
            except OSError as error:
                say(f"{error}; watching without a lock")
                break
            self._stopping.wait(poll)
        return lock


class _Waking:
    """Wake the sender whenever something was reported."""

    def __init__(self, reporter: Reporter, wake: threading.Event) -> None:
        self._reporter = reporter
        self._wake = wake

    def observe(self, running: list[int], alive: list[int]) -> bool:
        """Report what has changed and what is due; tell whether anything was."""
        reported = self._reporter.observe(running, alive)
        if reported:
            self._wake.set()
        return reported


def say(text: str) -> None:
    """Say a line to the journal, which need not be there."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


if __name__ == "__main__":
    service = Service(sys.argv[1], os.environ.get("SHIPIT_ROOT", ""))
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, service.stop)
    sys.exit(service.run())
