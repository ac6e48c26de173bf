"""Notifications by real commands and to a real server: hostile values, hangs, refusals."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from notices import DONE, SECRET

from shipit.events import Event, Notice
from shipit.notify import Message, http_post, notify, run_command

# --- real commands -------------------------------------------------------------------------------------------------


def really(message: Message, command: str) -> list[str]:
    events: list[Event] = []
    notify(message, webhook="", template="", command=command, run=run_command, post=http_post, listen=events.append)
    return [e.text for e in events if isinstance(e, Notice)]


def test_a_real_command_reads_hostile_values_as_text(tmp_path: Path) -> None:
    hostile = "$(touch pwned) `touch pwned` \"'; touch pwned\nline\0two\ud800 ü"
    command = f"cd {tmp_path} && printf '%s' \"$SHIPIT_HOOK_BY\" > by"
    assert really(replace(DONE, by=hostile), command) == []
    assert (tmp_path / "by").read_text() == "$(touch pwned) `touch pwned` \"'; touch pwned\nlinetwo? ü"
    assert [p.name for p in tmp_path.iterdir()] == ["by"]


def test_a_real_command_has_our_environment_too_and_nothing_on_stdin() -> None:
    assert run_command('test "$PATH" = "$WANTED" && ! read line', {"WANTED": os.environ["PATH"]}).exit_code == 0


def test_a_real_command_s_output_stays_out_of_ours_and_its_end_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    command = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; echo 'no route' >&2; exit 3"
    assert really(DONE, command) == [
        "the command hook for success failed, the rollout goes on: it exited 3: no route"
    ]
    assert capfd.readouterr() == ("", "")


def test_a_command_that_is_not_there_is_a_warning() -> None:
    assert "it exited 127" in really(DONE, "no-such-command-of-shipit")[0]


def test_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        run_command(f"sleep 600 & echo $! > {tmp_path}/pid; wait", {}, timeout=2.0)
    child = int((tmp_path / "pid").read_text())
    for _ in range(200):
        if not _lives(child):
            break
        time.sleep(0.05)
    assert not _lives(child)


def test_a_command_that_leaves_a_child_on_its_output_is_not_waited_for(tmp_path: Path) -> None:
    assert run_command(f"sleep 600 & echo $! > {tmp_path}/pid", {}, timeout=30).exit_code == 0
    child = int((tmp_path / "pid").read_text())
    assert _lives(child)
    os.kill(child, 9)


def _lives(pid: int) -> bool:
    """Tell whether the process runs; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# --- a real server -------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What a server was sent, and what it answers next; `hang` holds the answer back until it is set."""

    port: int = 0
    answers: list[int] = field(default_factory=list)
    requests: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    hang: threading.Event | None = None


@contextmanager
def served(*answers: int, hang: threading.Event | None = None) -> Iterator[Seen]:
    seen = Seen(answers=list(answers), hang=hang)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.requests.append((self.command, self.path, self.headers["Content-Type"], body))
            if seen.hang:
                seen.hang.wait(60)
            status = seen.answers.pop(0) if seen.answers else 200
            if status == 0:
                self.connection.close()
                return
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def posted(seen: Seen, message: Message = DONE) -> list[str]:
    events: list[Event] = []
    notify(
        message,
        webhook=f"http://127.0.0.1:{seen.port}/services/{SECRET}?x=1",
        template="",
        command="",
        run=run_command,
        post=http_post,
        listen=events.append,
        sleep=lambda seconds: None,
    )
    return [e.text for e in events if isinstance(e, Notice)]


def test_a_real_server_gets_one_post_of_json() -> None:
    with served(204) as seen:
        assert posted(seen, replace(DONE, by='O\'Neil "x" ü')) == []
    [(method, path, kind, body)] = seen.requests
    assert (method, path, kind) == ("POST", f"/services/{SECRET}?x=1", "application/json; charset=utf-8")
    assert 'by O\'Neil "x" ü' in json.loads(body)["text"]


def test_a_real_server_that_fails_once_is_asked_again() -> None:
    with served(503, 200) as seen:
        assert posted(seen) == []
    assert len(seen.requests) == 2


def test_a_redirect_is_not_followed_and_not_taken_for_success() -> None:
    with served(302) as seen:
        assert posted(seen) == ["the webhook for success failed, the rollout goes on: it answered 302"]
    assert len(seen.requests) == 1


def test_a_server_that_hangs_up_without_an_answer_is_a_warning_without_the_url() -> None:
    with served(0, 0) as seen:
        [warning] = posted(seen)
    assert len(seen.requests) == 2
    assert "s3cr3t" not in warning
    assert "127.0.0.1" not in warning


def test_nobody_at_the_door_is_a_warning_without_the_url() -> None:
    with served() as seen:
        pass
    assert posted(seen) == ["the webhook for success failed, the rollout goes on: Connection refused"]


def test_a_server_that_never_answers_is_given_up() -> None:
    hang = threading.Event()
    with served(hang=hang) as seen:
        try:
            with pytest.raises(TimeoutError):
                http_post(f"http://127.0.0.1:{seen.port}/", b"{}", timeout=0.3)
        finally:
            hang.set()
