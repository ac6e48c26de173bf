"""Conditional writes come one at a time; nothing else waits for them."""

import io
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from shipit.sandbox.turns import ConditionalWritesInTurn


def request(method: str, body: bytes = b"", **headers: str) -> dict[str, Any]:
    return {"REQUEST_METHOD": method, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), **headers}


class Slow:
    """An application that is slow within, and remembers what it read and how many were in it at once."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.bodies: list[bytes] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.inside += 1
        self.most = max(self.most, self.inside)
        time.sleep(0.02)
        self.bodies.append(environ["wsgi.input"].read())
        self.inside -= 1
        return [b"done"]


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("header", ["HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"])
def test_conditional_writes_come_one_at_a_time_and_whole(method: str, header: str) -> None:
    slow = Slow()
    front = ConditionalWritesInTurn(slow)
    threads = [
        threading.Thread(target=front, args=(request(method, b"%d" % n, **{header: "x"}), print)) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert slow.most == 1
    assert sorted(slow.bodies) == [b"0", b"1", b"2", b"3"]


def test_a_chunked_body_is_read_to_its_end() -> None:
    slow = Slow()
    terminated = {**request("PUT", HTTP_IF_MATCH="x"), "wsgi.input": io.BytesIO(b"ab"), "wsgi.input_terminated": True}
    ConditionalWritesInTurn(slow)({**terminated, "CONTENT_LENGTH": ""}, print)
    assert slow.bodies == [b"ab"]


@pytest.mark.parametrize("other", [request("GET", HTTP_IF_MATCH="x"), request("PUT")])
def test_what_is_no_conditional_write_does_not_wait_for_one(other: dict[str, Any]) -> None:
    answers: list[bytes] = []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "PUT" and "HTTP_IF_MATCH" in environ:
            answers.extend(front(other, start_response))
        return [b"answer"]

    front = ConditionalWritesInTurn(application)
    thread = threading.Thread(target=front, args=(request("PUT", HTTP_IF_MATCH="x"), print), daemon=True)
    thread.start()
    thread.join(timeout=20)
    assert answers == [b"answer"]


def test_a_client_that_stalls_in_the_middle_of_its_body_holds_up_no_other() -> None:
    slow, stalled = Slow(), threading.Event()

    class Stalling(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            stalled.wait(timeout=20)
            return b""

    front = ConditionalWritesInTurn(slow)
    waiting = {**request("PUT", HTTP_IF_MATCH="x"), "wsgi.input": Stalling()}
    thread = threading.Thread(target=front, args=(waiting, print))
    thread.start()
    front(request("PUT", b"other", HTTP_IF_MATCH="x"), print)
    assert slow.bodies == [b"other"]
    stalled.set()
    thread.join()
