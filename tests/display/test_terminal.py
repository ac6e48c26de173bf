"""On a real terminal, a Ctrl-C at any moment leaves the cursor on and the error readable."""

import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

TESTS = str(Path(__file__).parents[1])
SCRIPT = """
import time
from display.samples import rollout
from shipit.display import open_display
from shipit.errors import Interrupted
from shipit.events import GroupEnded
with open_display("auto", env={"TERM": "xterm"}) as shown:
    try:
        for event in rollout(60):
            if isinstance(event, GroupEnded):
                time.sleep(60)
            shown(event)
    except KeyboardInterrupt:
        shown.error(Interrupted("interrupted", hint="inv watch goes on"))
"""


def read_until(terminal: int, wanted: bytes) -> bytes:
    said = b""
    while wanted not in said and select.select([terminal], [], [], 30)[0]:
        try:
            said += os.read(terminal, 65536)
        except OSError:
            break
    return said


def test_ctrl_c_on_a_terminal_gives_the_cursor_back() -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": TESTS, "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    try:
        said = read_until(ours, b"more moving")
        process.send_signal(signal.SIGINT)
        said += read_until(ours, b"inv watch goes on")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"\x1b[?25l" in said
    assert said.rindex(b"\x1b[?25h") > said.rindex(b"\x1b[?25l")
    assert b"running; still deploying: queue-000" in said.replace(b"\r\n  ", b" ")
    assert b"error: interrupted\r\n  inv watch goes on" in said
