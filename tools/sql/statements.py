"""Print the statements that shipit and its dashboards send to Athena, one JSON object a line, for check.js.

`python -m tools.sql.statements`, from the root; `make sql` does it all.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from shipit import sql
from shipit.dashboards import render
from tools.grafana.expanded import EXAMPLE, queries

PLACE = {"database": "shipit", "bucket": "acme-shipit", "prefix": "prod"}


def statements() -> list[dict[str, str]]:
    """Return each statement with its name, and whether Athena takes it as a `query` or as `ddl`."""
    ddl = (*sql.reports_ddl(**PLACE, table="version_reports"), *sql.history_ddl(**PLACE, table="version_history"))
    found = {
        "latest.sql": sql.latest(**PLACE, table="version_reports"),
        "history.sql": sql.history(**PLACE, table="version_history"),
        **queries(render(EXAMPLE), datetime(2026, 11, 20, 12, tzinfo=UTC)),
    }
    return [
        *({"name": text.partition("(")[0].strip(), "kind": "ddl", "sql": text} for text in ddl),
        *({"name": name, "kind": "query", "sql": text} for name, text in found.items()),
    ]


if __name__ == "__main__":
    for statement in statements():
        print(json.dumps(statement))
