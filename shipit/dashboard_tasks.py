"""The Invoke task that writes what Grafana provisions, a part of `shipit.tasks`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.collection import Collection

from shipit.command import command

if TYPE_CHECKING:
    from shipit.wiring import Tool


@command(
    "folder",
    folder="where to write the files, such as grafana/",
    home="where Grafana finds that folder; default: /etc/grafana/provisioning",
    oldest="alert where a queue's oldest message is older; default: 180s",
    depth="alert where more messages wait in a queue for 5 minutes; default: 1000",
    force="write over files that differ",
)
def export(
    tool: Tool,
    folder: str = "",
    home: str = "/etc/grafana/provisioning",
    oldest: str = "180s",
    depth: str = "1000",
    force: bool = False,
) -> None:
    """Write Grafana's dashboards, data sources and alert rules for the environment."""
    from shipit.flows import dashboards

    dashboards.export(tool, folder, home=home, oldest=oldest, depth=depth, force=force)


DASHBOARDS = Collection("dashboards")
DASHBOARDS.add_task(export)
