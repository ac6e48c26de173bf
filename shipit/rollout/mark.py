"""How a deployment says which rollout it belongs to.

CreateDeployment has no idempotency token, so the mark stands in the deployment's description: that is how a retry,
or another process, finds a deployment whose creator died before it could note the id (reference codedeploy.md, §1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shipit.models import Deployment

#: CodeDeploy takes no longer description (botocore's service model).
_LONGEST = 256
_FORM = re.compile(r"shipit rollout (\S+) try (\d+) build (\S+) env (\S+)(?: by (.*))?", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Name the rollout, and which of its tries at a group a deployment is (from 1)."""

    rollout: str
    attempt: int
    build: str
    env: str
    by: str = ""

    def __str__(self) -> str:
        # Who did it comes last: it is the part that may be cut.
        text = f"shipit rollout {self.rollout} try {self.attempt} build {self.build} env {self.env}"
        by = self.by[: max(_LONGEST - len(f"{text} by "), 0)]
        return f"{text} by {by}" if by else text

    @staticmethod
    def parse(description: str) -> Mark | None:
        """Read a deployment's description; None where it is not one of ours."""
        found = _FORM.fullmatch(description)
        if found is None:
            return None
        rollout, attempt, build, env, by = found.groups()
        return Mark(rollout=rollout, attempt=int(attempt), build=build, env=env, by=by or "")

    @staticmethod
    def of(rollout: str, deployment: Deployment | None) -> Mark | None:
        """Return the mark of a deployment of this rollout; None for any other, and for none."""
        mark = Mark.parse(deployment.description) if deployment is not None else None
        return mark if mark is not None and mark.rollout == rollout else None

    def same_try(self, description: str) -> bool:
        """Tell whether a deployment of this description is this very try."""
        other = Mark.parse(description)
        return other is not None and (other.rollout, other.attempt) == (self.rollout, self.attempt)
