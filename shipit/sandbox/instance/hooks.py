"""Run the scripts of one lifecycle event as real processes, as the CodeDeploy agent does.

The facts are those of reference codedeploy.md, section 3; messages and their order follow the open-source
agent 1.x. Where 1.x and 2.x differ (a script that outlives SIGTERM) this follows 2.x, which ends.
"""

from __future__ import annotations

import errno
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shipit.appspec import Hook
from shipit.sandbox.instance.script_log import ScriptLog

#: Seconds from SIGTERM to SIGKILL for a script that ran out of time (agent 2.x).
GRACE = 5.0

#: Seconds after which a script counts as slow: it waits more than it works.
SLOW_AFTER = 2.0

_LONGEST_LINE = 65_536


class ScriptError(Exception):
    """End a lifecycle event: `code` is one of `diagnostics.errorCode`, the text its message."""

    def __init__(self, code: str, script: str, message: str) -> None:
        """Keep the code, the script's location as the appspec gives it, and the message."""
        super().__init__(message)
        self.code = code
        self.script = script


@dataclass(frozen=True, kw_only=True)
class HookRunner:
    """Run scripts of one archive with one environment; `on_slow` is called when one takes long."""

    archive: Path
    cwd: Path
    env: Mapping[str, str]
    log: ScriptLog
    on_slow: Callable[[], None]
    #: What stands before each script's path: a fault that was asked for.
    wrapper: tuple[str, ...] = ()

    def run(self, event: str, hooks: Iterable[Hook]) -> None:
        """Run the scripts one after another. Raises ScriptError for the first that fails."""
        self.log.add(f"LifecycleEvent - {event}\n")
        for hook in hooks:
            path = self.archive / hook.location
            if not path.is_file():
                raise ScriptError(
                    "ScriptMissing",
                    hook.location,
                    f"Script does not exist at specified location: {hook.location}",
                )
            _make_executable(path, hook.location)
            self.log.add(f"Script - {hook.location}\n")
            self._run_one(path, hook)

    def _run_one(self, path: Path, hook: Hook) -> None:
        deadline = time.monotonic() + hook.timeout
        with self._start(path, hook.location) as process:
            slow_at = time.monotonic() + SLOW_AFTER
            closed = self._log_output(process, slow_at, deadline)
            if not self._wait(process, slow_at, deadline):
                _end_group(process)
                raise ScriptError(
                    "ScriptTimedOut",
                    hook.location,
                    f"Script at specified location: {hook.location} failed to complete in {hook.timeout} seconds",
                )
        if not closed:
            # The agent's own code for this is not among the API's: what CodeDeploy makes of it is not known.
            raise ScriptError(
                "UnknownError",
                hook.location,
                f"Script at specified location: {hook.location} failed to close STDOUT",
            )
        if process.returncode:
            user = f" run as user {hook.runas}" if hook.runas else ""
            # A script that a signal ended has no exit code; a shell would say 128 + the signal.
            code = process.returncode if process.returncode > 0 else 128 - process.returncode
            raise ScriptError(
                "ScriptFailed",
                hook.location,
                f"Script at specified location: {hook.location}{user} failed with exit code {code}",
            )

    def _start(self, path: Path, location: str) -> subprocess.Popen[bytes]:
        def start(command: list[str]) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                command,
                cwd=self.cwd,
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                process_group=0,
                bufsize=0,
            )

        try:
            return start([*self.wrapper, str(path)])
        except OSError as error:
            if error.errno == errno.ENOEXEC:  # without a #! line: to the shell, as execvp does
                return start(["/bin/sh", str(path)])
            raise ScriptError(
                "ScriptNotExecutable",
                location,
                f"Script at specified location: {location} is not executable: {error.strerror}",
            ) from error

    def _log_output(self, process: subprocess.Popen[bytes], slow_at: float, deadline: float) -> bool:
        """Log both streams until they close; return False if one is still open at the deadline."""
        assert process.stdout
        assert process.stderr
        with selectors.DefaultSelector() as selector:
            for stream, prefix in ((process.stdout, "[stdout]"), (process.stderr, "[stderr]")):
                selector.register(stream, selectors.EVENT_READ, _LineLogger(prefix, self.log))
            while selector.get_map():
                now = time.monotonic()
                if now >= deadline:
                    break
                if now >= slow_at:
                    self.on_slow()
                    slow_at = deadline
                for key, _ in selector.select(min(slow_at, deadline) - now):
                    if not key.data.read_from(key.fd):
                        selector.unregister(key.fileobj)
            for key in selector.get_map().values():
                key.data.flush()
            return not selector.get_map()

    def _wait(self, process: subprocess.Popen[bytes], slow_at: float, deadline: float) -> bool:
        """Wait for a script whose streams are closed (it may have redirected them); return False at the deadline."""
        for until in (slow_at, deadline):
            try:
                process.wait(max(0.0, min(until, deadline) - time.monotonic()))
                return True
            except subprocess.TimeoutExpired:
                self.on_slow()
        return False


class _LineLogger:
    """Cut what a stream delivers into lines, and log each with the stream's prefix."""

    def __init__(self, prefix: str, log: ScriptLog) -> None:
        self._prefix = prefix
        self._log = log
        self._partial = b""

    def read_from(self, stream: int) -> bool:
        """Log the lines that can be read now; return False at the end of the stream."""
        data = os.read(stream, 65_536)
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._add(line + b"\n")
        if not data or len(self._partial) > _LONGEST_LINE:
            self.flush()
        return bool(data)

    def flush(self) -> None:
        """Log a last line that has no newline."""
        if self._partial:
            self._add(self._partial)
            self._partial = b""

    def _add(self, line: bytes) -> None:
        self._log.add(self._prefix + line.decode(errors="replace"))


def _make_executable(path: Path, location: str) -> None:
    """Give a script its x bits, as the agent does. Raises ScriptError where that is refused."""
    if os.access(path, os.X_OK):
        return
    try:
        path.chmod(path.stat().st_mode | 0o111)
    except OSError as error:
        raise ScriptError(
            "ScriptNotExecutable", location, f"Unable to set script at specified location: {location} as executable"
        ) from error


def _end_group(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
