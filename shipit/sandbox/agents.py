"""The seam between CodeDeploy and the instances: one command per lifecycle event, one outcome back.

`ScriptedAgent` plays instances from a script on the clock: a fleet of thousands without a process or a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shipit.models import EventStatus, Revision
from shipit.sandbox.clock import Timer

#: The lifecycle events of a group without a load balancer, in order (reference codedeploy.md, section 3).
LIFECYCLE = (
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
)


@dataclass(frozen=True, kw_only=True)
class Command:
    """Order one lifecycle event on one instance.

    `group` is the deployment group's name and `group_id` its uuid; `bundle_type` is tgz, tar or zip;
    `file_exists_behavior` DISALLOW, OVERWRITE or RETAIN; `deployment_creator` as CodeDeploy names it (user, …).
    """

    instance_id: str
    event: str
    deployment_id: str
    deployment_creator: str
    application: str
    group: str
    group_id: str
    revision: Revision
    bundle_type: str
    file_exists_behavior: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Say how a lifecycle event ended: SUCCEEDED, FAILED, or SKIPPED (nothing to run, which is fine too).

    `error_code` is one of `diagnostics.errorCode` (reference codedeploy.md, section 1); `log_tail` holds at
    most 2,048 characters. CodeDeploy shows these only for events that failed.
    """

    status: EventStatus
    error_code: str = "Success"
    script: str = ""
    message: str = ""
    log_tail: str = ""


class NoAgent(Exception):
    """Say that no agent of this instance fetches commands: the event lapses after five minutes."""


class Agent(Protocol):
    """Run lifecycle events on instances."""

    def run(self, command: Command, done: Callable[[Outcome], None]) -> None:
        """Start the event and return at once; `done` is called at most once, from any thread.

        `done` never comes when the instance dies. Raises NoAgent where nobody is there to run it.
        """


class Members(Protocol):
    """Know which instances an Auto Scaling group has."""

    def in_service(self, asg: str) -> list[str]:
        """Return the ids of the instances in service; an unknown group has none.

        Called with CodeDeploy locked: never wait here for anything that calls CodeDeploy.
        """


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Script what happens to the commands that match; an empty `instance_id`, `group` or `event` matches all.

    The event takes `seconds` of the clock and ends with `outcome`; None as outcome is a hook that hangs for ever.
    With `absent` nobody fetches the command at all (a dead agent).
    """

    instance_id: str = ""
    group: str = ""
    event: str = ""
    seconds: float = 1.0
    outcome: Outcome | None = Outcome(status=EventStatus.SUCCEEDED)
    absent: bool = False

    def matches(self, command: Command) -> bool:
        """Tell whether the rule speaks of this command."""
        return (
            self.instance_id in ("", command.instance_id)
            and self.group in ("", command.group)
            and self.event in ("", command.event)
        )


class ScriptedAgent:
    """Play every instance by rules; of those that match, the one given last decides."""

    def __init__(self, timer: Timer, *rules: Rule) -> None:
        """Play by `rules`; a command that none of them matches succeeds after a second."""
        self._timer = timer
        self._rules: tuple[Rule, ...] = rules

    def script(self, *rules: Rule) -> None:
        """Add rules that come before those already given; they hold from the next command on."""
        self._rules += rules

    def clear(self) -> None:
        """Forget all rules."""
        self._rules = ()

    def run(self, command: Command, done: Callable[[Outcome], None]) -> None:
        """Call `done` when the script says so. Raises NoAgent where it says that nobody is there."""
        rule = next((rule for rule in reversed(self._rules) if rule.matches(command)), _DEFAULT_RULE)
        if rule.absent:
            raise NoAgent(command.instance_id)
        outcome = rule.outcome
        if outcome is not None:
            self._timer.call_later(rule.seconds, lambda: done(outcome))


_DEFAULT_RULE = Rule()


def script_failure(script: str, log_tail: str, message: str = "") -> Outcome:
    """Make the outcome of a hook that exited non-zero: ScriptFailed with its name and the tail of its log."""
    return Outcome(
        status=EventStatus.FAILED,
        error_code="ScriptFailed",
        script=script,
        message=message or f"Script at specified location: {script} failed with exit code 1",
        log_tail=log_tail,
    )
