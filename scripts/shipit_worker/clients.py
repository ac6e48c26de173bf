"""SQS clients for a thread of its own, made from what the application tells kombu: keys, region, endpoint, role.

kombu's own clients belong to the worker's main thread, and wait a minute for an answer: too long where a timeout is
to be outrun.
"""

from __future__ import annotations

import time
from typing import Any

import boto3
from botocore.config import Config

#: One try of a few seconds: the keeper itself tries again.
QUICK = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1})
DEFAULT_REGION = "us-east-1"  # kombu's


class Clients:
    """One client for each queue that has settings of its own, and one for all others. Not for two threads at once."""

    def __init__(self, app: Any) -> None:
        # Read, not connected: the same settings that the worker's connection was made from.
        self._broker = app.connection_for_read()
        self._options: dict[str, Any] = self._broker.transport_options
        self._by_key: dict[tuple[Any, ...], tuple[Any, float]] = {}

    def of(self, url: str) -> Any:
        """Return the client for the queue of this URL.

        Raises what boto3 does where there are no credentials, or the role cannot be assumed.
        """
        queue: dict[str, Any] = next(
            (q for q in self._options.get("predefined_queues", {}).values() if q.get("url") == url), {}
        )
        region = queue.get("region") or self._options.get("region") or boto3.Session().region_name or DEFAULT_REGION
        keys: tuple[Any, ...] = (
            queue.get("access_key_id", self._broker.userid),
            queue.get("secret_access_key", self._broker.password),
            None,
        )
        key = (region, *keys)
        client, until = self._by_key.get(key, (None, 0.0))
        if client is None or time.time() > until:
            until = float("inf")
            # As kombu does: the role, where one is named, is for predefined queues.
            if queue and self._options.get("sts_role_arn"):
                keys, until = self._assume()
            client = self._make(region, keys)
            self._by_key[key] = client, until
        return client

    def _make(self, region: str, keys: tuple[Any, ...]) -> Any:
        options = self._options
        access, secret, token = keys
        session = boto3.Session(
            region_name=region, aws_access_key_id=access, aws_secret_access_key=secret, aws_session_token=token
        )
        secure = options.get("is_secure")
        more: dict[str, Any] = {"use_ssl": True if secure is None else secure}
        if self._broker.hostname is not None:
            port = f":{self._broker.port}" if self._broker.port is not None else ""
            more["endpoint_url"] = f"{'https' if secure else 'http'}://{self._broker.hostname}{port}"
        return session.client("sqs", config=Config(**(options.get("client-config") or {})).merge(QUICK), **more)

    def _assume(self) -> tuple[tuple[str, str, str], float]:
        """Return keys of the role that the queues are reached by, and until when to use them (seconds since 1970)."""
        answer = (
            boto3.Session()
            .client("sts", config=QUICK)
            .assume_role(
                RoleArn=self._options["sts_role_arn"],
                RoleSessionName="Celery",
                DurationSeconds=self._options.get("sts_token_timeout", 900),
            )["Credentials"]
        )
        keys = answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"]
        return keys, answer["Expiration"].timestamp() - 60
