"""A build on another machine gives the bundle of a local one, and leaves nothing there, however it ends."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fabric import Connection
from invoke.context import Context
from paramiko import RejectPolicy
from repositories import commit, git, project, settings

from shipit.build import build
from shipit.errors import PreflightError, ShipitError
from shipit.events import BuildStep, Event
from shipit.hosts import build_on, connect
from shipit.settings import Settings

_SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class Host:
    """A real sshd of ours on loopback; what is built there lies below `folder`."""

    port: int
    folder: Path
    keys: Path

    def connection(self, *, key: str = "client") -> Connection:
        """Return a connection as `connect` makes it, but with our keys only, and our known_hosts."""
        connection = Connection(
            "127.0.0.1",
            user=getpass.getuser(),
            port=self.port,
            connect_timeout=10,
            connect_kwargs={"key_filename": str(self.keys / key), "allow_agent": False, "look_for_keys": False},
        )
        connection.client.load_host_keys(str(self.keys / "known_hosts"))
        connection.client.set_missing_host_key_policy(RejectPolicy())
        return connection

    def left(self) -> list[Path]:
        """Return what lies in the folder for temporary files."""
        return list(self.folder.iterdir())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    assert _SSHD, "these tests need sshd: apt-get install openssh-server"
    keys, folder = tmp_path_factory.mktemp("ssh"), tmp_path_factory.mktemp("there")
    for name in ("host", "client", "stranger", "other_host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / name], check=True)
    shutil.copy(keys / "client.pub", keys / "authorized_keys")
    port = free_port()
    (keys / "known_hosts").write_text(f"[127.0.0.1]:{port} {(keys / 'host.pub').read_text()}")
    (keys / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {keys}/host\nPidFile none\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {keys}/authorized_keys\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"PermitRootLogin yes\nSubsystem sftp internal-sftp\nSetEnv TMPDIR={folder}\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where an sshd of root's confines what is not logged in yet
    server = subprocess.Popen([_SSHD, "-D", "-e", "-f", keys / "config"], stderr=subprocess.PIPE)
    try:
        wait_until(lambda: listens(port, server))
        yield Host(port, folder, keys)
    finally:
        server.terminate()
        server.wait()
        assert server.stderr
        server.stderr.close()


def listens(port: int, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None, server.stderr and server.stderr.read()
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = project(tmp_path / "project")
    (root / "app/again").symlink_to("main.py")
    commit(root, {"app/ünï code.py": "é\n", "app/run": "#!/bin/sh\n", "app/-odd": "x"}, executable=("app/run",))
    return root


def there(host: Host, chosen: Settings, events: list[Event] | None = None) -> tuple[str, bytes]:
    made, path = build_on(host.connection(), Context(), chosen, listen=(events if events is not None else []).append)
    return made.version, path.read_bytes()


def here(chosen: Settings) -> tuple[str, bytes]:
    made, path = build(Context(), chosen)
    return made.version, path.read_bytes()


OUTPUTS = {
    "commands": ("mkdir -p dist; ln main.py dist/hard; ln -s hard dist/soft; echo '#!' >dist/x; chmod 711 dist/x",),
    "outputs": ("dist",),
}


def test_the_bundle_is_that_of_a_local_build_byte_for_byte(host: Host, root: Path) -> None:
    git(root, "tag", "-a", "-m", "x", "v1.2")
    chosen = settings(root, **OUTPUTS)
    remote = there(host, chosen)
    assert not (root / "app/dist").exists()
    assert remote == here(chosen)
    assert remote[0] == "v1.2"
    assert host.left() == []


def test_the_commands_run_there(host: Host, root: Path) -> None:
    events: list[Event] = []
    command = (
        f'test "$(cut -c1-{len(str(host.folder))} <<.\n$PWD\n.\n)" = {host.folder} && mkdir dist && touch dist/a'
    )
    there(host, settings(root, commands=(command,), outputs=("dist",)), events)
    details = [e.detail for e in events if isinstance(e, BuildStep) and e.stage == "command"]
    assert details == [f"send {git(root, 'rev-parse', '--short=9', 'HEAD')} to 127.0.0.1", command]


def test_a_project_below_the_top_of_its_repository_is_built_too(host: Host, tmp_path: Path) -> None:
    top = project(tmp_path / "top")
    commit(
        top, {f"sub/{n}": (top / n).read_text() for n in ("appspec/appspec.yml", "scripts/switch.sh", "app/main.py")}
    )
    chosen = settings(top / "sub")
    assert there(host, chosen) == here(chosen)


def test_a_shallow_clone_can_be_sent(host: Host, root: Path, tmp_path: Path) -> None:
    commit(root, {"app/b.py": "2"})
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{root}", "shallow")
    chosen = settings(tmp_path / "shallow")
    assert there(host, chosen) == here(chosen)


def test_uncommitted_changes_are_refused(host: Host, root: Path) -> None:
    (root / "app/main.py").write_text("2")
    with pytest.raises(PreflightError, match="uncommitted changes, which would not reach"):
        there(host, settings(root))


def test_a_command_that_fails_there_leaves_nothing(host: Host, root: Path) -> None:
    with pytest.raises(ShipitError, match="failed with exit code 3"):
        there(host, settings(root, commands=("exit 3",)))
    assert host.left() == []


def test_an_interrupt_kills_what_runs_there_and_leaves_nothing(host: Host, root: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    command = f"sleep 300 & echo $! $$ >{started}.tmp; mv {started}.tmp {started}; wait"

    def interrupt() -> None:
        wait_until(started.exists)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        there(host, settings(root, commands=(command,)))
    thread.join()
    assert host.left() == []
    wait_until(lambda: not any(runs(int(pid)) for pid in started.read_text().split()))


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_lost_connection_says_so(host: Host, root: Path) -> None:
    # sshd's process for this connection is the parent, for the login shell has become this one.
    command = 'kill -KILL "$PPID"; sleep 1'
    connection = host.connection()
    with pytest.raises(ShipitError, match=r"connection to 127\.0\.0\.1 was lost"):
        build_on(connection, Context(), settings(root, commands=(command,)))
    for left in host.left():
        shutil.rmtree(left)


def test_a_host_that_does_not_listen_is_out_of_reach(host: Host, root: Path) -> None:
    nobody = Host(free_port(), host.folder, host.keys)
    with pytest.raises(PreflightError, match="out of reach on port"):
        there(nobody, settings(root))


def test_a_name_that_nobody_knows_says_so(root: Path) -> None:
    with pytest.raises(PreflightError, match=r"nowhere\.invalid is not known"):
        build_on(connect("nowhere.invalid"), Context(), settings(root))


def test_a_key_that_is_not_authorized_is_refused(host: Host, root: Path) -> None:
    with pytest.raises(PreflightError, match="refuses us"):
        build_on(host.connection(key="stranger"), Context(), settings(root))


def test_a_host_that_nobody_vouched_for_is_refused(host: Host, root: Path) -> None:
    connection = host.connection()
    connection.client.get_host_keys().clear()
    with pytest.raises(PreflightError, match="not found in known_hosts"):
        build_on(connection, Context(), settings(root))


def test_a_host_with_another_key_than_known_is_refused(host: Host, root: Path) -> None:
    connection = host.connection()
    known = host.keys / "wrong_hosts"
    known.write_text(f"[127.0.0.1]:{host.port} {(host.keys / 'other_host.pub').read_text()}")
    connection.client.get_host_keys().clear()
    connection.client.load_host_keys(str(known))
    with pytest.raises(PreflightError, match="not the machine that known_hosts knows"):
        build_on(connection, Context(), settings(root))


def test_a_host_without_git_says_so(host: Host, root: Path, tmp_path: Path) -> None:
    connection = host.connection()
    with connection.prefix("PATH=/nonexistent:"), pytest.raises(PreflightError, match="git is not installed on"):
        build_on(connection, Context(), settings(root))
    assert host.left() == []
