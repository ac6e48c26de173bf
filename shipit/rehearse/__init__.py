"""Let tasks flow through workers while builds change under them, and account for every one.

message.py   a task as Celery sends it
traffic.py   tasks at a steady rate, and what was sent
journal.py   what the workers print about the tasks that they ran
tally.py     what became of each task, and whether that is good: pure
"""

from shipit.rehearse.journal import Ran, read_line
from shipit.rehearse.message import TaskMessage, encode
from shipit.rehearse.tally import Kill, Limits, Row, Tally, tally
from shipit.rehearse.traffic import Sender, Sent, Traffic

__all__ = [
    "Kill",
    "Limits",
    "Ran",
    "Row",
    "Sender",
    "Sent",
    "Tally",
    "TaskMessage",
    "Traffic",
    "encode",
    "read_line",
    "tally",
]
