"""The composition root: which gateway serves which verb, made from the settings on first use.

tool.py        the parts of one command
clock.py       the time, which no step of the machine's clock moves
scout.py       targets, EC2 and Auto Scaling behind the one question what became of an instance
person.py      who types, and what they answer
restarter.py   what a rollout acts through where nothing new is brought
stage.py       a sandbox of its own for one rehearsal
sandbox.py     the embedded sandbox's own commands
"""

from shipit.clock import SystemClock
from shipit.wiring.tool import Tool

__all__ = ["SystemClock", "Tool"]
