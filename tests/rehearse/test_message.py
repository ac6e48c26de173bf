"""A task is written as Celery itself writes it, so that any worker takes it."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest
from celery import Celery
from kombu.transport.virtual import Message
from kombu.utils.encoding import bytes_to_str

from shipit.rehearse import TaskMessage, encode

TASK = TaskMessage(name="email.build_digest", queue="email-digest", args=(["a", "ü"], 3), kwargs={"limit": None})


def envelope(task: TaskMessage = TASK) -> dict[str, Any]:
    """Open the envelope as kombu's SQS transport does (`_optional_b64_decode`, then JSON)."""
    found: dict[str, Any] = json.loads(b64decode(encode(task, "some-id")))
    return found


def test_kombu_reads_the_task_out_of_it() -> None:
    class Channel:
        def decode_body(self, body: str, encoding: str) -> bytes:
            assert encoding == "base64"
            return b64decode(body)

        def message_to_python(self, payload: object) -> object:
            return payload

    payload = envelope()
    message = Message(payload, channel=Channel())
    args, kwargs, embed = message.decode()
    assert args == [["a", "ü"], 3]
    assert kwargs == {"limit": None}
    assert set(embed) == {"callbacks", "errbacks", "chain", "chord"}
    assert message.headers["task"] == "email.build_digest"
    assert message.headers["id"] == "some-id" == message.properties["correlation_id"]


def test_it_says_what_celerys_own_message_says() -> None:
    app = Celery("t")
    theirs = app.amqp.as_task_v2("some-id", "email.build_digest", args=(["a", "ü"], 3), kwargs={"limit": None})
    ours = envelope()
    missing = set(theirs.headers) - set(ours["headers"])
    assert missing <= {"stamped_headers", "stamps", "ignore_result", "replaced_task_nesting"}
    for name in ("lang", "task", "id", "retries", "timelimit", "root_id", "parent_id", "eta", "expires", "group"):
        assert ours["headers"][name] == theirs.headers[name] or list(theirs.headers[name]) == ours["headers"][name]
    assert json.loads(bytes_to_str(b64decode(ours["body"])))[:2] == [list(theirs.body[0]), theirs.body[1]]


@pytest.mark.parametrize("name", ["delivery_mode", "delivery_info", "delivery_tag", "body_encoding"])
def test_it_has_the_properties_that_kombus_virtual_transports_need(name: str) -> None:
    assert envelope()["properties"][name]


def test_two_messages_never_share_a_delivery_tag() -> None:
    tags = {envelope()["properties"]["delivery_tag"] for _ in range(10)}
    assert len(tags) == 10
