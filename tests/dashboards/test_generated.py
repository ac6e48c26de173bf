"""What shipit/dashboards holds is what tools/grafana makes, and fits Grafana's own schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from jsonschema import Draft7Validator
from shipit_worker.metrics import UNITS

from shipit.dashboards import render
from shipit.models import NodeState, QueryCost, Verification
from shipit.verify import NAMESPACE, metrics
from tools.grafana import files
from tools.grafana.expanded import EXAMPLE, boards

SCHEMAS = Path(__file__).parent / "schema"
EXPORTED = render(EXAMPLE)
BOARDS = boards(EXPORTED)
RULES = [rule for group in yaml.safe_load(EXPORTED["alerting/shipit-prod.yaml"])["groups"] for rule in group["rules"]]


@cache
def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))


def wrong(name: str, value: Any, definition: str = "") -> list[str]:
    """Return what a schema, or one definition of it, has against a value."""
    whole = schema(name)
    chosen = {**whole, "$ref": f"#/definitions/{definition}"} if definition else whole
    return [f"{list(error.absolute_path)}: {error.message}" for error in Draft7Validator(chosen).iter_errors(value)]


def panels(name: str) -> list[Any]:
    return [panel for panel in BOARDS[name]["panels"] if panel["type"] != "row"]


def targets(name: str) -> Iterator[Any]:
    for panel in panels(name):
        yield from panel["targets"]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from (str(key), *texts(below))
    elif isinstance(value, list):
        for below in value:
            yield from texts(below)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("name", sorted(files()))
def test_the_committed_files_are_those_that_the_generator_makes(name: str) -> None:
    committed = (resources("shipit.dashboards") / name).read_text(encoding="utf-8")
    assert committed == files()[name], "python -m tools.grafana writes them anew"


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_a_dashboard_fits_its_schema_and_comes_back_whole_from_the_sdk(name: str) -> None:
    board = BOARDS[name]
    assert wrong("dashboard", board) == []
    again = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
    assert set(texts(board)) <= set(texts(again))


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_each_query_and_each_panel_fits_its_plugins_schema(name: str) -> None:
    for target in targets(name):
        athena = target["datasource"]["type"] == "grafana-athena-datasource"
        assert wrong(*(("athena", target) if athena else ("cloudwatch", target, "MetricsQuery"))) == []
    for panel in panels(name):
        if panel["type"] in ("table", "timeseries"):
            assert wrong(panel["type"], panel["options"], "Options") == []
            assert wrong(panel["type"], panel["fieldConfig"]["defaults"].get("custom", {}), "FieldConfig") == []
    for annotation in BOARDS[name]["annotations"].get("list", ()):
        assert wrong("athena", annotation["target"]) == []


def test_a_misspelt_field_would_be_found() -> None:
    query = {**next(t for t in targets("queues") if "metricName" in t), "metricname": "x"}
    assert wrong("cloudwatch", query, "MetricsQuery") != []
    board = {**BOARDS["queues"], "refesh": "5m"}
    assert wrong("dashboard", board) != []


def test_each_rule_fits_the_schema_of_rules_and_of_expressions() -> None:
    for rule in RULES:
        # A file names the panel and leaves out what Grafana adds when it reads the file.
        stored = {k: v for k, v in rule.items() if k not in ("dashboardUid", "panelId")}
        assert wrong("alerting", {**stored, "orgID": 1, "folderUID": "f", "ruleGroup": "g"}, "Rule") == []
        asked, reduced, over = (step["model"] for step in rule["data"])
        assert wrong("cloudwatch", asked, "MetricsQuery") == []
        assert wrong("expr", reduced, "TypeReduce") == []
        assert wrong("expr", over, "TypeThreshold") == []
        assert [step["refId"] for step in rule["data"]] == ["A", "B", rule["condition"]]
        assert (reduced["expression"], over["expression"]) == ("A", "B")


def test_each_rule_asks_for_one_series_and_leads_to_the_panel_that_shows_it() -> None:
    shown = {f"shipit-prod-{name}": {panel["id"]: panel for panel in panels(name)} for name in BOARDS}
    for rule in RULES:
        asked = rule["data"][0]["model"]
        assert "*" not in texts(asked["dimensions"])
        [target] = shown[rule["dashboardUid"]][rule["panelId"]]["targets"]
        assert (target["namespace"], target["metricName"]) == (asked["namespace"], asked["metricName"])
        for name, value in asked["dimensions"].items():
            assert value in target["dimensions"][name]


def test_provisioning_finds_no_dollar_to_take_for_a_variable_of_its_environment() -> None:
    for name, text in EXPORTED.items():
        assert name.endswith(".json") or "$" not in text


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_panels_have_ids_of_their_own_and_do_not_lie_on_each_other(name: str) -> None:
    every = BOARDS[name]["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    taken: set[tuple[int, int]] = set()
    for panel in every:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_queries_of_a_panel_have_names_of_their_own_and_sources_that_are_provisioned(name: str) -> None:
    provisioned = {d["uid"] for d in yaml.safe_load(EXPORTED["datasources/shipit-prod.yaml"])["datasources"]}
    for panel in panels(name):
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs) > 0
        assert {target["datasource"]["uid"] for target in panel["targets"]} <= provisioned


def test_no_variable_of_a_dashboard_stands_in_the_way_of_a_pseudo_column() -> None:
    # Grafana replaces $path in a query where a dashboard has a variable of that name.
    for board in BOARDS.values():
        assert {v["name"] for v in board["templating"].get("list", ())} <= {"queue"}


def test_nothing_is_left_to_fill_in() -> None:
    for text in EXPORTED.values():
        assert re.findall(r"@[a-z]+", text) == []


def test_the_workers_metrics_are_named_as_they_write_them() -> None:
    tasks = {t["metricName"]: t["dimensions"] for t in targets("queues") if t.get("namespace") == "shipit"}
    assert set(tasks) <= set(UNITS)
    assert all(set(dimensions) in ({"queue"}, {"queue", "build"}) for dimensions in tasks.values())


def test_the_fleets_metrics_are_named_as_a_verification_publishes_them() -> None:
    fleet = [t for t in targets("versions") if t.get("namespace") == "shipit/fleet"]
    asked = {(t["metricName"], *sorted(t["dimensions"])) for t in fleet}
    assert asked == {("instances", "env", "state"), ("drift", "env")}
    states = {t["dimensions"]["state"] for t in fleet if "state" in t["dimensions"]}
    assert states == {"*", NodeState.CURRENT.value, NodeState.SILENT.value}
    look = Verification(env="prod", build="v2", nodes=(), cost=QueryCost(scanned=1), at=datetime.now(UTC))
    published = {(metric.name, *sorted(metric.dimensions)) for metric in metrics(look)}
    assert NAMESPACE == "shipit/fleet"
    assert asked <= published


def test_each_queue_has_both_percentiles_and_the_maximum_also_for_each_build() -> None:
    asked = {
        (target["statistic"], "build" in target["dimensions"])
        for target in targets("queues")
        if target.get("metricName") == "task_runtime"
    }
    assert asked == {(statistic, build) for statistic in ("p50", "p99", "Maximum") for build in (True, False)}
