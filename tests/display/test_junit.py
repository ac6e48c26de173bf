"""The verdict as JUnit XML: what a CI shows is never better than how the command ends."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from display.samples import verification
from hypothesis import given
from hypothesis import strategies as st

from shipit.display.junit import junit
from shipit.errors import AwsUnavailable, DriftError, ShipitError, StillRunning
from shipit.models import GroupView, NodeState, Spending, Verification

#: What a reader may rely on: the attributes of each element, and where it may stand (the schema of Jenkins' plugin).
NUMBERS = {"tests", "failures", "errors", "skipped"}
INSIDE = {
    "testsuites": ({"name", "time", *NUMBERS}, {"testsuite"}),
    "testsuite": ({"name", "time", "timestamp", *NUMBERS}, {"properties", "testcase"}),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": ({"classname", "name", "time"}, {"failure", "error", "skipped"}),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "skipped": ({"message"}, set()),
}


def parsed(text: str) -> ElementTree.Element:
    """Read it, and hold it to the form: known elements in their places, counts that are those of what is inside."""
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, children = INSIDE[element.tag]
        assert set(element.attrib) <= attributes, element.tag
        assert {child.tag for child in element} <= children
        if element.tag in ("testsuites", "testsuite"):
            cases = list(element.iter("testcase"))
            found = {"tests": len(cases)}
            for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
                found[name] = len(list(element.iter(tag)))
            assert {name: int(element.attrib[name]) for name in NUMBERS} == found
        if element.tag == "testcase":
            assert len(element) <= 1
    return root


def case(root: ElementTree.Element, name: str) -> ElementTree.Element:
    [found] = [c for c in root.iter("testcase") if c.get("name") == name]
    return found


def states(*each: NodeState) -> Verification:
    found = verification(bad=False, nodes=len(each))
    nodes = [replace(n, group="email", state=s, expected="v2") for n, s in zip(found.nodes, each, strict=True)]
    view = GroupView(group="email", queue="email", expected="v2", rollout="r1", codedeploy="v1", note="they disagree")
    return replace(found, nodes=tuple(nodes), groups=(view, replace(view, group="empty")))


def test_a_suite_is_a_group_and_a_case_an_instance_by_its_state() -> None:
    root = parsed(junit("prod", states(*NodeState), DriftError("mixed", hint="look"), everything=True))
    kinds = {}
    for number, state in enumerate(NodeState):
        [*children] = case(root, f"i-{number:03}")
        kinds[state.value] = children[0].tag if children else "passed"
    assert kinds == {
        "current": "passed",
        "outdated": "failure",
        "restart-needed": "failure",
        "wrong-digest": "failure",
        "unknown-build": "failure",
        "stale": "error",
        "silent": "error",
        "starting": "skipped",
        "leaving": "skipped",
        "departed": "skipped",
    }
    assert [s.get("name") for s in root] == ["fleet", "email", "empty"]
    assert root[2].get("tests") == "0"
    facts = {p.attrib["name"]: p.attrib["value"] for p in root[1].iter("property")}
    assert facts == {"expected": "v2", "rollout": "r1", "codedeploy": "v1", "note": "they disagree"}
    without = parsed(junit("prod", states(*NodeState), DriftError("mixed")))
    assert int(without.attrib["tests"]) == int(root.attrib["tests"]) - 1


def test_a_bad_instance_says_what_it_runs_since_when_and_what_to_type() -> None:
    found = verification()
    [failure] = case(parsed(junit("prod", found, DriftError("mixed"))), "i-003")
    assert failure.attrib == {"type": "outdated", "message": "outdated: runs v1, reported 4 min 12 s ago"}
    assert failure.text == "next: inv deploy --build v2 --only queue-000"
    [error] = case(parsed(junit("prod", found, DriftError("mixed"))), "i-007")
    assert error.get("message") == "silent: never reported"


def test_the_query_and_all_of_a_wait_are_told_with_bytes_dollars_and_seconds() -> None:
    spent = Spending(queries=3, scanned=6_900_000, seconds=9.5, dollars=0.00015)
    root = parsed(junit("prod", replace(verification(bad=False), spent=spent), None))
    facts = {p.attrib["name"]: p.attrib["value"] for p in root[0].iter("property")}
    assert facts == {
        "env": "prod",
        "build": "v2",
        "verified at": "2026-11-20 12:00 UTC",
        "athena.query": "q",
        "athena.bytes": "2300000",
        "athena.dollars": "0.00005000",
        "athena.seconds": "3.100",
        "athena.queries": "3",
        "athena.all.bytes": "6900000",
        "athena.all.dollars": "0.00015000",
        "athena.all.seconds": "9.500",
    }
    assert (root.get("time"), root.get("failures"), root.get("errors")) == ("9.500", "0", "0")


@pytest.mark.parametrize("error", [DriftError("nothing"), StillRunning("starting"), AwsUnavailable("away")])
@pytest.mark.parametrize("found", [None, states(), states(NodeState.STARTING), states(NodeState.CURRENT)])
def test_a_command_that_did_not_pass_has_no_file_that_does(error: ShipitError, found: Verification | None) -> None:
    root = parsed(junit("prod", found, error))
    assert int(root.attrib["failures"]) + int(root.attrib["errors"]) > 0


@given(st.text(), st.text())
def test_whatever_an_instance_says_of_itself_it_stays_xml(running: str, name: str) -> None:
    found = states(NodeState.OUTDATED)
    odd = replace(found.nodes[0], running=running, group=name, next_step=running)
    root = parsed(junit("prod", replace(found, nodes=(odd,)), DriftError(running)))
    assert len(list(root.iter("testcase"))) == 2
