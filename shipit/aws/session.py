"""Open boto3 clients that count every attempt and pace those of CodeDeploy: the one door to AWS.

The hooks sit on botocore's `request-created` and `needs-retry` events, which fire once per attempt, so that
botocore's own retries are counted and paced like first calls.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from shipit.aws.budget import RateBudget
from shipit.aws.refusals import THROTTLES, explained

#: Attempts of one call, the first included: at 30 % throttles, 8 in a row happen once in 15,000 calls.
ATTEMPTS = 8
_PACED = frozenset({"codedeploy"})


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Hold keys given outright: the sandbox's. On AWS boto3's own chain finds them."""

    access_key: str
    secret_key: str


def is_loopback(url: str) -> bool:
    """Tell whether the host of `url` is this machine itself, by its literal name: nothing is resolved."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class AwsSession:
    """Make clients of one account and region.

    `on_throttle(operation, rate)` is called, from the calling thread, each time the budget falls.
    """

    def __init__(
        self,
        *,
        budget: RateBudget,
        region: str = "",
        profile: str = "",
        endpoint_url: str = "",
        credentials: Credentials | None = None,
        on_throttle: Callable[[str, float], None] = lambda operation, rate: None,
        attempts: int = ATTEMPTS,
    ) -> None:
        """Open the session, of at most `attempts` per call; raises AwsError where the profile does not exist."""
        self._budget = budget
        self._on_throttle = on_throttle
        self._attempts = attempts
        self._endpoint_url = endpoint_url or None
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        with explained():
            self._session = boto3.Session(
                region_name=region or None,
                profile_name=profile or None,
                aws_access_key_id=credentials.access_key if credentials else None,
                aws_secret_access_key=credentials.secret_key if credentials else None,
            )

    @property
    def region(self) -> str:
        """Return the region that calls go to; empty where none is known."""
        return self._session.region_name or ""

    @property
    def calls(self) -> Mapping[str, int]:
        """Return the attempts made so far by operation."""
        with self._lock:
            return dict(self._calls)

    def client(self, service: str, *, attempts: int = 0) -> Any:
        """Return a client of `service`, of `attempts` per call if given; raises AwsError where no region is known."""
        # Standard mode alone: adaptive mode would add a second, blind limiter behind the budget.
        config = Config(
            retries={"mode": "standard", "total_max_attempts": attempts or self._attempts},
            max_pool_connections=32,
            connect_timeout=5,
            read_timeout=30,
            # No proxy reaches this machine's own loopback; without a word, botocore asks the environment's for it.
            proxies={} if is_loopback(self._endpoint_url or "") else None,
        )
        with explained():
            client = self._session.client(service, endpoint_url=self._endpoint_url, config=config)  # type: ignore[call-overload]  # a name known at run time only
        events = client.meta.events
        # First, so that the wait comes before the signature takes its time stamp.
        events.register_first("request-created", self._before_attempt(paced=service in _PACED))
        if service in _PACED:
            events.register_first("needs-retry", self._after_attempt)
        return client

    def _before_attempt(self, *, paced: bool) -> Callable[..., None]:
        def before(operation_name: str, **_: object) -> None:
            if paced:
                self._budget.take()
            with self._lock:
                self._calls[operation_name] += 1

        return before

    def _after_attempt(self, operation: Any, response: Any, **_: object) -> None:
        if response is None:
            return
        code = response[1].get("Error", {}).get("Code", "")
        if code not in THROTTLES:
            self._budget.accepted()
        elif self._budget.throttled():
            self._on_throttle(operation.name, self._budget.rate)
