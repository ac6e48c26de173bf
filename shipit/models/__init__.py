"""The shared vocabulary: frozen types and status enums that every verb and gateway speaks.

Times are aware datetimes in UTC. Nothing here knows AWS's dictionaries; `shipit.aws` translates them.

    build.py          What is shipped: builds, and where they lie in S3.
    deployment.py     What CodeDeploy says: deployments, their targets, and the lifecycle events of these.
    fleet.py          Where it goes: groups and their instances.
    plan.py           What a rollout means to do with each group, and where each stands.
    verification.py   What instances report, and the verdict over them.
"""

from shipit.models.build import Build, PublishedBuild, Revision, StoredObject
from shipit.models.deployment import (
    Deployment,
    DeploymentStatus,
    EventStatus,
    LifecycleEvent,
    Overview,
    Target,
    TargetStatus,
)
from shipit.models.fleet import Fleet, Group, Instance
from shipit.models.plan import Action, Phase, PlannedGroup, RolloutPlan
from shipit.models.verification import Node, NodeState, QueryCost, Report, Verification

__all__ = [
    "Action",
    "Build",
    "Deployment",
    "DeploymentStatus",
    "EventStatus",
    "Fleet",
    "Group",
    "Instance",
    "LifecycleEvent",
    "Node",
    "NodeState",
    "Overview",
    "Phase",
    "PlannedGroup",
    "PublishedBuild",
    "QueryCost",
    "Report",
    "Revision",
    "RolloutPlan",
    "StoredObject",
    "Target",
    "TargetStatus",
    "Verification",
]
