"""A sandbox of its own for one rehearsal: the tool that deploys there, the builds, and what befalls its instances."""

from __future__ import annotations

import fcntl
import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from shipit.build import Copy, Git, Shell, build
from shipit.errors import BusyError, UsageError
from shipit.home import make_home
from shipit.interrupts import held_back
from shipit.models import PublishedBuild
from shipit.sandbox import lifecycle
from shipit.sandbox.faults import ask
from shipit.sandbox.rehearsal import Journals, Queues
from shipit.settings import NotifySettings, ReportSettings, RolloutSettings, SandboxSettings, Settings, load
from shipit.wiring.tool import Tool

if TYPE_CHECKING:
    from invoke.context import Context

    from shipit.display import Display

_ENV, _BUCKET = "rehearsal", "shipit-rehearsal"
#: What the standard unit starts; a broken one takes its place.
_STANDARD = "start_worker.sh"
#: What a project's own unit starts, below its release.
_STARTS = re.compile(r"^ExecStart=.*?@RELEASES@/%i/(\S+)", re.MULTILINE)
_BROKEN = "#!/bin/sh\necho 'broken on purpose: inv rehearse made this build of your commit' >&2\nexit 1\n"
#: Seconds that a sandbox lives on whose rehearsal was killed.
_IDLE = 120.0
#: With workers that are killed: seconds until a message is visible again, and that a keeper asks for each time.
_VISIBILITY = 6.0
#: A notice of some seconds in place of AWS's two minutes: watchers look more often, and keep a smaller margin.
_WATCHER = {"SHIPIT_WATCH_POLL": "1", "SHIPIT_SPOT_MARGIN": "3"}
#: Seconds between two polls of a rollout, at most.
_POLL = 0.5


