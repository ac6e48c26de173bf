"""A notification says what it should and nothing secret, and whatever becomes of it the rollout goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notices import DONE, HOOK, SECRET

from shipit.errors import UsageError
from shipit.events import Event, Notice
from shipit.notify import CommandEnded, Message, Moment, body_of, check_webhook, notify


@dataclass
class FakePost:
    """Answers by a list of statuses or errors, 200 when it is used up."""

    answers: list[int | Exception] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def __call__(self, url: str, body: bytes) -> int:
        self.bodies.append(body)
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class FakeRun:
    """Ends as told, and keeps what it was given."""

    exit_code: int = 0
    tail: str = ""
    refuse: Exception | None = None
    calls: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __call__(self, command: str, env: Mapping[str, str]) -> CommandEnded:
        self.calls.append((command, dict(env)))
        if self.refuse:
            raise self.refuse
        return CommandEnded(exit_code=self.exit_code, tail=self.tail)


def told(
    message: Message = DONE,
    *,
    webhook: str = "",
    template: str = "",
    command: str = "",
    post: FakePost | None = None,
    run: FakeRun | None = None,
) -> tuple[list[str], list[float]]:
    """Notify, and return the warnings and the pauses."""
    events: list[Event] = []
    pauses: list[float] = []
    notify(
        message,
        webhook=webhook,
        template=template,
        command=command,
        post=post or FakePost(),
        run=run or FakeRun(),
        listen=events.append,
        sleep=pauses.append,
    )
    assert all(isinstance(e, Notice) and e.warning for e in events)
    return [e.text for e in events if isinstance(e, Notice)], pauses


def test_without_a_webhook_and_a_command_nothing_happens() -> None:
    post, run = FakePost(), FakeRun()
    assert told(post=post, run=run) == ([], [])
    assert (post.bodies, run.calls) == ([], [])


def test_the_default_is_what_slack_takes() -> None:
    post = FakePost()
    assert told(webhook=HOOK, post=post) == ([], [])
    assert [json.loads(b) for b in post.bodies] == [
        {
            "text": "✓ production: the rollout of v2 to 50 groups ended converged after 5 min 12 s "
            "(r1, by ann@laptop, the importer)"
        }
    ]


def test_each_moment_has_its_sentence() -> None:
    start = replace(DONE, event=Moment.START, exit_code=None, seconds=None, outcome="running", groups=1)
    assert start.sentence == "a rollout of v2 to 1 group has started"
    bad = replace(DONE, event=Moment.FAILURE, outcome="failed", exit_code=1, message="3 of 50 groups failed")
    assert bad.sentence == "the rollout of v2 to 50 groups ended failed after 5 min 12 s: 3 of 50 groups failed"
    assert replace(bad, outcome="", seconds=None, message="").sentence == (
        "the rollout of v2 to 50 groups ended failure"
    )


def test_the_default_lets_nobody_call_a_whole_channel() -> None:
    text = json.loads(body_of("", replace(DONE, by="<!channel> & co")))["text"]
    assert "by &lt;!channel&gt; &amp; co" in text


def test_a_template_of_one_s_own_is_filled_inside_its_strings_at_any_depth() -> None:
    template = '{"a": ["${build} to ${env}", {"b": "${exit_code}|${seconds}|${groups}"}], "c": 1, "$": "$5"}'
    assert json.loads(body_of(template, DONE)) == {
        "a": ["v2 to production", {"b": "0|312|50"}],
        "c": 1,
        "$": "$5",
    }


def test_at_the_start_what_is_not_known_yet_is_empty() -> None:
    start = replace(DONE, event=Moment.START, exit_code=None, seconds=None, outcome="")
    template = '["${event}", "${exit_code}", "${seconds}", "${outcome}"]'
    assert json.loads(body_of(template, start)) == ["start", "", "", ""]


@given(st.text(), st.text())
def test_no_text_breaks_out_of_its_string(build: str, by: str) -> None:
    filled = json.loads(body_of('{"b": "<${build}>", "by": "${by}"}', replace(DONE, build=build, by=by)))
    assert filled == {"b": f"<{build}>", "by": by}


def test_a_value_that_looks_like_a_placeholder_is_not_filled_again() -> None:
    assert json.loads(body_of('["${by}"]', replace(DONE, by='${env}", "x": "'))) == ['${env}", "x": "']


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ('{"seconds": ${seconds}}', "is not JSON"),
        ("{", "is not JSON"),
        ('{"text": "${biuld}"}', r"names \$\{biuld\}, which is not there: event, env, build"),
        ('{"text": "${}"}', "names"),
    ],
)
def test_a_wrong_template_is_refused_when_checked_and_a_warning_when_used(template: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        body_of(template, DONE)
    post = FakePost()
    warnings, _ = told(webhook=HOOK, template=template, post=post)
    assert len(warnings) == 1
    assert post.bodies == []


@pytest.mark.parametrize("passing", [OSError("x"), TimeoutError(), 500, 503, 429])
def test_what_may_pass_is_tried_once_more(passing: int | Exception) -> None:
    post = FakePost([passing])
    assert told(webhook=HOOK, post=post) == ([], [1.0])
    assert len(post.bodies) == 2


def test_it_is_tried_no_third_time() -> None:
    post = FakePost([500, 502, 200])
    warnings, _ = told(webhook=HOOK, post=post)
    assert warnings == ["the webhook for success failed, the rollout goes on: it answered 502"]
    assert len(post.bodies) == 2


@pytest.mark.parametrize("status", [302, 400, 403, 404, 410])
def test_a_refusal_is_final(status: int) -> None:
    post = FakePost([status])
    warnings, pauses = told(webhook=HOOK, post=post)
    assert warnings == [f"the webhook for success failed, the rollout goes on: it answered {status}"]
    assert (len(post.bodies), pauses) == (1, [])


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://x/s3cr3tt0k3n",
        "hooks.example.com/s3cr3tt0k3n",
        "https://",
        "http://[::1",
        "data:,s3cr3t",
        "https://x/s3cr3tt0k3n\n",
        "https://x/s3cr3tt0k3n y",
        "https://ü.example/s3cr3tt0k3n",
    ],
)
def test_a_url_that_is_not_http_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_webhook(url)
    assert "s3cr3t" not in str(refused.value)
    post = FakePost()
    warnings, _ = told(webhook=url, post=post)
    assert warnings == [
        "the webhook for success failed, the rollout goes on: the webhook's URL is not one of http or https"
    ]
    assert post.bodies == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(f"cannot reach {HOOK}"),
        OSError(5, f"cannot reach /services/{SECRET}"),
        ValueError(f"URL can't contain {HOOK!r}"),
        RuntimeError(HOOK),
        UsageError(f"{HOOK} is odd"),
    ],
)
def test_no_warning_holds_the_webhook_whatever_is_raised(error: Exception) -> None:
    warnings, _ = told(webhook=HOOK, post=FakePost([error, error]))
    assert len(warnings) == 1
    assert "s3cr3t" not in warnings[0]


def test_a_failing_command_is_a_warning_with_its_last_line_and_no_url() -> None:
    run = FakeRun(exit_code=7, tail=f"trying\ncurl: (6) cannot reach {HOOK} or http://u:p@other/x\n\n")
    warnings, _ = told(webhook="", command="x", run=run)
    assert warnings == [
        "the command hook for success failed, the rollout goes on: it exited 7: curl: (6) cannot reach <url> or <url>"
    ]


def test_a_failing_webhook_does_not_keep_the_command_from_running_nor_the_other_way_round() -> None:
    post, run = FakePost([404]), FakeRun(refuse=OSError(12, "Cannot allocate memory"))
    warnings, _ = told(webhook=HOOK, command="x", post=post, run=run)
    assert [w.partition(": ")[2] for w in warnings] == ["it answered 404", "Cannot allocate memory"]
    assert len(run.calls) == 1


def test_ctrl_c_is_not_a_failed_notification() -> None:
    class Interrupting(FakeRun):
        def __call__(self, command: str, env: Mapping[str, str]) -> CommandEnded:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        told(command="x", run=Interrupting())


def test_a_command_is_given_all_of_it_in_its_environment() -> None:
    run = FakeRun()
    told(command="tell", run=run)
    assert run.calls == [
        (
            "tell",
            {
                "SHIPIT_HOOK_EVENT": "success",
                "SHIPIT_HOOK_ENV": "production",
                "SHIPIT_HOOK_BUILD": "v2",
                "SHIPIT_HOOK_ROLLOUT": "r1",
                "SHIPIT_HOOK_BY": "ann@laptop",
                "SHIPIT_HOOK_WHY": "the importer",
                "SHIPIT_HOOK_OUTCOME": "converged",
                "SHIPIT_HOOK_EXIT_CODE": "0",
                "SHIPIT_HOOK_MESSAGE": "the rollout of v2 to 50 groups ended converged after 5 min 12 s",
                "SHIPIT_HOOK_GROUPS": "50",
                "SHIPIT_HOOK_SECONDS": "312",
            },
        )
    ]


def test_the_page_of_the_docs_names_all_that_is_told_and_nothing_else() -> None:
    page = (Path(__file__).parent.parent / "docs/notifications.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `\$\{(\w+)\}`", page, re.MULTILINE)) == {*DONE.values, "slack"}
    named = set(re.findall(r"\| `SHIPIT_HOOK_(\w+)`", page))
    assert named == {name.upper() for name in DONE.values}
