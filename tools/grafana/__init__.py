"""Make the dashboards that shipit/dashboards holds, by Grafana's SDK, which nothing that is shipped imports.

    python -m tools.grafana        # from the root: writes the files anew

versions and queues are the two dashboards, statements the SQL in them, alerts the rules; parts is what they share. A
test makes them again and compares.
"""

from __future__ import annotations

import json
from typing import Any

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tools.grafana import alerts, queues, versions


def files() -> dict[str, str]:
    """Return what each generated file of shipit/dashboards must hold, by its name."""
    return {
        "versions.json": _json(versions.build()),
        "queues.json": _json(queues.build()),
        "alerts.yaml": yaml.safe_dump(json.loads(_json(alerts.build())), sort_keys=False, width=110),
    }


def _json(value: Any) -> str:
    return json.dumps(value, cls=JSONEncoder, indent=2) + "\n"
