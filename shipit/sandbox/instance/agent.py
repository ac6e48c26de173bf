"""Run lifecycle events on instances that are folders, as the CodeDeploy agent does (codedeploy.md, section 3)."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from shipit.models import EventStatus, Revision
from shipit.sandbox.agents import Command, NoAgent, Outcome
from shipit.sandbox.instance.archive import unpack
from shipit.sandbox.instance.facts import InstanceFacts
from shipit.sandbox.instance.folders import InstanceFolder, RevisionFolder
from shipit.sandbox.instance.heartbeat import send_report
from shipit.sandbox.instance.hooks import HookRunner, ScriptError
from shipit.sandbox.instance.install import Installer
from shipit.sandbox.instance.manifest import read_manifest
from shipit.sandbox.instance.processes import MARK, instances_folder, journal_folder, kill_marked, start_reaper
from shipit.sandbox.instance.programs import write_journalctl, write_python
from shipit.sandbox.instance.script_log import ScriptLog
from shipit.sandbox.instance.slots import Slot, Slots
from shipit.sandbox.instance.systemctl import SystemctlServer
from shipit.sandbox.instance.units import Units

log = logging.getLogger(__name__)

#: Events whose scripts come from the last revision that was installed; all others from the new bundle.
_OLD_REVISION = frozenset({"ApplicationStop", "BeforeBlockTraffic", "AfterBlockTraffic"})

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_DONE = Outcome(status=EventStatus.SUCCEEDED)


@dataclass(frozen=True, kw_only=True)
class _Instance:
    facts: InstanceFacts
    folder: InstanceFolder
    units: Units
    #: What every process of the instance has in its environment.
    environment: dict[str, str]
    #: Whether its units run idle processes in place of their programs, and nobody watches it.
    stub: bool


class ProcessAgent:
    """Be the agent of many instances at once; see `shipit.sandbox.agents.Agent`.

    At most `slots` events *work* at a time; a hook that waits for long does not count.
    """

    def __init__(
        self,
        state: Path,
        fetch: Callable[[Revision], bytes],
        endpoint: str,
        slots: int = 4,
        *,
        stub: bool = True,
        real_queues: Collection[str] = (),
        instance_env: Mapping[str, str] | None = None,
    ) -> None:
        """Keep instances below `state`, get bundles by `fetch`, and point processes at `endpoint` for AWS.

        `fetch` raises whatever it likes; its text becomes the message. The metadata of instance i is expected at
        `<endpoint>/_imds/<i>/`. With `stub` units run an idle process in place of their program, except on
        instances of `real_queues`. `instance_env` is what each instance.env says besides the facts.
        """
        self._state = state
        self._fetch = fetch
        self._endpoint = endpoint.rstrip("/")
        self._stub = stub
        self._real_queues = frozenset(real_queues)
        self._instance_env = dict(instance_env or {})
        self._slots = Slots(slots)
        self._instances: dict[str, _Instance] = {}
        self._lock = threading.Lock()
        self._wrapper: Callable[[Command], tuple[str, ...]] = lambda command: ()
        self._systemctl = SystemctlServer(self._units)
        self._reaper = start_reaper(self._state)

    def add(self, facts: InstanceFacts) -> None:
        """Make the instance's folder, or take up one of the same id that is there."""
        stub = self._stub and facts.queue not in self._real_queues
        folder = InstanceFolder(instances_folder(self._state) / facts.id)
        for path in (folder.root, folder.agent, folder.programs, folder.units, folder.env_file.parent):
            path.mkdir(parents=True, exist_ok=True)
        folder.env_file.write_text(facts.env_file({**_settings(stub=stub), **self._instance_env}), encoding="utf-8")
        self._systemctl.write_client(folder.programs, facts.id)
        write_python(folder.programs)
        environment = self._environment(facts, folder)
        journal = journal_folder(self._state) / facts.id
        journal.mkdir(parents=True, exist_ok=True)
        write_journalctl(folder.programs, journal)
        units = Units(folder.units, environment, stub=stub, journal=journal)
        with self._lock:
            self._instances[facts.id] = _Instance(
                facts=facts, folder=folder, units=units, environment=environment, stub=stub
            )

    def remove(self, instance_id: str) -> None:
        """End an instance as a reclaim does: processes killed, no event ever answered.

        Its folder goes too, but not what its units printed.
        """
        with self._lock:
            instance = self._instances.pop(instance_id, None)
        if instance is None:
            return
        instance.units.close()
        kill_marked(instance.folder.path)
        shutil.rmtree(instance.folder.path, ignore_errors=True)

    def find(self, instance_id: str) -> InstanceFacts | None:
        """Return the facts of an instance, None for an unknown one."""
        with self._lock:
            instance = self._instances.get(instance_id)
        return instance.facts if instance else None

    def is_watched(self, instance_id: str) -> bool:
        """Tell whether a watcher runs on the instance: a unit that a worker's unit wanted."""
        units = self._units(instance_id)
        return units is not None and any(one.active == "active" for one in units.matching("*-watcher.service"))

    def kill(self, ids: Collection[str], pattern: str) -> int:
        """Kill (SIGKILL) the main processes of these instances' units that match a pattern; return how many.

        Nothing is said to them or to anybody, as when the kernel is out of memory.
        """
        with self._lock:
            found = [instance.units for name, instance in self._instances.items() if name in ids]
        return sum(units.kill(pattern) for units in found)

    def instances(self) -> list[str]:
        """Return the ids of all instances."""
        with self._lock:
            return list(self._instances)

    def heartbeat(self, instance_id: str, done: Callable[[], None]) -> None:
        """Let the instance's running worker report, in a slot; `done` is called when that is over, however it went.

        An unknown instance sends nothing, nor does one without an active worker, nor one whose units are real: its
        own watcher does. `close` may drop what waits.
        """

        def job(slot: Slot) -> None:
            try:
                with self._lock:
                    instance = self._instances.get(instance_id)
                if instance is not None and instance.stub:
                    states = instance.units.matching("*@*.service")
                    pids = [state.main_pid for state in states if state.active == "active"]
                    send_report(pids, instance.folder.root, instance.environment, slot.give_up)
            except OSError as error:  # the instance went away under it
                log.debug("heartbeat of %s: %s", instance_id, error)
            finally:
                done()

        self._slots.submit(job)

    def wrap_hooks(self, wrapper: Callable[[Command], tuple[str, ...]]) -> None:
        """Let `wrapper` give the words that stand before the paths of an event's scripts, where any do."""
        self._wrapper = wrapper

    def close(self) -> None:
        """Kill everything that was started; folders stay."""
        self._slots.clear()
        with self._lock:
            instances = list(self._instances.values())
            self._instances.clear()
        for instance in instances:
            instance.units.close()
        self._systemctl.close()
        # What hooks left behind: the reaper finds it by its mark, all instances in one look.
        assert self._reaper.stdin
        self._reaper.stdin.close()
        self._reaper.wait()

    def run(self, command: Command, done: Callable[[Outcome], None]) -> None:
        """Start one lifecycle event; `done` gets its outcome on another thread, unless the instance goes away.

        Raises NoAgent for an instance that does not exist.
        """
        with self._lock:
            instance = self._instances.get(command.instance_id)
        if instance is None:
            raise NoAgent(command.instance_id)

        def job(slot: Slot) -> None:
            outcome = self._run(instance, command, slot)
            with self._lock:
                alive = self._instances.get(command.instance_id) is instance
            if alive:
                done(outcome)

        self._slots.submit(job)

    def _run(self, instance: _Instance, command: Command, slot: Slot) -> Outcome:
        revision = instance.folder.revision(command.group_id, command.deployment_id)
        try:
            if command.event == "DownloadBundle":
                self._download(instance.folder, revision, command)
                return _DONE
            if command.event == "Install":
                _install(instance.folder, revision, command)
                return _DONE
            return _run_hooks(instance, revision, command, slot, self._wrapper(command))
        except Exception as error:
            # Whatever it is, the agent survives it and says UnknownError with neither script nor log (section 1).
            return Outcome(
                status=EventStatus.FAILED, error_code="UnknownError", message=str(error) or type(error).__name__
            )

    def _download(self, folder: InstanceFolder, revision: RevisionFolder, command: Command) -> None:
        bundle = self._fetch(command.revision)
        shutil.rmtree(revision.path, ignore_errors=True)
        revision.path.mkdir(parents=True)
        (revision.path / f"bundle.{command.bundle_type}").write_bytes(bundle)
        unpack(bundle, command.bundle_type, revision.archive)
        folder.drop_old_revisions(command.group_id, revision)

    def _units(self, instance_id: str) -> Units | None:
        with self._lock:
            instance = self._instances.get(instance_id)
        return instance.units if instance else None

    def _environment(self, facts: InstanceFacts, folder: InstanceFolder) -> dict[str, str]:
        """Return a whole environment: nothing of the daemon's own leaks into an instance."""
        return {
            # Last the programs beside the Python that runs us, which is the machine's own to an instance.
            "PATH": f"{folder.programs}:{_SYSTEM_PATH}:{Path(sys.executable).parent}",
            "HOME": str(folder.root),
            "LANG": "C.UTF-8",
            "SHIPIT_ROOT": str(folder.root),
            MARK: str(folder.path),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{self._endpoint}/_imds/{facts.id}/",
            **{f"AWS_ENDPOINT_URL_{service}": self._endpoint for service in ("S3", "SQS", "STS", "AUTO_SCALING")},
        }


