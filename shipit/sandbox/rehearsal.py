"""What a rehearsal needs of its sandbox beside AWS: messages into its queues, and what its workers print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3

from shipit.sandbox.config import SandboxConfig, state_folder
from shipit.sandbox.instance.facts import ACCOUNT
from shipit.sandbox.instance.processes import journal_folder


class Queues:
    """Speak to the queues of a sandbox."""

    def __init__(self, config: SandboxConfig) -> None:
        """Speak to the sandbox of this configuration, which must run."""
        self._url = config.url
        self._client = boto3.client(
            "sqs",
            region_name=config.region,
            endpoint_url=config.url,
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",
        )

    def send(self, queue: str, body: str) -> None:
        """Put a message into a queue; raises what boto3 raises."""
        self._client.send_message(QueueUrl=self._of(queue), MessageBody=body)

    def depth(self, queue: str) -> int:
        """Return how many messages there are, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._client.get_queue_attributes(QueueUrl=self._of(queue), AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def _of(self, queue: str) -> str:
        return f"{self._url}/{ACCOUNT}/{queue}"


class Journals:
    """Read what the units of all instances print, also of those that are gone."""

    def __init__(self, config: SandboxConfig) -> None:
        """Read those of the sandbox of this configuration."""
        self._folder = journal_folder(state_folder(Path(config.root)))
        self._read: dict[Path, int] = {}

    def lines(self) -> Iterator[str]:
        """Yield the lines that were completed since the last call."""
        for path in sorted(self._folder.glob("*/*.log")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                whole, end, _ = file.read().rpartition(b"\n")
            self._read[path] = self._read.get(path, 0) + len(whole) + len(end)
            if end:
                yield from whole.decode(errors="replace").split("\n")

    def saying(self, text: str) -> int:
        """Return how many instances have a unit that printed this text."""
        logs = self._folder.glob("*/*.log")
        return len({path.parent for path in logs if text in path.read_text(encoding="utf-8", errors="replace")})

    def tail(self, build: str, count: int) -> list[str]:
        """Return the last lines that some instance's units of a build printed."""
        for path in sorted(self._folder.glob(f"*/*@{build}.service.log")):
            if found := path.read_text(encoding="utf-8", errors="replace").splitlines():
                return found[-count:]
        return []
