"""Ask CodeDeploy, EC2 and Auto Scaling together what became of a deployment's instances."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shipit.diagnose import judge
from shipit.models import Examination, TargetStatus

if TYPE_CHECKING:
    from shipit.aws.autoscaling import AutoScaling
    from shipit.aws.codedeploy import CodeDeploy
    from shipit.aws.ec2 import Ec2


@dataclass(frozen=True, kw_only=True)
class Scout:
    """Look at targets and members; satisfies `shipit.rollout.Scout`. `asgs` maps groups to their ASGs."""

    codedeploy: CodeDeploy
    autoscaling: AutoScaling
    ec2: Ec2
    asgs: Mapping[str, str]

    def examine(self, group: str, deployment_id: str) -> Examination:
        """Judge each target of the deployment that did not succeed; EC2 is asked about those alone."""
        targets = self.codedeploy.targets(deployment_id)
        members = self.autoscaling.members([self.asgs[group]]).get(self.asgs[group], ())
        bad = [t.instance_id for t in targets if t.status is not TargetStatus.SUCCEEDED]
        facts = self.ec2.instances(bad) if bad else {}
        return judge(targets, {m.id: m for m in members}, facts)

    def members(self, groups: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the instances in service of each group."""
        found = self.autoscaling.members([self.asgs[g] for g in groups])
        return {g: frozenset(m.id for m in found.get(self.asgs[g], ()) if m.in_service) for g in groups}
