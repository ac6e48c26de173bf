"""What a look at a project's own files and queues finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Say how bad a finding is: ERROR fails, loses or mixes work, WARNING may, NOTE is what could not be known."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Say what is wrong where, why that matters, and what to do; `line` counts from 1, and is 0 where there is none.

    `file` is the path below the project's folder, `sqs` for what was found in the queues themselves. `why` holds the
    consequence, measured where it says so.
    """

    rule: str
    severity: Severity
    file: str
    what: str
    why: str
    fix: str
    line: int = 0

    @property
    def place(self) -> str:
        """Return file and line as far as they are known, as compilers write them."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, kw_only=True)
class QueueFacts:
    """Read what SQS says of a queue: its visibility timeout (seconds), where messages go after so many receives.

    `exists` is false where the account and region have no queue of this name; `dead_letter` is the ARN of its
    dead-letter queue, empty where it has none.
    """

    name: str
    exists: bool = True
    visibility_timeout: int = 30
    dead_letter: str = ""
    max_receives: int = 0
