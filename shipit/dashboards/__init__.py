"""Show a fleet in Grafana: two dashboards, their data sources and alert rules, as files that Grafana provisions.

The JSON and the rules beside this module are made by tools/grafana, with Grafana's SDK. Where an environment has
something of its own they hold names that begin with `@`: `render` fills them in, `write` puts files into a folder.
"""

from __future__ import annotations

from shipit.dashboards.render import Facts, Work, render
from shipit.dashboards.write import Written, write

__all__ = ["Facts", "Work", "Written", "render", "write"]
