"""Each line stands alone, validates, and says no less than the event it came from."""

import io
import json
import typing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from display import schema
from display.samples import one_of_each, plan, verification
from fakes import NOON

from shipit import events
from shipit.display.jsonl import SCHEMA, JsonDisplay, encode, event_name
from shipit.errors import BusyError
from shipit.events import GroupStarted, Notice, Verified

VALIDATOR = jsonschema.Draft202012Validator(json.loads(schema.FILE.read_text(encoding="utf-8")))
DOCS = Path(__file__).parents[2] / "docs" / "json.md"


def printed(act: typing.Callable[[JsonDisplay], object]) -> list[dict[str, Any]]:
    stream = io.StringIO()
    with JsonDisplay(stream, now=lambda: NOON) as display:
        act(display)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_samples_hold_every_type_of_event() -> None:
    assert {type(e) for e in one_of_each()} == set(typing.get_args(events.Event))


@pytest.mark.parametrize("event", one_of_each(), ids=lambda e: type(e).__name__)
def test_every_event_validates(event: events.Event) -> None:
    (line,) = printed(lambda display: display(event))
    VALIDATOR.validate(line)
    assert line["schema"] == SCHEMA
    assert line["event"] == event_name(type(event))


def test_what_is_no_event_validates_too(capsys: pytest.CaptureFixture[str]) -> None:
    def act(display: JsonDisplay) -> None:
        display.plan(plan())
        display.text("a line\nand another")
        display.value("version", {"version": "v2", "at": NOON, "path": Path("x"), "event": "mine"})
        display.error(BusyError("locked by ci", hint="wait"))

    lines = printed(act)
    for line in lines:
        VALIDATOR.validate(line)
    assert [line["event"] for line in lines] == ["plan", "text", "value", "error"]
    assert lines[2]["fields"]["event"] == "mine"
    assert lines[3]["exit_code"] == 4
    assert capsys.readouterr().err == "error: locked by ci\n  wait\n"


def test_the_schema_is_the_one_of_the_types() -> None:
    again = "run `PYTHONPATH=tests python tests/display/schema.py`, and raise SCHEMA where a field went or changed"
    assert schema.FILE.read_text(encoding="utf-8") == schema.text(), again


def test_the_docs_name_every_event() -> None:
    said = DOCS.read_text(encoding="utf-8")
    assert [n for n in (r["$ref"].split("/")[-1] for r in schema.schema()["oneOf"]) if f"`{n}`" not in said] == []


def test_an_event_keeps_its_own_time_in_utc() -> None:
    east = datetime(2026, 11, 20, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    (line,) = printed(lambda d: d(GroupStarted(group="a", deployment_id="d", instances=1, at=east)))
    assert line["at"] == "2026-11-20T12:00:00Z"
    assert list(line)[:3] == ["schema", "event", "at"]


def test_a_verdict_says_whether_the_fleet_converged() -> None:
    (line,) = printed(lambda d: d(Verified(verification=verification())))
    assert line["verification"]["converged"] is False
    assert line["verification"]["counted"] == 300


def test_whatever_a_text_holds_is_one_line_of_ascii() -> None:
    stream = io.StringIO()
    JsonDisplay(stream, now=lambda: NOON)(Notice(text="a\nb\x1b\u2028ü\ud800"))
    assert stream.getvalue().isascii()
    assert stream.getvalue().count("\n") == 1
    assert json.loads(stream.getvalue())["text"] == "a\nb\x1b\u2028ü\ud800"


def test_numbers_that_json_lacks_are_null() -> None:
    assert encode({"a": float("nan"), "b": (1, 2.5, True), "c": {"x"}, "d": datetime(2026, 1, 1, tzinfo=UTC)}) == {
        "a": None,
        "b": [1, 2.5, True],
        "c": ["x"],
        "d": "2026-01-01T00:00:00Z",
    }


def test_a_value_without_a_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no form"):
        encode(object())
