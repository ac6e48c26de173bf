"""The dashboard "Queues": how much waits and for how long, what died, who works, how long tasks take."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard, timeseries
from grafana_foundation_sdk.models import dashboard as models

from tools.grafana import statements
from tools.grafana.parts import ASGS, ATHENA, DEAD_LETTERS, QUEUES, bars, curves, metric, row, rows, stacked

SQS, SCALING = "AWS/SQS", "AWS/AutoScaling"
#: What the workers write, a line for each task that ended: scripts/shipit_worker/metrics.py.
TASKS = "shipit"
VISIBLE, AGE = "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"
_QUEUE, _ASG, _BUILD = (f"${{PROP('Dim.{name}')}}" for name in ("QueueName", "AutoScalingGroupName", "build"))
#: SQS Developer Guide, "Available CloudWatch metrics for Amazon SQS".
_AGE = (
    "How long the oldest message has been there; an alert fires above @oldest seconds. SQS leaves out messages that "
    "were received three times and not done."
)
_PERCENTILES = (("p50", "P50"), ("p99", "P99"), ("Maximum", "max"))


def build() -> models.Dashboard:
    """Return the dashboard."""
    marks = (
        dashboard.AnnotationQuery()
        .name("Rollouts")
        .datasource(ATHENA)
        .enable(True)
        .icon_color("purple")
        .target(rows(statements.ROLLOUT_MARKS, reuse=15))
    )
    first = models.VariableOption(selected=True, text="@first", value="@first")
    board = (
        dashboard.Dashboard("Queues (@environment)")
        .uid("@key-queues")
        .description("The queues of @environment and who works on them. Written by inv dashboards.export.")
        .tags(["shipit", "@environment"])
        .timezone("utc")
        .time("now-6h", "now")
        .refresh("5m")
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Deployed versions")
            .type(models.DashboardLinkType.LINK)
            .url("/d/@key-versions")
            .keep_time(True)
        )
        .with_variable(dashboard.CustomVariable("queue").label("Queue").values(QUEUES).current(first))
        .annotation(marks)
    )
    row(board, "All queues", *_all_queues())
    row(board, "All groups", *_all_groups())
    row(board, "Queue $queue", *_one_queue())
    row(board, "Tasks of $queue, by the workers' own metrics", *_tasks())
    return board.build()


def _all_queues() -> tuple[timeseries.Panel, ...]:
    by = {"QueueName": QUEUES}
    dead = {"QueueName": DEAD_LETTERS}
    return (
        curves("Depth", "Messages that wait to be received.").with_target(
            metric(VISIBLE, namespace=SQS, by=by, statistic="Maximum", label=_QUEUE)
        ),
        curves("Age of the oldest message", _AGE, unit="s").with_target(
            metric(AGE, namespace=SQS, by=by, statistic="Maximum", label=_QUEUE)
        ),
        curves("Dead letters", "Messages in the dead-letter queues: each is a task that nobody did.").with_target(
            metric(VISIBLE, namespace=SQS, by=dead, statistic="Maximum", label=_QUEUE)
        ),
        curves("Slowest tasks", "The P99 of the runtime of each queue's tasks.", unit="s").with_target(
            metric(
                "task_runtime",
                namespace=TASKS,
                by={"queue": QUEUES},
                statistic="p99",
                label="${PROP('Dim.queue')}",
            )
        ),
    )


def _all_groups() -> tuple[timeseries.Panel, ...]:
    by = {"AutoScalingGroupName": ASGS}
    needed = "Needs the groups' own metrics: enable-metrics-collection of Auto Scaling."
    service = curves("In service", f"Instances that work, by group. {needed}")
    scaling = curves("Scaling", f"Instances that come (pending) and go (terminating), by group. {needed}")
    return (
        stacked(service).with_target(
            metric("GroupInServiceInstances", namespace=SCALING, by=by, statistic="Average", label=_ASG)
        ),
        bars(scaling)
        .with_target(
            metric("GroupPendingInstances", namespace=SCALING, by=by, statistic="Maximum", label=f"{_ASG} pending")
        )
        .with_target(
            metric(
                "GroupTerminatingInstances",
                namespace=SCALING,
                by=by,
                statistic="Maximum",
                label=f"{_ASG} terminating",
                ref="B",
            )
        ),
    )


def _one_queue() -> tuple[timeseries.Panel, ...]:
    by = {"QueueName": "$queue"}
    depth = curves("Depth of $queue", "Messages that wait, that a worker holds, and that are due later.", span=8)
    age = curves("Age of the oldest message of $queue", _AGE, unit="s", span=8)
    flow = curves("Sent and done", "Messages sent to the queue and deleted from it, in each period.", span=8)
    held = (
        (VISIBLE, "waiting"),
        ("ApproximateNumberOfMessagesNotVisible", "held"),
        ("ApproximateNumberOfMessagesDelayed", "due later"),
    )
    moved = (("NumberOfMessagesSent", "sent"), ("NumberOfMessagesDeleted", "done"))
    for ref, (name, label) in zip("ABC", held, strict=True):
        depth = depth.with_target(metric(name, namespace=SQS, by=by, statistic="Maximum", label=label, ref=ref))
    for ref, (name, label) in zip("AB", moved, strict=True):
        flow = flow.with_target(metric(name, namespace=SQS, by=by, statistic="Sum", label=label, ref=ref))
    age = age.with_target(metric(AGE, namespace=SQS, by=by, statistic="Maximum", label="oldest"))
    return stacked(depth), age, flow


def _tasks() -> tuple[timeseries.Panel, ...]:
    queue, build = {"queue": "$queue"}, {"queue": "$queue", "build": "*"}
    runtime = curves("Runtime", "How long a task of the queue takes, from its start to its end.", unit="s")
    wait = curves("Wait", "How long a task waits between when it could start and when it does.", unit="s")
    for ref, (statistic, label) in zip("ABC", _PERCENTILES, strict=True):
        for panel, name in ((runtime, "task_runtime"), (wait, "task_wait")):
            panel.with_target(metric(name, namespace=TASKS, by=queue, statistic=statistic, label=label, ref=ref))
    by_build = []
    for statistic, label in _PERCENTILES:
        panel = curves(f"Runtime {label} by build", "What a rollout changed.", unit="s", span=6)
        by_build.append(
            panel.with_target(metric("task_runtime", namespace=TASKS, by=build, statistic=statistic, label=_BUILD))
        )
    ended = bars(curves("Tasks by build", "Tasks that ended, whatever became of them.", span=6))
    ended = ended.with_target(metric("tasks", namespace=TASKS, by=build, statistic="Sum", label=_BUILD))
    return runtime, wait, *by_build, ended