def _install(folder: InstanceFolder, revision: RevisionFolder, command: Command) -> None:
    manifest = read_manifest(revision.archive)
    Installer(
        archive=revision.archive,
        root=folder.root,
        record=folder.install_record(command.group_id),
        file_exists_behavior=manifest.file_exists_behavior or command.file_exists_behavior,
    ).install(manifest.files)
    folder.mark_installed(command.group_id, command.deployment_id)


def _run_hooks(
    instance: _Instance, revision: RevisionFolder, command: Command, slot: Slot, wrapper: tuple[str, ...]
) -> Outcome:
    if command.event in _OLD_REVISION:
        installed = instance.folder.last_installed(command.group_id)
        if installed is None:
            return _DONE
        revision = installed
    hooks = read_manifest(revision.archive).hooks.get(command.event, ())
    if not hooks:
        return _DONE
    with ScriptLog(revision.log) as log:
        runner = HookRunner(
            archive=revision.archive,
            cwd=instance.folder.agent,
            env=instance.environment | _deployment_environment(command),
            log=log,
            on_slow=slot.give_up,
            wrapper=wrapper,
        )
        try:
            runner.run(command.event, hooks)
        except ScriptError as error:
            return Outcome(
                status=EventStatus.FAILED,
                error_code=error.code,
                script=error.script,
                message=str(error),
                log_tail=log.tail,
            )
    return _DONE


def _deployment_environment(command: Command) -> dict[str, str]:
    """Return the variables that the agent gives to every script (section 3)."""
    return {
        "LIFECYCLE_EVENT": command.event,
        "DEPLOYMENT_ID": command.deployment_id,
        "APPLICATION_NAME": command.application,
        "DEPLOYMENT_GROUP_NAME": command.group,
        "DEPLOYMENT_GROUP_ID": command.group_id,
        "BUNDLE_BUCKET": command.revision.bucket,
        "BUNDLE_KEY": command.revision.key,
        "BUNDLE_VERSION": command.revision.version_id,
        "BUNDLE_ETAG": command.revision.etag,
    }


def _settings(*, stub: bool) -> dict[str, str]:
    """Return what hooks go by here other than on AWS: everything is of one user, and seconds count."""
    user = {"SHIPIT_USER": pwd.getpwuid(os.getuid()).pw_name}
    if stub:  # an idle process needs no watching, and an import costs more than all else that a hook does
        return {**user, "SHIPIT_STABLE_SECONDS": "0", "SHIPIT_SMOKE": "no"}
    return {**user, "SHIPIT_STABLE_SECONDS": "2"}
