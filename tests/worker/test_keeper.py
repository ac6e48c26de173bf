"""A held message stays out of sight while its worker lives, and no longer."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from celery_workers import Broker, Queue, Worker, drain, noted, said
from daemons import eventually
from shipit_worker.keeper import LONGEST, Keeper

Start = Callable[..., Worker]
URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/reports"


def test_what_a_killed_worker_held_is_run_elsewhere_soon(queue: Queue, start: Start, tmp_path: Path) -> None:
    # The queue itself would hide the message for ten minutes; the keeper asks for six seconds.
    worker = start(queue, SHIPIT_VISIBILITY="6").ready()
    queue.send("work", 1, 60.0)
    eventually(lambda: noted(tmp_path)["start 1"])
    eventually(lambda: 0 < queue.hidden_for() <= 6)
    worker.kill()
    start(queue, SHIPIT_VISIBILITY="6").ready()
    eventually(lambda: noted(tmp_path)["start 1"] == 2, 30)


def test_a_task_longer_than_the_visibility_timeout_runs_once_even_while_its_worker_ends(
    sqs: Broker, start: Start, tmp_path: Path
) -> None:
    queue = sqs.queue(visibility=10)
    worker = start(queue, SHIPIT_VISIBILITY="10").ready()
    queue.send("work", 1, 15.0)
    eventually(lambda: noted(tmp_path)["start 1"])
    other = start(queue, SHIPIT_VISIBILITY="10")
    draining = drain(worker, "--wait", "2", "--grace", "60")
    assert said(draining)["how"] == "warm"
    other.ready()
    # Were its message still there, it would come back after ten seconds.
    eventually(lambda: (queue.count(), queue.count("NotVisible")) == (0, 0))
    assert noted(tmp_path) == {"start 1": 1, "end 1": 1}
    assert "kept" not in worker.log
    assert "Traceback" not in worker.log


def test_without_the_keeper_such_a_task_is_run_twice(sqs: Broker, start: Start, tmp_path: Path) -> None:
    queue = sqs.queue(visibility=2)
    for _ in range(2):
        start(queue, SHIPIT_VISIBILITY="0").ready()
    queue.send("work", 1, 5.0)
    eventually(lambda: noted(tmp_path)["end 1"] == 2)


def test_the_keeper_gives_up_what_a_worker_gives_back(queue: Queue, start: Start, tmp_path: Path) -> None:
    worker = start(queue, SHIPIT_VISIBILITY="600").ready()
    queue.send("work", 1, 60.0)
    eventually(lambda: noted(tmp_path)["start 1"])
    time.sleep(0.5)  # not at the very moment of the start: docs/worker.md
    worker.signal(signal.SIGQUIT)
    assert worker.wait() == 0
    eventually(lambda: queue.count() == 1)


# Below, the keeper alone, with a client that does as it is told.


@dataclass
class Message:
    delivery_info: dict[str, Any]


@dataclass
class Task:
    time_limit: float | None = 600


@dataclass(eq=False)
class Request:
    """A request as the keeper sees it."""

    id: str = "1"
    name: str = "work"
    task: Task = field(default_factory=Task)
    time_limits: tuple[float | None, float | None] = (None, None)
    time_start: float | None = None
    acknowledged: bool = False
    handle: str = "handle"
    queue: str = URL

    @property
    def message(self) -> Message:
        return Message({"sqs_message": {"ReceiptHandle": self.handle}, "sqs_queue": self.queue})


@dataclass
class Client:
    """An SQS client, and `clients` at once; `answers` are given in turn, then all goes well."""

    answers: list[Any] = field(default_factory=list)
    calls: list[list[dict[str, Any]]] = field(default_factory=list)
    timeout: str | None = "30"

    def of(self, url: str) -> Client:
        return self

    def get_queue_attributes(self, **_: object) -> dict[str, Any]:
        if self.timeout is None:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetQueueAttributes")
        return {"Attributes": {"VisibilityTimeout": self.timeout}}

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.calls.append(Entries)
        answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def handles(self) -> list[str]:
        return [entry["ReceiptHandle"] for call in self.calls for entry in call]


#: Requests are forgotten once nobody refers to them.
_alive: list[Request] = []


def keeper_of(client: Client, *requests: Request, age: float = 25, seconds: float = 60) -> Keeper:
    """Return a keeper that received these requests so many seconds ago."""
    keeper = Keeper(client, seconds)
    _alive[:] = requests
    for request in requests:
        keeper.received(request=request)
        keeper._held[request].received -= age
    return keeper


def due(keeper: Keeper) -> None:
    """Make every message due now."""
    for one in keeper._held.values():
        one.due = 0.0


def test_a_message_is_extended_after_a_third_of_the_shorter_timeout() -> None:
    early, late = Client(), Client()
    keeper_of(early, Request(), age=5).extend()
    keeper_of(late, Request(), age=11).extend()
    assert (early.calls, late.handles) == ([], ["handle"])
    assert late.calls[0][0]["VisibilityTimeout"] == 60


def test_where_the_queue_may_not_be_asked_the_default_of_sqs_is_assumed() -> None:
    client = Client(timeout=None)
    keeper_of(client, Request(), age=5).extend()
    assert client.calls == []
    keeper_of(client, Request(), age=11).extend()
    assert client.handles == ["handle"]


def test_once_extended_it_is_left_alone_for_a_third_of_what_was_asked_for() -> None:
    client = Client()
    request = Request()
    keeper = keeper_of(client, request)
    before = time.monotonic()
    for _ in range(3):
        keeper.extend()
    assert client.handles == ["handle"]
    assert before + 20 <= (keeper._held[request].due or 0) <= time.monotonic() + 20


def test_ten_messages_go_into_one_call_and_each_queue_has_its_own() -> None:
    client = Client()
    held = [Request(handle=str(n)) for n in range(23)] + [Request(handle="x", queue=f"{URL}-2")]
    keeper_of(client, *held).extend()
    assert sorted(map(len, client.calls)) == [1, 3, 10, 10]
    assert len(set(client.handles)) == 24


@pytest.mark.parametrize(
    "request_",
    [
        Request(acknowledged=True),
        Request(task=Task(time_limit=None)),
        Request(time_start=time.time() - 700),
    ],
    ids=["acknowledged", "no time limit", "past its time limit"],
)
def test_what_must_not_be_kept_is_not(request_: Request) -> None:
    client = Client()
    keeper_of(client, request_).extend()
    assert client.calls == []


def test_a_limit_of_the_message_or_of_the_worker_will_do() -> None:
    client = Client()
    of_message = Request(task=Task(None), time_limits=(5.0, None), handle="message")
    of_worker = Request(task=Task(None), handle="worker")
    keeper = keeper_of(client, of_message, of_worker)
    keeper.time_limit = 5.0
    keeper.extend()
    assert sorted(client.handles) == ["message", "worker"]


def test_one_warning_is_enough_for_a_task_without_a_time_limit(caplog: pytest.LogCaptureFixture) -> None:
    held = [Request(task=Task(None)) for _ in range(5)]
    keeper = keeper_of(Client(), *held)
    for _ in range(3):
        keeper.extend()
    assert [record.getMessage().count("set task_time_limit") for record in caplog.records] == [1]


def test_the_twelve_hours_of_sqs_are_not_asked_to_be_more() -> None:
    client = Client()
    keeper_of(client, Request(task=Task(80_000)), age=LONGEST - 10).extend()
    assert client.calls[0][0]["VisibilityTimeout"] in range(5, 11)
    keeper_of(client, Request(task=Task(80_000)), age=LONGEST + 1).extend()
    assert len(client.calls) == 1


def test_a_message_that_is_gone_is_given_up_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    failed = {"Failed": [{"Id": "0", "SenderFault": True, "Code": "AWS.SimpleQueueService.MessageNotInflight"}]}
    client = Client([failed])
    keeper = keeper_of(client, Request(handle="a"), Request(handle="b"))
    keeper.extend()
    due(keeper)
    keeper.extend()
    assert sorted(client.handles[:2]) == ["a", "b"]
    assert len(client.handles) == 3
    assert sum("may run twice" in record.getMessage() for record in caplog.records) == 1


def test_a_failure_on_the_side_of_sqs_is_tried_again() -> None:
    failed = {"Failed": [{"Id": "0", "SenderFault": False, "Code": "InternalError"}]}
    client = Client([failed])
    request = Request()
    keeper = keeper_of(client, request)
    keeper.extend()
    assert (keeper._held[request].due or 0) - time.monotonic() <= keeper.tick
    due(keeper)
    keeper.extend()
    assert client.handles == ["handle", "handle"]


def test_a_message_deleted_during_the_call_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    request = Request()

    class Deleting(Client):
        def change_message_visibility_batch(self, **given: Any) -> dict[str, Any]:
            request.acknowledged = True
            return {"Failed": [{"Id": "0", "SenderFault": True, "Code": "InvalidParameterValue"}]}

    keeper_of(Deleting(), request).extend()
    assert not caplog.records


def test_errors_are_said_once_and_tried_again_at_growing_intervals(caplog: pytest.LogCaptureFixture) -> None:
    client = Client([OSError("down")] * 8)
    request = Request()
    keeper = keeper_of(client, request)
    pauses = []
    for _ in range(8):
        keeper.extend()
        pauses.append(round((keeper._held[request].due or 0) - time.monotonic()))
        due(keeper)
    assert pauses == [1, 2, 4, 8, 16, 20, 20, 20]
    keeper.extend()
    said = [record.getMessage() for record in caplog.records if "extended" in record.getMessage()]
    assert len([line for line in said if "down" in line]) == 1


def test_a_request_that_nobody_refers_to_any_more_is_forgotten() -> None:
    client = Client()
    keeper = keeper_of(client, Request())
    _alive.clear()
    keeper.extend()
    assert client.calls == []


def test_after_a_lost_connection_only_running_tasks_are_kept() -> None:
    client = Client()
    request = Request()
    keeper = keeper_of(client, request)
    keeper.forget_idle()
    keeper.extend()
    assert client.calls == []


def test_messages_of_another_broker_are_none_of_its_business() -> None:
    class Other(Request):
        @property
        def message(self) -> Message:
            return Message({"routing_key": "celery"})

    keeper = Keeper(Client(), 60)
    keeper.received(request=Other())
    assert not keeper._held
