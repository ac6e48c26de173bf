"""Estimate what reports cost, by AWS's list prices in us-east-1 and a model of what is requested. Pure.

Requests decide, not bytes (reference athena.md, "What decides the design"). Not in it: what S3 takes for keeping a
few days of reports (cents), data that leaves its region, and the free tier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from shipit.errors import UsageError

#: Dollars: a PUT or LIST, a GET, a byte that Athena reads, a byte that Firehose takes in.
_PUT, _GET, _READ, _TAKEN = 5 / 10**6, 0.4 / 10**6, 5 / 10**12, 0.029 / 10**9
#: Athena bills so many bytes of a query at least; Firehose rounds each record up to so many.
_LEAST_READ, _RECORD = 10 * 10**6, 5 * 1024
#: Bytes of a report as JSON, and of one among others in gzip (measured: 7.9 MB for 334,000).
_PLAIN, _PACKED = 500, 23.7
#: Seconds: a month, a slot of the table, what Firehose gathers before it writes a batch.
_MONTH, _SLOT, _BATCH = 30 * 86400, 3600, 60
_PAGE = 1000
#: From so many instances on, batches are worth a stream of their own (reference athena.md, "Tables").
MANY = 2000


@dataclass(frozen=True, kw_only=True)
class Way:
    """Price one way for reports to get into the table.

    `writing` is dollars a month; `query` dollars a question, which reads so many `objects` and `size` bytes at most.
    """

    writing: float
    query: float
    objects: int
    size: float


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Hold the number of reports in a month, and the price of each written alone and of batches by Firehose."""

    reports: float
    alone: Way
    batched: Way


def estimate(instances: int, *, heartbeat: float, look_back: float) -> Costs:
    """Return what the reports of so many instances cost; seconds between two of them, and that a question looks back.

    A question reads whole slots: the hour that runs, at most to its end, and those that `look_back` touches. Raises
    UsageError for numbers that nothing can be said about.
    """
    if instances < 1 or heartbeat <= 0 or look_back <= 0:
        raise UsageError("a cost needs at least one instance, and a heartbeat", hint="--instances 300 --heartbeat 5m")
    reports = instances * _MONTH / heartbeat
    seconds = look_back + _SLOT
    read = math.ceil(instances * seconds / heartbeat)
    batches = math.ceil(seconds / _BATCH)
    return Costs(
        reports=reports,
        alone=_way(reports * _PUT, read, read * _PLAIN),
        batched=_way(reports * _RECORD * _TAKEN + _MONTH / _BATCH * _PUT, batches, read * _PACKED),
    )


def _way(writing: float, objects: int, size: float) -> Way:
    listed = math.ceil(objects / _PAGE)
    query = objects * _GET + listed * _PUT + max(size, _LEAST_READ) * _READ
    return Way(writing=writing, query=query, objects=objects, size=size)
