"""The embedded sandbox's own commands; nothing else outside shipit.sandbox knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from shipit.errors import UsageError
from shipit.events import Notice

if TYPE_CHECKING:
    from pathlib import Path

    from shipit.display import Display
    from shipit.sandbox.config import SandboxConfig
    from shipit.settings import Settings


class SandboxTool:
    """Start, stop and show the sandbox of one environment. All methods raise UsageError where it is none."""

    def __init__(self, settings: Settings, display: Display, home: Path | None = None) -> None:
        """Serve the environment of `settings`; the sandbox is kept in the folder `home`, the project's by default."""
        self._settings = settings
        self._home = home
        self._display = display

    @cached_property
    def config(self) -> SandboxConfig:
        """Return what the sandbox is made of."""
        from shipit.sandbox.config import from_settings

        config = from_settings(self._settings)
        return replace(config, root=str(self._home)) if self._home else config

    def url(self) -> str:
        """Return the address of the sandbox, which is started first where it does not run."""
        from shipit.sandbox import lifecycle

        return lifecycle.ensure(self.config, self._notice)

    def start(self, workers: str = "") -> None:
        """Start the sandbox where it does not run, with this kind of workers, and show it; raises UsageError."""
        if workers not in ("", "stub", "real", "scripted"):
            raise UsageError(f"--workers {workers!r} is unknown", hint="choose one of stub, real, scripted")
        if workers:
            self._expect(workers)
            self.config = replace(self.config, workers=workers)
        self.url()
        self.status()

    def stop(self) -> None:
        """Stop the sandbox."""
        from shipit.sandbox import lifecycle

        self._display.text("stopped" if lifecycle.stop(self.config) else "it was not running")

    def reset(self) -> None:
        """Throw the sandbox away and start it anew."""
        from shipit.sandbox import lifecycle

        lifecycle.reset(self.config, self._notice)
        self.status()

    def status(self) -> None:
        """Show the sandbox."""
        from shipit.sandbox import lifecycle

        found: Mapping[str, object] = lifecycle.status(self.config) or {"running": "no", "root": self.config.root}
        self._display.value("sandbox", found)

    def fault(self, name: str, flags: Mapping[str, object]) -> None:
        """Let something go wrong in the sandbox; without a name, show what does and what could."""
        from shipit.sandbox.faults import ask

        if name:
            self._display.text(ask.inject(self.url, name, flags))
        else:
            self._display.value("faults", ask.overview(self.url()))

    def _expect(self, workers: str) -> None:
        from shipit.sandbox import lifecycle

        found = lifecycle.status(self.config) or {"workers": workers}
        if found["workers"] != workers:
            raise UsageError(
                f"a sandbox with workers {found['workers']} runs already",
                hint="inv sandbox.stop ends it and what is in it; then the same command again",
            )

    def _notice(self, text: str) -> None:
        self._display(Notice(text=text))
