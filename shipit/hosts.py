"""Build on another machine over SSH: the commit goes there, the commands run there, their files come back.

The machine needs a POSIX shell, git and GNU tar, not shipit: the bundle is packed here, by the code that packs all
bundles, so that it has the bytes that a build on that machine would give.
"""

from __future__ import annotations

import socket
import tarfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory

from fabric import Connection
from invoke.context import Context
from paramiko import AuthenticationException, BadHostKeyException, RejectPolicy, SSHException

from shipit.build import Shell, build, read_facts
from shipit.errors import PreflightError, ShipitError
from shipit.events import BuildStep, Listener, Notice, ignore
from shipit.models import Build
from shipit.settings import Settings
from shipit.version import GitFacts

_CONNECT_TIMEOUT = 15
_NEEDED = ("git", "tar", "gzip", "mktemp", "readlink")
#: Whatever still runs in the folder is killed first: it would write into it while it is removed.
_CLEAN_UP = """
for process in /proc/[0-9]*; do
  case $(readlink "$process/cwd") in
    "$home" | "$home"/*) kill -KILL "${process#/proc/}" ;;
  esac
done 2>/dev/null
rm -rf "$home"
"""


def connect(host: str) -> Connection:
    """Return a connection, not opened yet, to `[user@]host[:port]`, by the user's SSH settings, agent and keys.

    A host that is not in known_hosts is refused, as what it builds would run on the whole fleet.
    """
    connection = Connection(host, connect_timeout=_CONNECT_TIMEOUT)
    connection.client.load_system_host_keys()
    connection.client.set_missing_host_key_policy(RejectPolicy())
    return connection


def build_on(
    connection: Connection, context: Context, settings: Settings, *, listen: Listener = ignore
) -> tuple[Build, Path]:
    """Build the commit at HEAD on the connection's machine; else as `shipit.build.build`, which does the work.

    `context` runs git here. Nothing is left there at the end, however it ends. Raises PreflightError where there are
    uncommitted changes, for these would stay here, and where the machine cannot be reached or lacks a program.
    """
    facts = read_facts(context, settings)
    if facts.dirty_digest:
        raise PreflightError(
            f"there are uncommitted changes, which would not reach {connection.host}", hint="commit or stash them"
        )
    _open(connection)
    try:
        with _folder_there(connection, listen) as home, TemporaryDirectory() as here:
            listen(BuildStep(stage="command", detail=f"send {facts.sha[:9]} to {connection.host}"))
            workspace = _check_out(connection, home, Path(here), Shell(context, str(settings.root)), facts)
            return build(connection, settings, workspace=workspace, listen=listen)
    except ShipitError as error:
        if connection.is_connected:
            raise
        raise ShipitError(
            f"the connection to {connection.host} was lost", hint="the same command starts over"
        ) from error
    finally:
        connection.close()


@dataclass(frozen=True, kw_only=True)
class RemoteWorkspace:
    """A checkout in `folder` of the connection's machine; satisfies `shipit.build.Workspace`.

    `home` there and `here` are folders for what is carried between the two; both are gone afterwards.
    """

    connection: Connection
    folder: str
    home: str
    here: Path

    def bring(self, names: Collection[str]) -> Path:
        """Copy the files here, as one archive, and return the folder that holds them."""
        listing, archive, into = self.here / "names", self.here / "files.tar.gz", self.here / "files"
        listing.write_bytes(b"".join(name.encode() + b"\0" for name in names))
        _put(self.connection, listing, self.home)
        # Without a pipe, in which sh would not see tar fail.
        _done(
            Shell(self.connection, self.folder),
            f"tar --create --hard-dereference --null --files-from={quote(self.home)}/names "
            f"--use-compress-program='gzip -1' --file={quote(self.home)}/files.tar.gz",
        )
        with _transfer(self.connection):
            self.connection.get(f"{self.home}/files.tar.gz", str(archive))
        into.mkdir()
        with tarfile.open(archive) as tar:
            tar.extractall(into, filter="tar")
        return into


