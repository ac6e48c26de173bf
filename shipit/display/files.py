"""Write the verdict to files for a CI job: whole or not at all, and proved to be writable before it is known."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress

from shipit.display.board import Board
from shipit.errors import ShipitError, UsageError
from shipit.models import Verification


class VerdictFiles:
    """Write what `inv verify-versions` found, to none, one or both of two files."""

    def __init__(self, env: str, *, junit: str = "", markdown: str = "", everything: bool = False) -> None:
        """Hold a place beside each file; raises UsageError where it could not be written.

        `everything` writes also of instances that do not count.
        """
        if junit and markdown and os.path.realpath(junit) == os.path.realpath(markdown):
            raise UsageError(f"--junit and --markdown both name {junit}", hint="give each a file of its own")
        self._env = env
        self._everything = everything
        self._places: dict[str, _Place] = {}
        try:
            for flag, path in (("junit", junit), ("markdown", markdown)):
                if path:
                    self._places[flag] = _Place(f"--{flag}", path)
        except BaseException:
            self.discard()
            raise

    def write(self, found: Verification | None, error: ShipitError | None) -> None:
        """Write the last look, if there was one, and what the command ends with; raises ShipitError."""
        if place := self._places.get("junit"):
            from shipit.display.junit import junit

            place.write(junit(self._env, found, error, everything=self._everything))
        if place := self._places.get("markdown"):
            from shipit.display.markdown import summary

            place.write(summary(Board(), found, [error] if error else [], everything=self._everything))

    def discard(self) -> None:
        """Give up the places that nothing was written to."""
        for place in self._places.values():
            place.discard()


class _Place:
    """Hold an empty file beside the one to write: renamed over it, readers see the old text or the new one."""

    def __init__(self, flag: str, path: str) -> None:
        self._path = os.path.realpath(path)
        self._said = path
        self._file: str | None = None
        try:
            mode = os.stat(self._path).st_mode
        except FileNotFoundError:
            mode = stat.S_IFREG
        except OSError as error:
            raise self._refused(flag, error) from None
        if stat.S_ISDIR(mode):
            raise UsageError(f"{flag} {path}: that is a directory", hint="name a file in it")
        # A pipe or a device is written to as it is: it must not be replaced by a file.
        self._plain = stat.S_ISREG(mode)
        try:
            if self._plain:
                name = f"{self._path}.{secrets.token_hex(4)}.part"
                os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
                self._file = name
        except OSError as error:
            raise self._refused(flag, error) from None

    def write(self, text: str) -> None:
        """Write the whole text; raises ShipitError."""
        try:
            with open(self._file or self._path, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            if self._file:
                os.replace(self._file, self._path)
                self._file = None
        except OSError as error:
            raise ShipitError(f"{self._said} was not written: {error.strerror or error}") from error

    def discard(self) -> None:
        """Remove what was not written."""
        if self._file:
            with suppress(OSError):
                os.unlink(self._file)
            self._file = None

    def _refused(self, flag: str, error: OSError) -> UsageError:
        return UsageError(
            f"{flag} {self._said} cannot be written: {error.strerror or error}",
            hint="name a file in a directory that exists and that you may write to; nothing was asked yet",
        )
