"""What an instance of the sandbox is: the facts that EC2 and user data would give it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: The account that everything in the sandbox belongs to: moto's.
ACCOUNT = "123456789012"


@dataclass(frozen=True, kw_only=True)
class InstanceFacts:
    """Describe one instance: `lifecycle` is `spot` or `on-demand`.

    `reports` and `history` are `s3://bucket/prefix` URLs; without the latter no history is kept.
    """

    id: str
    asg: str
    queue: str
    az: str
    lifecycle: str
    region: str
    reports: str
    history: str = ""

    def env_file(self, more: Mapping[str, str]) -> str:
        """Return the lines of `/etc/shipit/instance.env`, which user data writes on a real instance.

        What `more` says stands in it too, and wins.
        """
        values = {
            "SHIPIT_REPORTS": self.reports,
            **({"SHIPIT_HISTORY": self.history} if self.history else {}),
            "SHIPIT_QUEUE": self.queue,
            "SHIPIT_ASG": self.asg,
            "AWS_REGION": self.region,
            "AWS_ACCOUNT_ID": ACCOUNT,
            **more,
        }
        return "".join(f"{key}={value}\n" for key, value in values.items())
