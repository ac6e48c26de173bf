"""The dashboard "Deployed versions": what the fleet runs, what differs, what was rolled out, who is silent."""

from __future__ import annotations

from grafana_foundation_sdk.builders import cloudwatch, stat, table, timeseries
from grafana_foundation_sdk.models import dashboard as models

from tools.grafana import statements
from tools.grafana.parts import ATHENA, board, curves, grid, metric, number, row, rows, stacked

#: Where `inv verify-versions --publish-metrics` puts its verdict.
FLEET = "shipit/fleet"
#: The instances of an `env` in each `state`, zeros too; those that drifted, whichever way, by `env` alone.
INSTANCES, DRIFT = "instances", "drift"


def build() -> models.Dashboard:
    """Return the dashboard."""
    made = board(
        "Deployed versions", "versions", "What the instances of @environment run.", beside=("Queues", "queues")
    )
    row(made, "The last verification: inv verify-versions --publish-metrics", *_verdict())
    row(made, "What the instances report", *_reports())
    return made.build()


def _verdict() -> tuple[stat.Panel | timeseries.Panel, ...]:
    """Return what the last verification said."""
    here = {"env": "@environment"}
    current = number("Current", "Instances whose process is proved to run the build that is expected of it.")
    drift = number("Drift", "Instances that are known to run, or to hold, something else.", bad_from=1)
    silent = number("Silent", "Instances in service of which no report was read.", bad_from=1)
    states = stacked(curves("Instances by state", "The state of each instance at each verification."))
    return (
        current.with_target(_published(INSTANCES, {**here, "state": "current"})),
        drift.with_target(_published(DRIFT, here)),
        silent.with_target(_published(INSTANCES, {**here, "state": "silent"})),
        states.with_target(_published(INSTANCES, {**here, "state": "*"}, label="${PROP('Dim.state')}")),
    )


def _reports() -> tuple[timeseries.Panel | table.Panel, ...]:
    """Return what the reports say, instance by instance."""
    fleet = curves(
        "Fleet by running build",
        "How many instances last said, within each step of @step minutes, that their process runs the build. The "
        "step that is not over is left out. Every report of the range is read: 6 hours are 72 an instance.",
        span=24,
        source=ATHENA,
    )
    drift = grid(
        "Drift",
        "Instances whose newest report names another build than most instances run, or another on disk than in the "
        "process. Which build is expected, only inv verify-versions knows.",
    )
    quiet = grid(
        "Silent, or gone without a word",
        "Instances that reported in this hour or the one before, but not within two heartbeats and a minute. "
        "Reclaimed ones are among them: only inv verify-versions asks Auto Scaling who is still there.",
    )
    groups = grid("Builds by group", "What each group runs, by the newest report of each instance.")
    rollouts = grid(
        "Last rollouts",
        "Changes of build, as instances reported them when their deployment ended: when the first and the last did. "
        "Launches and restarts are left out. Who, why and how it ended: inv history.",
    )
    return (
        stacked(fleet.display_name("${__field.labels.build}")).with_target(
            rows(statements.FLEET_BY_BUILD, series=True)
        ),
        # Two slots at most: the newest report of an instance needs no more, however long the dashboard's range is.
        drift.time_from("1h").with_target(rows(statements.DRIFT)),
        quiet.time_from("1h").with_target(rows(statements.QUIET, reuse=0)),
        groups.time_from("1h").with_target(rows(statements.GROUPS)),
        rollouts.time_from("14d").with_target(rows(statements.ROLLOUTS)),
    )


def _published(name: str, by: dict[str, str], *, label: str = "") -> cloudwatch.MetricsQuery:
    # The greatest of a period, should two verifications fall into one.
    return metric(name, namespace=FLEET, by=by, statistic="Maximum", label=label or name, period="300")
