"""Say why groups failed and what to type next. Pure: what CodeDeploy, EC2 and Auto Scaling said is given.

evidence.py    What one lifecycle event shows: who ended it, and how.
targets.py     `judge`: what became of each instance that did not get the build.
groups.py      `explain`: why a group failed, and what next; `note`: the same, for the record.
likeness.py    Which failures are equal but for where they happened.
clusters.py    `cluster`: these failures as one.
"""

from shipit.diagnose.clusters import cluster
from shipit.diagnose.groups import explain, note
from shipit.diagnose.targets import judge

__all__ = ["cluster", "explain", "judge", "note"]
