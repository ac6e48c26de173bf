"""What has been asked of Athena: each execution from QUEUED to its end, and the results of the recent ones."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from shipit.sandbox.athena.cancellation import Cancellation, Cancelled
from shipit.sandbox.athena.engine import Engine, ScanLimitExceeded
from shipit.sandbox.athena.failures import QueryFailed
from shipit.sandbox.athena.results import Result
from shipit.sandbox.athena.store import NoSuchObject, ObjectStore, split_url

log = logging.getLogger(__name__)

_WORKERS = 2
#: Executions remembered with their results, and the rows of all of them: the oldest that have ended go first.
_REMEMBERED, _REMEMBERED_ROWS = 200, 50_000


class State(StrEnum):
    """Say how far an execution is (botocore's service model, `QueryExecutionState`)."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Tell whether the execution will not change again."""
        return self not in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True, kw_only=True)
class Question:
    """Hold what a caller asked; `output` is the folder for the results, an s3:// URL."""

    sql: str
    parameters: tuple[str, ...]
    database: str
    workgroup: str
    output: str
    ddl: bool
    scan_limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Hold one execution as it stands; `scanned` in bytes, `failure` set where it FAILED."""

    id: str
    question: Question
    submitted_at: datetime
    state: State = State.QUEUED
    started_at: datetime | None = None
    ended_at: datetime | None = None
    result: Result | None = None
    scanned: int = 0
    failure: QueryFailed | None = None
    #: Whether it was cancelled for the bytes that it would have read.
    exceeded: bool = False

    @property
    def output(self) -> str:
        """Return the s3:// URL of the file with the results."""
        return f"{self.question.output.rstrip('/')}/{self.id}.{'txt' if self.question.ddl else 'csv'}"


class TokenReused(ValueError):
    """Say that a token came back with another question."""


class Executions:
    """Run questions on a few threads. `latency` is the seconds that each waits before it runs, as on AWS."""

    def __init__(self, engine: Engine, store: ObjectStore, now: Callable[[], datetime], latency: float) -> None:
        """Start idle."""
        self._engine = engine
        self._store = store
        self._now = now
        self._latency = latency
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="sandbox-athena")
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Execution] = OrderedDict()
        self._cancellations: dict[str, Cancellation] = {}
        self._tokens: dict[str, str] = {}

    def close(self) -> None:
        """Cancel what runs and let the threads go."""
        for execution in self.newest_first():
            self.stop(execution.id)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def start(self, question: Question, token: str) -> str:
        """Return the id of a new execution, or of the one that this token started.

        Raises TokenReused where that one had another question.
        """
        with self._lock:
            known = self._known.get(self._tokens.get(token, ""))
            if known is not None:
                if known.question != question:
                    raise TokenReused("Idempotent parameters do not match")
                return known.id
            execution = Execution(id=str(uuid.uuid4()), question=question, submitted_at=self._now())
            self._known[execution.id] = execution
            self._cancellations[execution.id] = Cancellation()
            if token:
                self._tokens[token] = execution.id
            self._forget_the_oldest()
        self._pool.submit(self._run, execution.id)
        return execution.id

    def get(self, execution_id: str) -> Execution | None:
        """Return an execution as it stands, None for an id unknown or forgotten."""
        with self._lock:
            return self._known.get(execution_id)

    def newest_first(self) -> list[Execution]:
        """Return all executions remembered."""
        with self._lock:
            return list(reversed(self._known.values()))

    def stop(self, execution_id: str) -> None:
        """Cancel an execution that has not ended; any other is left as it is."""
        if self._move(execution_id, State.CANCELLED):
            self._cancellations[execution_id].cancel()

    def _run(self, execution_id: str) -> None:
        cancellation, execution = self._cancellations[execution_id], self._known[execution_id]
        question = execution.question
        try:
            cancellation.wait(self._latency)
            self._move(execution_id, State.RUNNING)
            result, scanned = self._engine.run(
                question.sql, question.parameters, question.database, cancellation, question.scan_limit
            )
            self._write(execution, result)
            self._move(execution_id, State.SUCCEEDED, result=result, scanned=scanned)
        except ScanLimitExceeded:
            self._move(execution_id, State.CANCELLED, exceeded=True)
        except Cancelled:
            self._move(execution_id, State.CANCELLED)
        except QueryFailed as failure:
            self._move(execution_id, State.FAILED, failure=failure)
        except Exception as error:
            log.exception("query %s failed", execution_id)
            ours = QueryFailed("GENERIC_INTERNAL_ERROR", f"{type(error).__name__}: {error}")
            self._move(execution_id, State.FAILED, failure=ours)

    def _write(self, execution: Execution, result: Result) -> None:
        try:
            self._store.put(*split_url(execution.output), result.csv())
        except NoSuchObject as error:
            raise QueryFailed("INVALID_OUTPUT_LOCATION", f"The output bucket does not exist: {error}") from error

    def _move(self, execution_id: str, state: State, **changes: Any) -> bool:
        """Bring an execution to a state, unless it has ended: then the first end stands. Tell whether it moved."""
        with self._lock:
            execution = self._known.get(execution_id)
            if execution is None or execution.state.ended:
                return False
            changes["ended_at" if state.ended else "started_at"] = self._now()
            self._known[execution_id] = replace(execution, state=state, **changes)
            return True

    def _forget_the_oldest(self) -> None:
        rows = {e.id: len(e.result.rows) if e.result else 0 for e in self._known.values()}
        for old in [e.id for e in self._known.values() if e.state.ended]:
            if len(self._known) <= _REMEMBERED and sum(rows.values()) <= _REMEMBERED_ROWS:
                break
            del self._known[old], self._cancellations[old], rows[old]
        self._tokens = {token: known for token, known in self._tokens.items() if known in self._known}
