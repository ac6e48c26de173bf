"""The CloudWatch gateway: numbers for alarms and dashboards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from shipit.aws.refusals import explained
from shipit.models import Metric

#: PutMetricData takes no more at once (CloudWatch API reference, PutMetricData; not tried on AWS).
_AT_ONCE = 1000


class CloudWatch:
    """Publish metrics. All methods raise AwsError."""

    def __init__(self, client: Any) -> None:
        """Use `client`, a boto3 client of cloudwatch."""
        self._client = client

    def put(self, namespace: str, metrics: Sequence[Metric], *, at: datetime) -> None:
        """Publish counts as of `at`, which CloudWatch takes up to two weeks late and two hours early."""
        data = [
            {
                "MetricName": metric.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions.items()],
                "Timestamp": at,
                "Value": float(metric.value),
                "Unit": "Count",
            }
            for metric in metrics
        ]
        with explained():
            for start in range(0, len(data), _AT_ONCE):
                self._client.put_metric_data(Namespace=namespace, MetricData=data[start : start + _AT_ONCE])
