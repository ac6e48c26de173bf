"""SQS for many workers at once: moto's queues, of which each message goes to one living consumer at a time.

moto alone looks at a message and then marks it, with other threads between, so that two workers may get the same one;
it drops a message that is sent while another is deleted; and it hands messages to a worker that died in its long
poll, where they stay until the visibility timeout. Each would be counted against the workers.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

#: Where messages go that came back too often, and how often that is.
DEAD, RECEIVES = "dead", 5

#: Seconds between two looks of a long poll: for messages that are visible again, and at whether its client is there.
_LOOK = 0.1

#: What reads or changes the messages of a queue, apart from receiving.
_IN_TURN = (
    "send_message",
    "send_message_batch",
    "delete_message",
    "delete_message_batch",
    "change_message_visibility",
    "change_message_visibility_batch",
    "purge_queue",
)


class FairQueues:
    """Stand in front of moto (PEP 3333), and let its SQS backend work as workers may rely on."""

    def __init__(self, application: WSGIApplication, sqs: Any) -> None:
        """Change the backend `sqs`, which `application` answers by."""
        self._application = application
        self._sqs = sqs
        self._client = threading.local()
        self._turn = threading.RLock()
        self._receive = sqs.receive_message
        sqs.receive_message = self._receive_message
        for name in _IN_TURN:
            setattr(sqs, name, self._in_turn(getattr(sqs, name)))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        self._client.socket = environ.get("werkzeug.socket")
        return self._application(environ, start_response)

    def create(self, names: Sequence[str], visibility: float) -> None:
        """Create queues of so many seconds of visibility timeout, each with a dead-letter queue `<name>-dead`."""
        for name in names:
            dead = self._sqs.create_queue(f"{name}-{DEAD}")
            policy = {"deadLetterTargetArn": dead.queue_arn, "maxReceiveCount": RECEIVES}
            attributes = {"VisibilityTimeout": round(visibility), "RedrivePolicy": json.dumps(policy)}
            self._sqs.create_queue(name, **attributes)

    def _in_turn(self, call: Any) -> Any:
        def one_at_a_time(*args: Any, **options: Any) -> Any:
            with self._turn:
                return call(*args, **options)

        return one_at_a_time

    def _receive_message(
        self, queue_name: str, count: int, wait_seconds_timeout: float, *args: Any, **options: Any
    ) -> Any:
        deadline = time.monotonic() + wait_seconds_timeout
        queue = self._sqs.get_queue(queue_name)
        while True:
            with self._turn:
                if _is_gone(getattr(self._client, "socket", None)):
                    return []
                if found := self._receive(queue_name, count, 0, *args, **options):
                    return found
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            queue.wait_for_messages(min(left, _LOOK))


def _is_gone(client: socket.socket | None) -> bool:
    """Tell whether the other side of a connection has closed it."""
    if client is None:
        return False
    try:
        return not client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
