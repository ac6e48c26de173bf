"""The alert rules: the fleet's own, and those of one queue, which the export repeats for each.

A rule asks for one metric by its exact dimensions. A rule over many queues would need Grafana to tell from a search's
labels which series is whose, which several of its versions get wrong (grafana/grafana issues 72172, 86426, 114726).
No text holds a `$`: provisioning would take it for a variable of its environment.
"""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import alerting, expr
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import alerting as models
from grafana_foundation_sdk.models import expr as expr_models
from grafana_foundation_sdk.models.common import DataSourceRef

from tools.grafana.parts import CLOUDWATCH_UID, metric
from tools.grafana.queues import AGE, SQS, VISIBLE
from tools.grafana.versions import DRIFT, FLEET, INSTANCES

_EXPRESSIONS = DataSourceRef(type_val="__expr__", uid="__expr__")
#: Seconds to look back: at least three times in the first somebody runs `inv verify-versions --publish-metrics`; for
#: the second the last age of a queue counts, since an empty one has none.
_VERIFIED, _QUEUES = 1800, 300


def build() -> dict[str, Any]:
    """Return the file of rules. A limit is text where the export puts a number; so is what stands for a queue."""
    here = {"env": "@environment"}
    one = {"QueueName": "@queue"}
    drift = _rule(
        "drift",
        "@environment: instances do not run the build that is expected of them",
        "{{ .Values.B }} instances drifted for a quarter of an hour. Which ones, and what to type: "
        "inv verify-versions --env @environment",
        _conditions(DRIFT, FLEET, here, limit=0, within=_VERIFIED, period="300"),
        lasting="15m",
        no_data="NoData",
        panel=("versions", 3),
    )
    silent = _rule(
        "silent",
        "@environment: instances are silent",
        "{{ .Values.B }} instances are in service and report nothing. Which ones, and what to look at: "
        "inv verify-versions --env @environment",
        _conditions(INSTANCES, FLEET, {**here, "state": "silent"}, limit=0, within=_VERIFIED, period="300"),
        lasting="0s",
        no_data="NoData",
        panel=("versions", 4),
    )
    oldest = _rule(
        "oldest",
        "@environment: the oldest message of @queue waits too long",
        "The oldest message of @queue is {{ .Values.B }} s old, more than @oldest s. Who works on it: @asg",
        _conditions(AGE, SQS, one, limit="@oldest", within=_QUEUES, period="60"),
        lasting="0s",
        no_data="OK",
        panel=("queues", 3),
    )
    depth = _rule(
        "depth",
        "@environment: too many messages wait in @queue",
        "{{ .Values.B }} messages wait in @queue, more than @depth. Who works on it: @asg",
        _conditions(VISIBLE, SQS, one, limit="@depth", within=_QUEUES, period="60"),
        lasting="5m",
        no_data="OK",
        panel=("queues", 2),
    )
    for rule in (oldest, depth):
        rule["labels"].update(queue="@queue", asg="@asg")
    return {"apiVersion": 1, "groups": [_group("fleet", drift, silent), _group("queue @queue", oldest, depth)]}


def _group(name: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {"orgId": 1, "name": name, "folder": "shipit @environment", "interval": "1m", "rules": list(rules)}


def _rule(
    name: str,
    title: str,
    summary: str,
    data: list[models.Query],
    *,
    lasting: str,
    no_data: str,
    panel: tuple[str, int],
) -> dict[str, Any]:
    """Return a rule; silence of a metric is `no_data`. A queue without traffic has no metrics, and that is well."""
    board, number = panel
    return {
        "uid": f"@rule-{name}",
        "title": title,
        "condition": "C",
        "data": data,
        "for": lasting,
        "noDataState": no_data,
        "execErrState": "Error",
        "dashboardUid": f"@key-{board}",
        "panelId": number,
        "annotations": {"summary": summary},
        "labels": {"service": "shipit", "environment": "@environment"},
        "isPaused": False,
    }


def _conditions(
    name: str, namespace: str, by: dict[str, str], *, limit: int | str, within: int, period: str
) -> list[models.Query]:
    """Return the three steps of a rule: the metric (A), its last value (B), whether that is above the limit (C)."""
    # No label: what stands in one needs a `$`, and the dimensions become labels anyway.
    asked = metric(name, namespace=namespace, by=by, statistic="Maximum", label="", period=period)
    settings = expr.ExprTypeReduceSettings().mode("dropNN")
    last = expr.TypeReduce().ref_id("B").datasource(_EXPRESSIONS).expression("A").reducer("last").settings(settings)
    above = expr.ExprTypeThresholdConditionsEvaluator().type("gt").params([limit])  # type: ignore[list-item]
    condition: Builder[expr_models.ExprTypeThresholdConditions] = expr.ExprTypeThresholdConditions().evaluator(above)
    over = expr.TypeThreshold().ref_id("C").datasource(_EXPRESSIONS).expression("B").conditions([condition])
    asked_for = models.RelativeTimeRange(from_val=within, to=0)
    at_once = models.RelativeTimeRange(from_val=0, to=0)
    return [
        alerting.Query("A").datasource_uid(CLOUDWATCH_UID).model(asked).relative_time_range(asked_for).build(),
        alerting.Query("B").datasource_uid("__expr__").model(last).relative_time_range(at_once).build(),
        alerting.Query("C").datasource_uid("__expr__").model(over).relative_time_range(at_once).build(),
    ]
