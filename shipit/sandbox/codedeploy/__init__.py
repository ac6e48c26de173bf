"""Our CodeDeploy: in-place deployments to Auto Scaling groups, as reference codedeploy.md describes them.

service.py       CodeDeploy, the handler of the door: the operations below, joined over one store and engine
applications.py  operations on applications and their revisions
groups.py        operations on deployment groups
configs.py       operations on deployment configurations
deployments.py   operations on deployments
targets.py       operations on the instances of a deployment
operations.py    what the operations share: store, engine, one lock
requests.py      AWS dictionary -> record
views.py         record -> AWS dictionary
paging.py        lists in pages, by nextToken
records.py       what the service remembers (mutable, guarded by the store's lock)
store.py         where it remembers it, and the DoesNotExist errors
health.py        the arithmetic of minimum healthy hosts (pure)
engine.py        what becomes of a deployment: slots, verdict, rollback, follow-on, launches
lifecycle.py     what becomes of one instance in it: events, time limits, death
"""

from shipit.sandbox.codedeploy.engine import Limits
from shipit.sandbox.codedeploy.service import CodeDeploy

__all__ = ["CodeDeploy", "Limits"]
