"""One instance below a temporary root."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from hook_host import SYSTEMCTL, USER_ID, FakeS3, Host
from instances import FACTS

from shipit.sandbox.instance.imds import Imds

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    s3, imds = FakeS3(), Imds({FACTS.id: FACTS}.get)

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/_imds"):
            return imds({**environ, "PATH_INFO": environ["PATH_INFO"].removeprefix("/_imds")}, start_response)
        if environ["REQUEST_METHOD"] == "POST":
            start_response("200 OK", [])
            return [f"<UserId>{USER_ID}</UserId>".encode()]
        return s3(environ, start_response)

    root, answers, programs = tmp_path / "root", tmp_path / "answers", tmp_path / "bin"
    for folder in (root / "etc/shipit", answers, programs):
        folder.mkdir(parents=True)
    (root / "etc/shipit/instance.env").write_text(FACTS.env_file({"SHIPIT_STABLE_SECONDS": "0"}))
    (programs / "systemctl").write_text(SYSTEMCTL)
    (programs / "systemctl").chmod(0o755)
    (programs / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python3").chmod(0o755)
    server = make_server("127.0.0.1", 0, serve, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    host = Host(root, answers, programs, endpoint, s3, tmp_path / "agent/deployment-archive")
    yield host
    for worker in host.workers:
        worker.kill()
        worker.wait()
    server.shutdown()
    thread.join()
    server.server_close()