def _check_out(connection: Connection, home: str, here: Path, shell: Shell, facts: GitFacts) -> RemoteWorkspace:
    """Send the commit of the repository around `shell`, with its tag and its history, and check it out there."""
    commit, shallow = here / "commit.bundle", here / "shallow"
    refs = f"HEAD {quote(f'refs/tags/{facts.tag}')}" if facts.tag else "HEAD"
    _done(shell, f"git bundle create -q {quote(str(commit))} {refs}")
    _put(connection, commit, home)
    there = Shell(connection, home)
    _done(there, "git init -q checkout && git -C checkout config core.autocrlf false")
    # A shallow clone can be sent as it is, if the other side knows where it ends.
    end = _done(shell, 'cat "$(git rev-parse --git-path shallow)" 2>/dev/null || true')
    if end:
        shallow.write_text(end, encoding="ascii")
        _put(connection, shallow, f"{home}/checkout/.git")
    fetch = "git fetch -q --no-tags ../commit.bundle HEAD '+refs/tags/*:refs/tags/*'"
    _done(there.inside("checkout"), f"{fetch} && git checkout -q --detach {facts.sha}")
    prefix = _done(shell, "git rev-parse --show-prefix").strip()
    folder = f"{home}/checkout/{prefix}".rstrip("/")
    return RemoteWorkspace(connection=connection, folder=folder, home=home, here=here)


def _put(connection: Connection, path: Path, folder: str) -> None:
    with _transfer(connection):
        connection.put(str(path), f"{folder}/{path.name}")


def _open(connection: Connection) -> None:
    host = f"{connection.user}@{connection.host}"
    try:
        connection.open()
    except AuthenticationException as error:
        raise PreflightError(
            f"{host} refuses us: {error}", hint="check that `ssh` gets in without a password"
        ) from error
    except BadHostKeyException as error:
        raise PreflightError(
            f"{host} is not the machine that known_hosts knows: {error}", hint="find out why before you go on"
        ) from error
    except socket.gaierror as error:
        raise PreflightError(f"{connection.host} is not known: {error.strerror}", hint="check the name") from error
    except (OSError, EOFError) as error:
        raise PreflightError(
            f"{host} is out of reach on port {connection.port}: {error}", hint="check the name, the port, the network"
        ) from error
    except SSHException as error:
        raise PreflightError(f"{host}: {error}", hint=f"try `ssh {host}` by hand, and accept its key") from error


@contextmanager
def _folder_there(connection: Connection, listen: Listener) -> Iterator[str]:
    """Make a folder for us alone there, and remove it with whatever runs in it."""
    shell = Shell(connection, "/")
    for program in _NEEDED:
        if not shell.run(f"command -v {program}").ok:
            raise PreflightError(f"{program} is not installed on {connection.host}", hint="install it there")
    home = _done(shell, 'umask 077; mktemp -d "${TMPDIR:-/tmp}/shipit-build.XXXXXX"').strip()
    try:
        yield home
    finally:
        cleaned = False
        if connection.is_connected:
            cleaned = shell.run(_CLEAN_UP, env={"home": home}).ok
        if not cleaned:
            listen(Notice(text=f"{home} was left behind on {connection.host}", warning=True))


@contextmanager
def _transfer(connection: Connection) -> Iterator[None]:
    try:
        yield
    except (SSHException, EOFError, OSError) as error:
        raise ShipitError(
            f"no file transfer with {connection.host}: {error}", hint="check that its sshd offers sftp, and its disk"
        ) from error


def _done(shell: Shell, script: str) -> str:
    """Run a script that should not fail, and return what it printed."""
    result = shell.run(script)
    if not result.ok:
        said = " ".join((result.stderr or result.stdout).split())
        raise ShipitError(f"{script.split(maxsplit=1)[0]} failed with exit code {result.exited}: {said}")
    return str(result.stdout)
