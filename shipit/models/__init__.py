"""The shared vocabulary: frozen types and status enums that every verb and gateway speaks.

Times are aware datetimes in UTC. Nothing here knows AWS's dictionaries; `shipit.aws` translates them.

    build.py          What is shipped: builds, and where they lie in S3.
    deployment.py     What CodeDeploy says: deployments, their targets, and the lifecycle events of these.
    fleet.py          Where it goes: groups and their instances.
    lint.py           What is wrong with a project's files and queues.
    plan.py           What a rollout means to do with each group, and where each stands.
    record.py         What a rollout leaves behind: who brought what where, when, and how it ended.
    store.py          Where reports are kept: tables, a workgroup, what expires.
    verification.py   What instances report, and the verdict over them.
    versions.py       Which build ran where, over time.
"""

from shipit.models.build import Build, Commit, PublishedBuild, Revision, StoredJson, StoredObject
from shipit.models.deployment import (
    Cause,
    Cluster,
    Deployment,
    DeploymentStatus,
    EventStatus,
    Examination,
    Judged,
    LifecycleEvent,
    Overview,
    Target,
    TargetStatus,
)
from shipit.models.fleet import Fleet, Group, Instance, InstanceFacts
from shipit.models.lint import Finding, QueueFacts, Severity
from shipit.models.plan import Action, Allowance, HealthRule, Phase, PlannedGroup, RolloutPlan
from shipit.models.record import FailureNote, GroupEntry, Outcome, Proof, RolloutRecord, Try, WaveEntry
from shipit.models.store import ExpiryRule, TableShape, Workgroup
from shipit.models.verification import (
    CLOCK_SKEW,
    GroupView,
    Metric,
    Node,
    NodeState,
    QueryCost,
    Report,
    Spending,
    Verification,
    Wanted,
    stale_after,
)
from shipit.models.versions import BuildRun, Period

__all__ = [
    "CLOCK_SKEW",
    "Action",
    "Allowance",
    "Build",
    "BuildRun",
    "Cause",
    "Cluster",
    "Commit",
    "Deployment",
    "DeploymentStatus",
    "EventStatus",
    "Examination",
    "ExpiryRule",
    "FailureNote",
    "Finding",
    "Fleet",
    "Group",
    "GroupEntry",
    "GroupView",
    "HealthRule",
    "Instance",
    "InstanceFacts",
    "Judged",
    "LifecycleEvent",
    "Metric",
    "Node",
    "NodeState",
    "Outcome",
    "Overview",
    "Period",
    "Phase",
    "PlannedGroup",
    "Proof",
    "PublishedBuild",
    "QueryCost",
    "QueueFacts",
    "Report",
    "Revision",
    "RolloutPlan",
    "RolloutRecord",
    "Severity",
    "Spending",
    "StoredJson",
    "StoredObject",
    "TableShape",
    "Target",
    "TargetStatus",
    "Try",
    "Verification",
    "Wanted",
    "WaveEntry",
    "Workgroup",
    "stale_after",
]
