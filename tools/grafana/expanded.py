"""Give the SQL of exported dashboards as Athena gets it, with the macros that Grafana's plugin expands.

    python -m tools.grafana.expanded        # a JSON object: each query's name, and its text for a made-up environment

Follows the plugin's source (grafana/athena-datasource, pkg/athena/macros.go): `$__rawTimeFrom('yyyy-MM-dd')` becomes
quoted text, `$__timeTo()` a TIMESTAMP, both in UTC.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from shipit.dashboards import Facts, Work, render

_MACRO = re.compile(r"\$__(\w+)\(([^)]*)\)")
_LETTERS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H"}
_UNITS = {"h": "hours", "d": "days"}

EXAMPLE = Facts(
    env="prod",
    region="eu-west-1",
    database="shipit",
    reports="version_reports",
    history="version_history",
    reports_at="s3://acme-shipit/prod/reports/v1",
    history_at="s3://acme-shipit/prod/history/v1",
    workgroup="primary",
    output="s3://acme-shipit/athena/",
    heartbeat=300.0,
    works=(
        Work(queue="email", asgs=("workers-email",), dead_letter="email-dead"),
        Work(queue="reports", asgs=("workers-reports",)),
    ),
    oldest=180,
    depth=1000,
    home="/etc/grafana/provisioning",
)


def boards(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the dashboards among exported files by their names, such as `versions`."""
    return {
        name.rpartition("/")[2].removesuffix(".json"): json.loads(text)
        for name, text in texts.items()
        if name.endswith(".json")
    }


def queries(texts: Mapping[str, str], now: datetime) -> dict[str, str]:
    """Return all statements for Athena in exported files, expanded as at `now`, by dashboard and title."""
    return {
        f"{name}: {title}": expand(sql, now - window, now)
        for name, board in boards(texts).items()
        for title, sql, window in _statements(board)
    }


def expand(sql: str, start: datetime, end: datetime) -> str:
    """Return the statement with the macros expanded for this range. Raises ValueError for a macro unknown here."""

    def expanded(found: re.Match[str]) -> str:
        macro, argument = found.groups()
        at = (start if macro.endswith("From") else end).astimezone(UTC)
        match macro:
            case "rawTimeFrom" | "rawTimeTo":
                layout = argument
                for letters, directive in _LETTERS.items():
                    layout = layout.replace(letters, directive)
                return at.strftime(layout)
            case "timeFrom" | "timeTo":
                return f"TIMESTAMP '{at:%Y-%m-%d %H:%M:%S}'"
            case _:
                raise ValueError(f"no such macro here: $__{macro}")

    return _MACRO.sub(expanded, sql)


def _statements(board: Any) -> Iterator[tuple[str, str, timedelta]]:
    """Yield the title, the statement and the range of each query for Athena, annotations included."""
    window = _span(board["time"]["from"].removeprefix("now-"))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            if "rawSQL" in target:
                yield panel["title"], target["rawSQL"], _span(panel["timeFrom"]) if "timeFrom" in panel else window
    for annotation in board["annotations"].get("list", ()):
        yield annotation["name"], annotation["target"]["rawSQL"], window


def _span(text: str) -> timedelta:
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


if __name__ == "__main__":
    print(json.dumps(queries(render(EXAMPLE), datetime(2026, 11, 20, 12, tzinfo=UTC)), indent=2))
