"""Bring a build to many groups at once: start, watch, retry, tell, end.

    mark.py      how a deployment says which rollout it belongs to
    state.py     where each group stands, what a tick saw, what is to be done
    advance.py   pure: state and what was seen -> the next state, and the events
    conclude.py  pure: how a deployment that ended unwell leaves its group
    decide.py    pure: state -> what to do next
    resume.py    a record, and what CodeDeploy knows -> the state to go on from
    record.py    the state -> the record that outlives the process
    tools.py     what it acts through: the Protocols of gateways, journal, clock
    crew.py      the threads that do what was decided, and bring home answers
    drive.py     the loop: sends commands, polls, feeds back what came of it

Only `crew` and `drive` act. Whatever a thread brings home enters the state through `advance`, so that any history of
answers, late, lost or double, can be played against it.
"""

from shipit.rollout.advance import advance
from shipit.rollout.decide import decide
from shipit.rollout.drive import Rollout
from shipit.rollout.mark import Mark
from shipit.rollout.record import annotate, complete, entries, excluded, gather
from shipit.rollout.resume import restore
from shipit.rollout.state import GroupState, Observed, OnBusy, Policy, RolloutState, begin
from shipit.rollout.tools import Clock, Deployer, Journal, Orders, Scout, Tools

__all__ = [
    "Clock",
    "Deployer",
    "GroupState",
    "Journal",
    "Mark",
    "Observed",
    "OnBusy",
    "Orders",
    "Policy",
    "Rollout",
    "RolloutState",
    "Scout",
    "Tools",
    "advance",
    "annotate",
    "begin",
    "complete",
    "decide",
    "entries",
    "excluded",
    "gather",
    "restore",
]
