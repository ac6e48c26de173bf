"""The SQS gateway: what the queues of a fleet are set to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

from shipit.aws.refusals import explained
from shipit.models import QueueFacts

#: Questions at a time. SQS bounds neither operation by a documented rate; 50 queues take a second.
_AT_ONCE = 8
#: The codes for a queue that does not exist, of SQS's JSON protocol and of its older one.
_ABSENT = ("QueueDoesNotExist", "NonExistentQueue")


class Queues:
    """Ask SQS about queues by name. All methods raise AwsError."""

    def __init__(self, client: Any) -> None:
        """Use `client`, a boto3 client of sqs."""
        self._client = client

    def facts(self, names: Iterable[str]) -> tuple[QueueFacts, ...]:
        """Return what each of the queues is set to, by name in order; one that is not there says so."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return tuple(pool.map(self._facts, sorted(set(names))))

    def _facts(self, name: str) -> QueueFacts:
        with explained():
            try:
                url = self._client.get_queue_url(QueueName=name)["QueueUrl"]
                answer = self._client.get_queue_attributes(
                    QueueUrl=url, AttributeNames=["VisibilityTimeout", "RedrivePolicy"]
                )
            except ClientError as error:
                if error.response["Error"]["Code"].rpartition(".")[2] in _ABSENT:
                    return QueueFacts(name=name, exists=False)
                raise
        attributes = answer.get("Attributes", {})
        policy = json.loads(attributes.get("RedrivePolicy") or "{}")
        return QueueFacts(
            name=name,
            visibility_timeout=int(attributes.get("VisibilityTimeout", 30)),
            dead_letter=str(policy.get("deadLetterTargetArn", "")),
            max_receives=int(policy.get("maxReceiveCount", 0)),
        )
