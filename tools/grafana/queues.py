"""The dashboard "Queues": how much waits and for how long, what died, who works, how long tasks take."""

from __future__ import annotations

from grafana_foundation_sdk.builders import cloudwatch, dashboard, timeseries
from grafana_foundation_sdk.models import dashboard as models

from tools.grafana import statements
from tools.grafana.parts import ASGS, ATHENA, DEAD_LETTERS, QUEUES, bars, board, curves, metric, row, rows, stacked

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
    made = board(
        "Queues",
        "queues",
        "The queues of @environment and who works on them.",
        beside=("Deployed versions", "versions"),
    )
    made = made.with_variable(dashboard.CustomVariable("queue").label("Queue").values(QUEUES).current(first))
    made = made.annotation(marks)
    row(made, "All queues", *_all_queues())
    row(made, "All groups", *_all_groups())
    row(made, "Queue $queue", *_one_queue())
    row(made, "Tasks of $queue, by the workers' own metrics", *_tasks())
    return made.build()


def _all_queues() -> tuple[timeseries.Panel, ...]:
    depth = curves("Depth", "Messages that wait to be received.")
    age = curves("Age of the oldest message", _AGE, unit="s")
    dead = curves("Dead letters", "Messages in the dead-letter queues: each is a task that nobody did.")
    slowest = curves("Slowest tasks", "The P99 of the runtime of each queue's tasks.", unit="s")
    return (
        depth.with_target(_sqs(VISIBLE, QUEUES, _QUEUE)),
        age.with_target(_sqs(AGE, QUEUES, _QUEUE)),
        dead.with_target(_sqs(VISIBLE, DEAD_LETTERS, _QUEUE)),
        slowest.with_target(_tasks_of("task_runtime", {"queue": QUEUES}, "p99", "${PROP('Dim.queue')}")),
    )


def _all_groups() -> tuple[timeseries.Panel, ...]:
    needed = "Needs the groups' own metrics: enable-metrics-collection of Auto Scaling."
    service = stacked(curves("In service", f"Instances that work, by group. {needed}"))
    scaling = bars(curves("Scaling", f"Instances that come (pending) and go (terminating), by group. {needed}"))
    for ref, state in zip("AB", ("Pending", "Terminating"), strict=True):
        scaling.with_target(_group(f"Group{state}Instances", "Maximum", f"{_ASG} {state.lower()}", ref))
    return service.with_target(_group("GroupInServiceInstances", "Average", _ASG)), scaling


def _one_queue() -> tuple[timeseries.Panel, ...]:
    depth = stacked(
        curves("Depth of $queue", "Messages that wait, that a worker holds, and that are due later.", span=8)
    )
    age = curves("Age of the oldest message of $queue", _AGE, unit="s", span=8)
    flow = curves("Sent and done", "Messages sent to the queue and deleted from it, in each period.", span=8)
    held = (
        (VISIBLE, "waiting"),
        ("ApproximateNumberOfMessagesNotVisible", "held"),
        ("ApproximateNumberOfMessagesDelayed", "due later"),
    )
    moved = (("NumberOfMessagesSent", "sent"), ("NumberOfMessagesDeleted", "done"))
    for ref, (name, label) in zip("ABC", held, strict=True):
        depth.with_target(_sqs(name, "$queue", label, ref=ref))
    for ref, (name, label) in zip("AB", moved, strict=True):
        flow.with_target(_sqs(name, "$queue", label, statistic="Sum", ref=ref))
    return depth, age.with_target(_sqs(AGE, "$queue", "oldest")), flow


def _tasks() -> tuple[timeseries.Panel, ...]:
    queue, build = {"queue": "$queue"}, {"queue": "$queue", "build": "*"}
    runtime = curves("Runtime", "How long a task of the queue takes, from its start to its end.", unit="s")
    wait = curves("Wait", "How long a task waits between when it could start and when it does.", unit="s")
    by_build = []
    for ref, (statistic, label) in zip("ABC", _PERCENTILES, strict=True):
        runtime.with_target(_tasks_of("task_runtime", queue, statistic, label, ref))
        wait.with_target(_tasks_of("task_wait", queue, statistic, label, ref))
        panel = curves(f"Runtime {label} by build", "What a rollout changed.", unit="s", span=6)
        by_build.append(panel.with_target(_tasks_of("task_runtime", build, statistic, _BUILD)))
    ended = bars(curves("Tasks by build", "Tasks that ended, whatever became of them.", span=6))
    return runtime, wait, *by_build, ended.with_target(_tasks_of("tasks", build, "Sum", _BUILD))


def _sqs(
    name: str, queues: str, label: str, *, statistic: str = "Maximum", ref: str = "A"
) -> cloudwatch.MetricsQuery:
    return metric(name, namespace=SQS, by={"QueueName": queues}, statistic=statistic, label=label, ref=ref)


def _group(name: str, statistic: str, label: str, ref: str = "A") -> cloudwatch.MetricsQuery:
    by = {"AutoScalingGroupName": ASGS}
    return metric(name, namespace=SCALING, by=by, statistic=statistic, label=label, ref=ref)


def _tasks_of(name: str, by: dict[str, str], statistic: str, label: str, ref: str = "A") -> cloudwatch.MetricsQuery:
    return metric(name, namespace=TASKS, by=by, statistic=statistic, label=label, ref=ref)
