"""Lead one rollout from its record's first word to its last: waves, proof by the reports, policy, outcome."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from shipit.diagnose import cluster, explain, note
from shipit.errors import (
    AwsError,
    AwsUnavailable,
    GroupsRefused,
    Interrupted,
    LockLost,
    ShipitError,
    StillRunning,
)
from shipit.events import (
    Event,
    GroupDiagnosed,
    GroupEnded,
    Notice,
    RolloutFinished,
    Verified,
    WavePaused,
    WaveStarted,
)
from shipit.flows.ends import ended_before, is_vain, outcome_of, proof_of, sum_of
from shipit.flows.prepare import refuse_busy
from shipit.interrupts import last_words
from shipit.ledger import Scribe
from shipit.lock import Held
from shipit.models import (
    Action,
    NodeState,
    Phase,
    RolloutPlan,
    RolloutRecord,
    Verification,
    Wanted,
    WaveEntry,
)
from shipit.notify import Message, Moment
from shipit.rollout import Deployer, Orders, Rollout, RolloutState, Tools, annotate
from shipit.verify import outcome as verdict
from shipit.wiring import Tool
from shipit.wording import plural

#: Seconds between two looks for a word by hand, while a wave waits for one.
_LOOK = 1.0
#: Seconds until the instances are asked again after AWS did not answer.
_LOOK_AGAIN = 5.0
#: Seconds that S3 is given to take the record of a rollout that came to its end.
_LAST_WORD = 120.0
#: And after an interrupt, as are those who hear of it: GitHub kills a job that was cancelled ten seconds later.
_HURRY = 4.0


@dataclass(frozen=True, kw_only=True)
class Manner:
    """Say how a rollout is led: seconds to watch, whether to `verify`, what becomes of broken stop hooks."""

    limit: float
    verify: bool = True
    ignore_stop_failures: bool = False


class Conductor:
    """Lead one rollout under a held lock."""

    def __init__(
        self,
        tool: Tool,
        made: RolloutPlan,
        state: RolloutState,
        record: RolloutRecord,
        held: Held,
        manner: Manner,
        deployer: Deployer | None = None,
    ) -> None:
        """Lead the plan `made` from `state` on; `record` is what stands in the ledger, or will."""
        self._tool = tool
        self._made = made
        self._manner = manner
        self._held = held
        self._failures: dict[str, GroupDiagnosed] = {}
        self._behind: frozenset[str] = frozenset()
        self.scribe = Scribe(
            tool.ledger,
            record,
            warn=lambda text: tool.display(Notice(text=text, warning=True)),
            every=min(5.0, 2.5 * tool.settings.rollout.poll),
        )
        self._rollout = Rollout(
            made,
            state,
            Tools(
                deployer=deployer or tool.codedeploy,
                scout=tool.scout_for(made),
                journal=self,
                clock=tool.clock,
                listen=self._hear,
                guard=held.check,
                calls=lambda: tool.session.calls,
            ),
            by=record.by,
            poll=tool.settings.rollout.poll,
            timeout=manner.limit,
            ignore_stop_failures=manner.ignore_stop_failures,
        )

    # -- the journal of the rollout: shipit.rollout.Journal ---------------------------------------------------

    def note(self, state: RolloutState) -> None:
        """Keep the state in the record, while it is ours to keep: whoever took the lock may carry the rollout on."""
        if self._held.lost:
            return
        self.scribe.keep(annotate(self.scribe.record, state, {n: note(f) for n, f in self._failures.items()}))

    def orders(self, *, now: bool = False) -> Orders:
        """Return what others ordered, as the scribe read it last or reads it now."""
        if now:
            self.scribe.look()
        given = self.scribe.orders
        return Orders(stop=str(given.get("stop", "")), promoted=int(given.get("promoted", 0)))

    # -- the whole of it --------------------------------------------------------------------------------------

    def run(self) -> None:
        """Lead it to its end, and return where that is good; else raise what it ends with.

        Whatever happens, the record says how it ended; where another took the lock it is that one's to say.
        """
        ended: ShipitError | None = None
        try:
            self.scribe.start()
            self._rollout.open()
            self._notify(Moment.START, "", None)
            for end in ended_before(self.scribe.record, self._rollout.state, self._tool.clock.now()):
                self._tool.display(end)
            self._lead()
        except ShipitError as error:
            if isinstance(error, AwsError) and not isinstance(error, GroupsRefused):
                error.hint = "; ".join(filter(None, (error.hint, "inv deploy --resume carries on")))
            ended = error
        except KeyboardInterrupt:
            ended = Interrupted(
                f"interrupted: rollout {self._made.id} is not over",
                hint="inv deploy --resume carries on; inv stop ends it",
            )
        self._close(ended)
        if ended is not None:
            raise ended

    def _close(self, ended: ShipitError | None) -> None:
        record = annotate(self.scribe.record, self._rollout.state, {n: note(f) for n, f in self._failures.items()})
        now = self._tool.clock.now()
        outcome = outcome_of(ended, proved=self._manner.verify, stopped=self._rollout.state.closed)
        if isinstance(ended, LockLost) and self._held.lost:
            self.scribe.leave()
        else:
            self.scribe.keep(replace(record, outcome=outcome, ended_at=now, calls=dict(self._tool.session.calls)))
        if reason := self._unrecorded(hurried=isinstance(ended, Interrupted)):
            self._tool.display(Notice(text=f"the rollout's end was not recorded: {reason}", warning=True))
        if isinstance(ended, Interrupted):
            # A webhook that is slow must not keep the lock from being freed before the job is killed.
            last_words(lambda: self._notify(Moment.FAILURE, outcome, ended), seconds=_HURRY)
            return
        with suppress(KeyboardInterrupt):
            self._notify(Moment.FAILURE if ended else Moment.SUCCESS, outcome, ended)

    def _unrecorded(self, *, hurried: bool) -> str:
        """Write the record's last word; say why that was not possible, or nothing.

        A CI job that was cancelled has a few seconds; what it leaves can be carried on without this word.
        """
        try:
            if not hurried:
                with suppress(KeyboardInterrupt):
                    self.scribe.close(patience=_LAST_WORD)
                    return ""
            return "" if last_words(self.scribe.close, seconds=_HURRY) else "S3 did not answer in time"
        except AwsError as error:
            return error.message

    def _lead(self) -> None:
        rollout = self._rollout
        of = len(self._made.waves)
        finished = False
        proof: Verification | None = None
        try:
            for number in range(rollout.state.wave, of):
                if rollout.run_wave(number, of):
                    raise self._still_running()
                self._judge()
                last = number + 1 == of
                # A group that failed where some may is no reason to hold up the next wave; at the end all are asked.
                begun = {n: g for n, g in rollout.state.groups.items() if g.wave <= number}
                proof = self._prove(frozenset(n for n, g in begun.items() if last or not g.phase.bad), last)
                self._mark_wave(number, proved=proof is not None)
                if not last:
                    self._pause(number, of)
            rollout.finish()
            finished = True
            if of == 0:
                proof = self._prove(frozenset(), last=True)
            if proof is not None:
                self._tool.display(Verified(verification=proof))
                self.scribe.keep(replace(self.scribe.record, proof=proof_of(proof)))
            self._judge(whole=True)
            if proof is not None:
                verdict(proof)
            # Left alone by the plan: whoever asked for them must not read that all is well.
            refuse_busy(self._made, left=True)
        except Interrupted:
            raise
        except BaseException:
            if not finished:
                rollout.finish()
            raise

    def _judge(self, *, whole: bool = False) -> None:
        """Raise what the groups' ends amount to: at once where no more may start, else when all is over."""
        if ended := sum_of(self._rollout.state, self._made.published.build.version, whole=whole):
            raise ended

    def _still_running(self) -> StillRunning:
        state = self._rollout.state
        moving = sum(state.moves(g) for g in state.groups.values())
        return StillRunning(
            f"{moving} of {plural(len(state.groups), 'group')} still deploying after {self._manner.limit:.0f} s",
            hint=f"inv watch {self._made.id} goes on watching, inv deploy --resume carries on; nothing was stopped",
        )

    # -- proof ------------------------------------------------------------------------------------------------

    def _prove(self, groups: frozenset[str], last: bool) -> Verification | None:
        """Ask the instances of the groups, and at the end of all that should run the build; None where not asked.

        Raises where a wave that is not the last does not converge.
        """
        if not self._manner.verify:
            return None
        asked: dict[str, Wanted] = {}
        for planned in self._made.groups:
            current = last and planned.action is Action.CURRENT
            if current or planned.group.name in groups:
                build = (planned.published or self._made.published).build.version
                asked[planned.group.name] = Wanted(build=build, rollout="" if current else self._made.id)
        if not asked:
            return None
        found = self._ask(asked, last)
        if not last:
            verdict(found)
        return found

    def _ask(self, asked: Mapping[str, Wanted], last: bool) -> Verification:
        """Look until the groups are on their builds; instances that came in the middle on another get it, too."""
        grace = self._tool.settings.reports.grace
        deadline = self._tool.clock.now().timestamp() + grace
        while True:
            self._rollout.settle()
            self._behind = frozenset()
            left = max(0.0, deadline - self._tool.clock.now().timestamp())
            try:
                found = self._tool.look(
                    asked,
                    wait=left,
                    stop_when=self._is_enough,
                    listen=lambda event: self._show_look(event, last),
                )
            except AwsUnavailable as error:
                # Also what the look needs beside the reports, such as the published builds, may be away for a while.
                if not left:
                    raise
                self._tool.display(Notice(text=f"{error.message}; looking again", warning=True))
                self._held.check()
                self._tool.clock.sleep(min(left, _LOOK_AGAIN))
                continue
            self._heed()
            if found.converged or not self._behind or not self._repair():
                return found

    def _show_look(self, event: Event, last: bool) -> None:
        """Show a look as one of several; the final one of the last wave comes when the rollout is over."""
        if not isinstance(event, Verified):
            self._tool.display(event)
        elif not (last and event.final):
            self._tool.display(replace(event, final=False))

    def _is_enough(self, found: Verification) -> bool:
        return bool(self.orders().stop) or self._left_behind(found) or is_vain(found, self._rollout.state)

    def _left_behind(self, found: Verification) -> bool:
        """Tell whether the same groups as at the last look have instances that say they run another build.

        Only what was reported since the group's deployment ended counts.
        """
        state = self._rollout.state
        names = set()
        for node in found.nodes:
            group = state.groups.get(node.group)
            if group is None or group.phase is not Phase.SUCCEEDED or group.ended_at is None or node.age is None:
                continue
            since = (found.at - group.ended_at).total_seconds()
            told = node.running and node.running != node.expected and node.age < since
            if told and node.state in (NodeState.OUTDATED, NodeState.STARTING):
                names.add(node.group)
        again = self._behind & names
        self._behind = frozenset(names)
        return bool(again)

    def _repair(self) -> bool:
        if not self._rollout.again(self._behind, "instances that came in the middle run another build"):
            return False
        if self._rollout.watch():
            raise self._still_running()
        return True

    # -- waves ------------------------------------------------------------------------------------------------

    def _mark_wave(self, number: int, *, proved: bool) -> None:
        now = self._tool.clock.now()
        waves = list(self.scribe.record.waves)
        while len(waves) <= number:
            waves.append(WaveEntry(started_at=now))
        waves[number] = replace(waves[number], ended_at=now, verified_at=now if proved else None)
        self.scribe.keep(replace(self.scribe.record, waves=tuple(waves)))

    def _pause(self, number: int, of: int) -> None:
        """Let the wave bake, or wait for a word by hand; heeds an order to stop."""
        rollout = self._tool.settings.rollout
        by_hand = rollout.promote == "manual"
        if not by_hand and not rollout.bake:
            return
        clock = self._tool.clock
        began = clock.now()
        self._tool.display(WavePaused(wave=number + 1, of=of, seconds=None if by_hand else rollout.bake, at=began))
        while True:
            self._held.check()
            self._heed()
            if self.orders().promoted > number:
                return
            if not by_hand and (clock.now() - began).total_seconds() >= rollout.bake:
                return
            clock.sleep(_LOOK)

    def _heed(self) -> None:
        """Raise where somebody ordered to stop."""
        if stop := self.orders().stop:
            self._rollout.close(f"stopped by {stop}")
            self._judge()

    # -- telling ----------------------------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        """Show an event; explain a group that ended badly, and note why."""
        if isinstance(event, RolloutFinished):
            event = replace(event, clusters=cluster(self._failures.values()))
        if isinstance(event, WaveStarted):
            waves = [*self.scribe.record.waves[: event.wave - 1], WaveEntry(started_at=event.at)]
            self.scribe.keep(replace(self.scribe.record, waves=tuple(waves)))
        self._tool.display(event)
        if isinstance(event, GroupEnded) and event.phase.bad:
            found = explain(
                event,
                self._rollout.state.groups[event.group].examination,
                build=self._made.published.build.version,
            )
            self._failures[event.group] = found
            self._tool.display(found)

    def _notify(self, event: Moment, outcome: str, ended: ShipitError | None) -> None:
        record = self.scribe.record
        self._tool.notify(
            Message(
                event=event,
                env=record.env,
                build=record.build,
                rollout=record.id,
                by=record.by,
                why=record.why,
                outcome=outcome,
                exit_code=None if event is Moment.START else ended.exit_code if ended else 0,
                message=ended.message if ended else "",
                groups=len(record.groups),
                seconds=record.seconds,
            )
        )
