"""The dashboards' statements in the sandbox's Athena, over reports as instances write them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from fakes import NOON
from sandbox.athena.cloud import BUCKET, Cloud, line
from sandbox.codedeploy.world import Door

from shipit.dashboards import render
from shipit.sql import history_ddl
from tools.grafana.expanded import EXAMPLE, queries

FACTS = replace(EXAMPLE, reports_at=f"s3://{BUCKET}/prod/reports/v1", history_at=f"s3://{BUCKET}/prod/history/v1")
QUERIES = queries(render(FACTS), NOON)
PLACES = {"reports": ("reports/v1/slot=", "%Y-%m-%d-%H"), "history": ("history/v1/day=", "%Y-%m-%d")}

Row = dict[str, str | None]


class World:
    """An Athena with both tables; reports are put there as instances write them."""

    def __init__(self, door: Door) -> None:
        self.cloud = Cloud(door)
        self.cloud.create_table()
        for statement in history_ddl(database="shipit", table="version_history", bucket=BUCKET, prefix="prod"):
            self.cloud.athena.run(statement)

    def put(self, instance: str, at: datetime, *, table: str = "reports", key: str = "", **changes: Any) -> None:
        """Write a report below the partition of its time, by the name of its author or by another one."""
        below, layout = PLACES[table]
        name = key or f"AROAEXAMPLE:{instance}-{int(at.timestamp() * 1000)}.json"
        body = json.dumps(line(instance, at, **changes)) + "\n"
        self.cloud.store.put(BUCKET, f"prod/{below}{at.strftime(layout)}/{name}", body.encode())

    def deploy(self, asg: str, build: str, at: datetime, *instances: str) -> None:
        """Let a deployment end on some instances, one a minute."""
        for minute, instance in enumerate(instances):
            self.put(
                instance,
                at + timedelta(minutes=minute),
                table="history",
                reason="deploy",
                asg=asg,
                build=build,
                running_build=build,
                deployment_id=f"d-{asg}-{at:%d%H%M}",
            )

    def show(self, panel: str, now: datetime = NOON) -> list[Row]:
        """Return what a panel would show."""
        return [dict(row) for row in self.cloud.athena.run(queries(render(FACTS), now)[panel]).rows]
