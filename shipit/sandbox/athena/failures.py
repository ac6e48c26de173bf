"""How a query fails: the reason that Athena would show, and whether it is worth another try."""

from __future__ import annotations


class QueryFailed(Exception):
    """End a query as FAILED; the message starts with a code of Athena's (`SYNTAX_ERROR: …`)."""

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        """Keep both as one `reason`; `retryable` becomes AthenaError.Retryable."""
        super().__init__(f"{code}: {message}")
        self.reason = f"{code}: {message}"
        self.retryable = retryable