class Stage:
    """Set up a sandbox in `.shipit/rehearsal`, and clear it away at the end, whatever that is."""

    def __init__(
        self, context: Context, settings: Settings, display: Display, queues: Sequence[str], *, kill: bool
    ) -> None:
        """Rehearse for `queues` the environment of `settings`; with `kill`, messages come back soon after a kill."""
        self._context = context
        self._asked = settings
        self._home = settings.root / ".shipit" / "rehearsal"
        self._lock: IO[str] | None = None
        #: Seconds until what a dead worker held is given to another.
        self.visibility = min(settings.rehearse.visibility, _VISIBILITY) if kill else settings.rehearse.visibility
        keeper = {"SHIPIT_VISIBILITY": f"{self.visibility:.0f}"} if kill else {}
        copy = self._home / "copy"
        self.tool = Tool(context, _settings(settings, queues, copy, self.visibility, keeper), display, self._home)
        self._copy: Copy | None = None

    def __enter__(self) -> Self:
        self._lock = _only_one(self._home)
        try:
            self._clear()  # what a rehearsal that was killed left
            self._home.mkdir(parents=True, exist_ok=True)
            self.tool.sandbox.url()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def queues(self) -> Queues:
        """Return the queues of the sandbox."""
        return Queues(self.tool.sandbox.config)

    @property
    def journals(self) -> Journals:
        """Return what the workers print, from the beginning."""
        return Journals(self.tool.sandbox.config)

    # -- builds -----------------------------------------------------------------------------------------------

    def previous(self, commit: str) -> PublishedBuild:
        """Build and publish an older commit."""
        self.copy.switch(commit)
        return self._publish(self._of_copy())

    def working_tree(self) -> PublishedBuild:
        """Build and publish what a deploy would bring now."""
        return self._publish(self.tool.settings.model_copy(update={"root": self._asked.root}))

    def same_again(self) -> PublishedBuild:
        """Build and publish HEAD once more under another version."""
        self.copy.switch(self.head)
        self.copy.commit("the same build, to be told from itself")
        return self._publish(self._of_copy())

    def broken(self) -> PublishedBuild | None:
        """Build and publish HEAD with a worker that cannot start; None where it is not known what starts one."""
        self.copy.switch(self.head)
        worker = self._starter()
        if worker is None:
            return None
        worker.parent.mkdir(parents=True, exist_ok=True)
        worker.write_text(_BROKEN, encoding="utf-8")
        self.copy.commit("a worker that cannot start")
        return self._publish(self._of_copy())

    @property
    def copy(self) -> Copy:
        """Return the copy of the repository, made when it is first asked for."""
        if self._copy is None:
            self._copy = Copy(self._context, self._asked.root, self.tool.settings.root)
        return self._copy

    @property
    def head(self) -> str:
        """Return the commit that is checked out."""
        return self._repository.resolve("HEAD")

    def before(self, name: str) -> str:
        """Return the commit to come from: `name`, else what HEAD was made from; empty where that is not known.

        With changes that are not committed that is HEAD itself. Raises UsageError for an unknown `name`.
        """
        if name:
            if not (found := self._repository.resolve(name)):
                raise UsageError(f"--since {name!r}: this repository has no such commit")
            return found
        return self.head if self._repository.changed() else self._repository.resolve("HEAD~1")

    # -- what happens to instances ----------------------------------------------------------------------------

    def kill(self, queue: str, *, seed: int) -> None:
        """Kill one worker of the queue, without a word; another seed chooses another one."""
        self._fault("kill", group=queue, number=1, seed=seed)

    def reclaim(self, queue: str, notice: float, *, number: int) -> None:
        """Let spot take so many instances of the queue's group, so many seconds after their notice."""
        self._fault("reclaim", group=queue, notice=notice, number=number)

    def is_settled(self) -> bool:
        """Tell whether no deployment runs, of a rollout or of an instance that came."""
        return not lifecycle.request(self.tool.sandbox.url(), "status")["active_deployments"]

    # -- inside -----------------------------------------------------------------------------------------------

    @property
    def _repository(self) -> Git:
        return Git(Shell(self._context, str(self._asked.root)))

    def _starter(self) -> Path | None:
        """Return the file in the copy that ExecStart= runs; None where the project's own unit runs something else."""
        build = self._asked.build
        content = self.copy.root / build.path
        unit = content / "systemd" / f"{self._asked.application}@.service"
        if not unit.is_file():
            own = content / "scripts" / _STANDARD
            return own if own.is_file() else self.copy.root / build.scripts / _STANDARD
        found = _STARTS.search(unit.read_text(encoding="utf-8"))
        worker = content / found[1] if found else content
        return worker if worker.is_file() else None

    def _fault(self, name: str, **flags: object) -> None:
        ask.inject(self.tool.sandbox.url, name, flags)

    def _of_copy(self) -> Settings:
        """Return the settings to build what is checked out in the copy, by its own rules if it has any."""
        try:
            rules = load(self._asked.env, start=self.copy.root).build
        except UsageError:
            rules = self._asked.build
        return self.tool.settings.model_copy(update={"root": self.copy.root, "build": rules})

    def _publish(self, settings: Settings) -> PublishedBuild:
        return self.tool.publish(*build(self._context, settings, listen=self.tool.display))

    def _end(self) -> None:
        with held_back():
            try:
                self._clear()
            finally:
                if self._lock:
                    self._lock.close()

    def _clear(self) -> None:
        lifecycle.stop(self.tool.sandbox.config)
        shutil.rmtree(self._home, ignore_errors=True)


def _settings(
    asked: Settings, queues: Sequence[str], root: Path, visibility: float, instance_env: Mapping[str, str]
) -> Settings:
    """Return the settings of the rehearsal's environment: nothing of the real one is read, written or told."""
    own = {**_WATCHER, **(asked.sandbox.instance_env if asked.sandbox else {}), **asked.rehearse.instance_env}
    return asked.model_copy(
        update={
            "env": _ENV,
            "root": root,
            "bucket": _BUCKET,
            "region": "",
            "profile": "",
            "endpoint_url": "",
            "protected": False,
            "reports": asked.reports.model_copy(
                update={"bucket": "", "prefix": "", "output": "", "workgroup": ReportSettings().workgroup}
            ),
            "rollout": RolloutSettings(poll=min(_POLL, asked.rollout.poll)),
            "notify": NotifySettings(),
            "sandbox": SandboxSettings(
                port=_free_port(),
                queue_names=tuple(queues),
                instances=len(queues) * asked.rehearse.instances,
                even=True,
                workers="real",
                visibility=visibility,
                instance_env={**own, **instance_env},
                idle=_IDLE,
            ),
        }
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _only_one(home: Path) -> IO[str]:
    """Hold the right to rehearse in this project until the file is closed; raises BusyError."""
    make_home(home.parent)
    file = (home.parent / f"{home.name}.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise BusyError("this project is being rehearsed already", hint="wait for it to end") from None
    return file
