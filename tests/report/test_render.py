"""A rollout's page holds all of it, needs nothing else, and shows what came in as text, whatever it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser

import pytest
from fakes import NOON
from hypothesis import given
from hypothesis import strategies as st
from records import entry, record

from shipit.models import FailureNote, GroupEntry, Outcome, Phase, Proof, RolloutRecord, Try, WaveEntry
from shipit.report import render
from shipit.report.style import CSS
from shipit.report.timeline import scale_of

TAIL = "installing\n\x1b[31mModuleNotFoundError\x1b[0m: No module named 'celery'\n"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


class Page(HTMLParser):
    """Parse a page: its tags in order, its text, what lies outside of folded parts; refuses unbalanced tags."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.shown: list[tuple[str, str]] = []
        self.pre: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("b", "i", "code", "span"):
            self.texts.append(" ")
        self.attributes += [(tag, name, value) for name, value in attrs]
        named = dict(attrs)
        if not any(name == "folded" for name in self.open):
            self.shown.append((tag, named.get("class") or ""))
        if tag != "meta":
            self.open.append("folded" if tag == "details" and "open" not in named else tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() in ((tag, "folded") if tag == "details" else (tag,))

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "pre":
            self.pre.append(data)
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def bars(self) -> int:
        return sum(tag == "i" and "bar" in kind.split() for tag, kind in self.shown)


def page(record: RolloutRecord, now: datetime | None = None) -> Page:
    return Page(render(record, now=now or at(3600)))


def failed(cause: str = "AfterInstall exited 1", *, tail: str = TAIL, **more: object) -> GroupEntry:
    note = FailureNote(
        cause=cause,
        next_step="mend scripts/after_install.sh",
        instances=("i-1", "i-2"),
        event="AfterInstall",
        script="scripts/after_install.sh",
        log_tail=tail,
    )
    return entry(40, Phase.FAILED, failure=note, **more)


def two_waves() -> RolloutRecord:
    groups = {
        "canary": entry(30, started_at=at(2), ended_at=at(32)),
        "mail": entry(started_at=at(400), ended_at=at(450), wave=1, deployments=("d-1", "d-2")),
        "slow": entry(started_at=at(400), ended_at=at(700), wave=1),
    }
    waves = (
        WaveEntry(started_at=at(2), ended_at=at(32), verified_at=at(72)),
        WaveEntry(started_at=at(400), ended_at=at(700)),
    )
    return record(groups=groups, waves=waves, ended_at=at(720))


def test_the_head_says_what_went_where_by_whom_why_when_and_how_it_ended() -> None:
    shown = page(
        record(
            groups={"a": entry(), "b": failed()},
            outcome=Outcome.FAILED,
            why="the new importer",
            excluded=("audit",),
            calls={"CreateDeployment": 2, "BatchGetDeployments": 1400},
        )
    ).text
    for said in (
        "✗ failed v2 to production",
        "Rollout r0",
        "ann@laptop",
        "the new importer",
        "2026-11-20 12:00 UTC, for 1 min 30 s",
        "2: 1 succeeded, 1 failed",
        "4 in service when it began",
        "audit",
        "1,402",
        "BatchGetDeployments 1,400, CreateDeployment 2",
    ):
        assert said in shown


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("phase", list(Phase))
def test_each_phase_and_outcome_has_a_word_and_not_only_a_colour(outcome: Outcome, phase: Phase) -> None:
    shown = page(record(outcome=outcome, groups={"a": entry(phase=phase)}))
    assert f" {outcome} v2 to production" in shown.text
    assert f"1: 1 {phase}" in shown.text


def test_the_page_needs_no_other_file_and_runs_nothing() -> None:
    shown = page(replace(two_waves(), why="https://ci.example/job/1", by='"><img src=x onerror=alert(1)>'))
    assert not {"script", "link", "img", "iframe", "object", "a", "form", "base"} & set(shown.tags)
    assert not [a for a in shown.attributes if a[1] in ("src", "href", "srcset", "action") or a[1].startswith("on")]
    assert "url(" not in CSS
    assert "@import" not in CSS
    assert ("meta", "content", "default-src 'none'; style-src 'unsafe-inline'") in shown.attributes


WILD = st.text(alphabet=st.sampled_from("<>&\"'/!-=\\ \n\x00\x1b\ud800‮éa") | st.characters(), max_size=30)


@given(WILD, WILD)
def test_whatever_text_comes_in_the_page_is_built_of_the_same_elements(one: str, other: str) -> None:
    def drawn(said: str, more: str) -> Page:
        note = FailureNote(
            cause=said, next_step=f"n{more}", instances=(more,), event="e", script=said, log_tail=f"l{more}"
        )
        group = entry(phase=Phase.FAILED, failure=note, queue="q" + said, before=said, build=f"b{more}")
        return page(
            record(
                f"v{said}",
                groups={f"g{more}": group},
                outcome=Outcome.FAILED,
                by=f"b{said}",
                why=f"w{more}",
                env=f"e{more}",
                excluded=(said, more),
                calls={said: 1},
                undoes=f"u{said}",
                undone_by=f"u{more}",
                proof=Proof(states={said: 1}, counted=1, converged=False, query_id=f"q{more}", at=at(9)),
            )
        )

    assert drawn(one, other).tags == drawn("x", "y").tags
    render(record(one, by=other), now=NOON).encode("utf-8")


def test_what_cannot_be_seen_in_a_log_is_named_and_colours_are_dropped() -> None:
    note = failed(tail="a\x1b[1;31mred\x1b[0m\x07\r\nb\u202ec\n<b>&amp;</b>\n")
    shown = page(record(groups={"a": note}, outcome=Outcome.FAILED))
    assert "".join(shown.pre) == "ared\\x07\nb\\u202ec\n<b>&amp;</b>"


def test_groups_that_failed_alike_are_told_once_with_one_log_and_all_their_instances() -> None:
    groups = {"a": failed(), "b": failed(), "c": failed("agent dead", tail=""), "d": entry()}
    shown = page(record(groups=groups, outcome=Outcome.FAILED))
    assert shown.pre == ["installing\nModuleNotFoundError: No module named 'celery'"]
    assert "✗ failed a, b" in shown.text
    assert "AfterInstall exited 1 (2 groups, 4 instances)" in shown.text
    assert "agent dead (1 group, 2 instances)" in shown.text
    assert "Where: AfterInstall scripts/after_install.sh" in shown.text
    assert "Next: mend scripts/after_install.sh" in shown.text
    assert "a: i-1, i-2 (d-1)" in shown.text


@pytest.mark.parametrize("phase", [p for p in Phase if p.bad])
def test_a_group_that_ended_badly_is_listed_though_nobody_noted_why(phase: Phase) -> None:
    shown = page(record(groups={"a": entry(phase=phase)}, outcome=Outcome.FAILED)).text
    assert "What went wrong" in shown
    assert "no cause was recorded" in shown


def test_a_failure_that_a_later_try_made_good_is_told_after_those_that_stayed() -> None:
    healed = replace(failed("instances reclaimed"), phase=Phase.SUCCEEDED)
    shown = page(record(groups={"a": healed, "b": failed()}, outcome=Outcome.FAILED)).text
    assert shown.index("✗ failed b") < shown.index("✓ succeeded a")


def test_where_nothing_failed_nothing_is_told_of_failures() -> None:
    assert "What went wrong" not in page(record()).text


def test_the_waves_are_told_with_their_proof_and_their_pause() -> None:
    shown = page(two_waves())
    assert (
        "Wave 1 of 2 1 group (1 succeeded); began at 12:00:02; ended after 30 s; "
        "was proved by the reports 40 s later; the next wave began 5 min 28 s after that."
    ) in shown.text
    assert "Wave 2 of 2 2 groups (2 succeeded); began at 12:06:40; ended after 5 min." in shown.text
    assert "Proved by the reports before the next wave began: wave 1 at 12:01:12." in shown.text
    kinds = [kind for tag, kind in shown.shown if tag == "i"]
    assert {"bar wave-bar", "bar proof", "bar bake", "bar good", "bar good again"} <= set(kinds)


def test_the_slowest_groups_are_named_and_several_tries_are_said() -> None:
    shown = page(two_waves()).text
    assert "Slowest: slow 5 min, mail 50 s, canary 30 s." in shown
    assert "✓ 50 s, 2 tries" in shown
    assert "tried more than once" in shown


def test_a_single_wave_is_not_called_one_of_one() -> None:
    shown = page(record(groups={"a": entry(), "b": entry()})).text
    assert "Wave" not in shown


def test_bars_lie_where_their_times_do() -> None:
    # Of 720 seconds, the groups ran from 2 to 32, from 400 to 450 and from 400 to 700.
    styles = {a[2] for a in page(two_waves()).attributes if a[:2] == ("i", "style")}
    assert {"left:0.28%;width:4.17%", "left:55.56%;width:6.94%", "left:55.56%;width:41.67%"} <= styles


def test_each_try_of_a_group_has_a_bar_of_its_own_where_its_times_were_noted() -> None:
    noted = (
        Try(deployment="d-1", started_at=at(9), ended_at=at(27)),
        Try(deployment="d-2", started_at=at(36)),  # nobody saw its end
        Try(deployment="d-3", started_at=at(54), ended_at=at(72)),
    )
    tried = entry(started_at=at(9), ended_at=at(81), deployments=("d-1", "d-2", "d-3"), tries=noted)
    shown = page(record(groups={"a": tried}))
    bars = [value for tag, name, value in shown.attributes if (tag, name) == ("i", "style")]
    assert bars == ["left:10.00%;width:20.00%", "left:40.00%;width:20.00%", "left:60.00%;width:30.00%"]
    titles = [value for tag, name, value in shown.attributes if (tag, name) == ("i", "title")]
    assert titles[0] == "a: try 1 of 3, 12:00:09 to 12:00:27"
    assert titles[2] == "a: succeeded, 12:00:54 to 12:01:21"
    # Of a process that died, less is known.
    fewer = page(record(groups={"a": replace(tried, tries=noted[:2])}))
    assert [v for t, n, v in fewer.attributes if (t, n) == ("i", "style")] == ["left:10.00%;width:80.00%"]


def test_a_fleet_of_500_groups_shows_the_bad_and_the_slow_and_folds_the_others() -> None:
    groups = {f"g{n:03}": entry(n + 1) for n in range(500)}
    groups["g123"] = failed()
    shown = page(record(groups=groups, outcome=Outcome.FAILED))
    assert shown.bars() == 11
    assert "489 more groups: 489 succeeded" in shown.text
    assert sum(tag == "tr" for tag, _ in shown.shown) == 0
    assert shown.tags.count("tr") == 501


def test_not_even_500_failures_of_500_causes_hide_how_many_there_are() -> None:
    groups = {f"g{n:03}": failed(f"cause {n}", tail="") for n in range(500)}
    shown = page(record(groups=groups, outcome=Outcome.FAILED))
    assert shown.bars() == 40
    assert "460 more groups: 460 failed" in shown.text
    assert shown.text.count("Next: ") == 500
    assert sum(tag == "article" for tag, _ in shown.shown) == 20
    assert "480 more causes" in shown.text


def test_the_table_holds_before_deployments_and_seconds_and_builds_only_where_they_differ() -> None:
    shown = page(record(groups={"q": entry(deployments=("d-1", "d-2"), queue="q", before="v1")})).text
    assert "Each was to get v2." in shown
    assert "v1 d-1, d-2 1 min" in shown
    mixed = page(record(groups={"a": entry(build="v1", before="v2"), "b": entry(before="", deployments=())})).text
    assert "Each was to get" not in mixed
    assert "v2 v1 d-1" in mixed
    assert "unknown v2 none" in mixed


def test_the_proof_is_told_as_it_was() -> None:
    found = Proof(
        states={"current": 297, "outdated": 1, "silent": 0}, counted=298, converged=False, query_id="q-9", at=at(80)
    )
    shown = page(record(proof=found)).text
    assert "✗ mixed: 297 of 298 instances reported v2 from the running process, at 12:01:20." in shown
    assert "outdated 1" in shown
    assert "silent" not in shown
    assert "Athena query q-9" in shown
    whole = page(record(proof=replace(found, states={"current": 298}, converged=True))).text
    assert "✓ converged: 298 of 298 instances reported v2" in whole


def test_without_a_proof_the_page_says_that_nobody_was_asked() -> None:
    assert "The instances were not asked what they run at the end" in page(record(outcome=Outcome.DEPLOYED)).text
    assert "have not been asked yet" in page(record(outcome=Outcome.RUNNING)).text


def test_a_rollback_and_what_it_undoes_name_each_other() -> None:
    assert "A rollback: it undoes rollout r7 (inv report r7)." in page(record(undoes="r7")).text
    assert "Undone by rollout r8 (inv report r8)." in page(record(undone_by="r8")).text


def test_a_rollout_that_runs_is_drawn_up_to_now() -> None:
    groups = {"a": entry(None, Phase.RUNNING), "b": entry(None, Phase.WAITING, started_at=None, deployments=())}
    running = record(outcome=Outcome.RUNNING, groups=groups, waves=(WaveEntry(started_at=at(0)),))
    shown = page(running, at(100))
    assert "not ended after 1 min 40 s" in shown.text
    assert ("i", "style", "left:0.00%;width:100.00%") in shown.attributes
    assert "▶ running" in shown.text
    assert "· waiting" in shown.text


def test_a_rollout_that_started_nothing_has_no_timeline() -> None:
    shown = page(record(groups={}, outcome=Outcome.INTERRUPTED)).text
    assert "Timeline" not in shown
    assert "All groups" not in shown
    assert "Timeline" not in page(record(groups={"a": entry(None, Phase.WAITING, started_at=None)})).text


TIMES = st.none() | st.integers(-10_000, 10_000_000)


@given(st.lists(st.tuples(TIMES, TIMES, st.integers(0, 3)), max_size=6), st.integers(0, 4), TIMES)
def test_whatever_the_clocks_did_all_bars_stay_inside_and_ticks_are_few(
    times: list[tuple[int | None, int | None, int]], waves: int, end: int | None
) -> None:
    def when(seconds: int | None) -> datetime | None:
        return None if seconds is None else at(seconds)

    groups = {
        f"g{n}": entry(started_at=when(start), ended_at=when(stop), wave=wave)
        for n, (start, stop, wave) in enumerate(times)
    }
    drawn = record(
        groups=groups, ended_at=when(end), waves=tuple(WaveEntry(started_at=at(n * 50 - 20)) for n in range(waves))
    )
    scale = scale_of(drawn, at(60))
    assert scale.seconds / scale.step <= 8
    for tag, name, value in page(drawn, at(60)).attributes:
        if tag == "i" and name == "style" and value:
            left, width = (float(part.partition(":")[2].rstrip("%")) for part in value.split(";"))
            assert left >= 0
            assert width >= 0
            assert left + width <= 100.02
