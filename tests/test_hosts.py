"""The same build on another machine, over a real sshd on loopback: same bytes, and nothing left behind there."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fabric import Connection
from invoke.context import Context
from paramiko import RejectPolicy

from shipit.build import build
from shipit.errors import PreflightError, ShipitError
from shipit.hosts import build_on
from shipit.settings import Settings, load

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or ""
TOML = """
application = "worker"
bucket = "some-bucket"
default-env = "test"

[build]
commands = ["{command}"]
outputs = ["made.txt"]
appspec = "appspec.yml"

[env.test]
"""
APPSPEC = "version: 0.0\nos: linux\nfiles:\n  - source: /\n    destination: /opt/worker/incoming\n"


class Host:
    """A machine to build on: this one, by another door, with a home of its own for temporary folders."""

    def __init__(self, port: int, key: Path, known: Path) -> None:
        self.port = port
        self._key = key
        self._known = known

    def connection(self) -> Connection:
        made = Connection(
            f"{getpass.getuser()}@127.0.0.1:{self.port}",
            connect_kwargs={"key_filename": str(self._key)},
            connect_timeout=5,
        )
        made.client.load_system_host_keys(str(self._known))
        made.client.set_missing_host_key_policy(RejectPolicy())
        return made


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    assert SSHD, "sshd is missing: install openssh-server, as .ci/run does"
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    shutil.copy(folder / "user.pub", folder / "authorized")
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\n"
        f"AuthorizedKeysFile {folder / 'authorized'}\n"
        "StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\n"
        "PermitRootLogin yes\n"
        "Subsystem sftp internal-sftp\n"
    )
    # Debian's sshd insists on this folder when root starts it.
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.DEVNULL)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield Host(port, folder / "user", folder / "known")
    process.terminate()
    process.wait()


def project(folder: Path, command: str = "git log -1 --format=%H > made.txt") -> Settings:
    folder.mkdir()
    (folder / "shipit.toml").write_text(TOML.format(command=command))
    (folder / "appspec.yml").write_text(APPSPEC)
    (folder / "code.py").write_text("print('worker')\n")
    (folder / ".gitignore").write_text(".shipit/\nmade.txt\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "first"]):
        subprocess.run([*git, *words], cwd=folder, check=True)
    return load(start=folder)


def left_behind() -> set[str]:
    """Return what lies in the temporary folder, where builds on the host happen."""
    return {name for name in os.listdir("/tmp") if "shipit" in name}


def test_the_bundle_has_the_bytes_of_a_build_here(host: Host, tmp_path: Path) -> None:
    settings = project(tmp_path / "project")
    before = left_behind()
    there, _ = build_on(host.connection(), Context(), settings)
    here, _ = build(Context(), settings)
    assert there.digest == here.digest
    assert left_behind() == before


def test_a_command_that_fails_there_is_named_and_nothing_is_left_behind(host: Host, tmp_path: Path) -> None:
    settings = project(tmp_path / "project", "echo no compiler >&2; exit 3")
    before = left_behind()
    with pytest.raises(ShipitError, match="exit"):
        build_on(host.connection(), Context(), settings)
    assert left_behind() == before
    assert not list((tmp_path / "project" / ".shipit").glob("builds/**/*.tgz"))


def test_uncommitted_changes_are_refused_for_they_would_stay_here(host: Host, tmp_path: Path) -> None:
    settings = project(tmp_path / "project")
    (tmp_path / "project" / "code.py").write_text("print('other')\n")
    with pytest.raises(PreflightError, match="uncommitted"):
        build_on(host.connection(), Context(), settings)


def test_a_host_that_nobody_answers_on_is_refused(tmp_path: Path) -> None:
    settings = project(tmp_path / "project")
    with pytest.raises(PreflightError, match=r"127\.0\.0\.1"):
        build_on(Connection("127.0.0.1:9", connect_timeout=2), Context(), settings)


def test_an_unknown_host_key_is_refused(host: Host, tmp_path: Path) -> None:
    settings = project(tmp_path / "project")
    stranger = Connection(f"127.0.0.1:{host.port}", connect_timeout=5)
    stranger.client.set_missing_host_key_policy(RejectPolicy())
    with pytest.raises(PreflightError):
        build_on(stranger, Context(), settings)
