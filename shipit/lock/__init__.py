"""Let one rollout per environment run at a time: a lock in S3, taken, renewed and freed by conditional writes.

`locks/<env>.json` is never deleted. Whoever writes it names the version that the write replaces, so that of two who
write at once one is refused. Its age is told by S3's clock; a clock of ours that steps changes nothing. Every write
bears a nonce: it makes each etag new (S3's is a digest of the content), and tells a write of ours that succeeded,
though its answer was lost, from one of somebody else's.

    state.py   What stands in the object, and how it is written.
    host.py    Which process has it: one that died here need not be waited for.
    held.py    Having it: renew, notice the loss, free.
    lock.py    Getting it: wait, take over, free by force.
"""

from shipit.lock.held import Held
from shipit.lock.host import Host, ThisHost, boot_seconds
from shipit.lock.lock import Clock, Lock
from shipit.lock.state import Claim, Holding, Process, Store

__all__ = ["Claim", "Clock", "Held", "Holding", "Host", "Lock", "Process", "Store", "ThisHost", "boot_seconds"]
