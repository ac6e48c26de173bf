"""Say the verdict over a fleet as JUnit XML: what every CI shows as test results. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from xml.etree import ElementTree

from shipit.display.blocks import age
from shipit.display.text import clean
from shipit.errors import DriftError, ShipitError
from shipit.models import GroupView, Node, NodeState, Verification
from shipit.wording import moment

#: What XML 1.0 does not take even as a reference, beyond what `clean` escapes.
_NOT_XML = re.compile("[\ufffe\uffff]")
_WHOLE, _VERDICT = "fleet", "every instance runs what is expected of it"


def junit(env: str, found: Verification | None, error: ShipitError | None, *, everything: bool = False) -> str:
    """Return the verdict as JUnit XML: a suite for each group, a case for each instance.

    Drift is a failure, a silent or stale instance an error, one that starts or leaves is skipped; with `everything`
    departed ones are, too. The suite `fleet` holds one case, what the command ends with (`error`, or nothing where
    the fleet has converged): it fails also where no instance does, as when none is there.
    """
    root = ElementTree.Element("testsuites", {"name": _text(f"shipit verify-versions {env}")})
    suites = [_fleet(env, found, error)]
    if found is not None:
        groups: dict[str, list[Node]] = {view.group: [] for view in found.groups}
        for node in found.nodes:
            if node.state is not NodeState.DEPARTED or everything:
                groups.setdefault(node.group, []).append(node)
        views = {view.group: view for view in found.groups}
        suites += [_group(found, name, nodes, views.get(name)) for name, nodes in groups.items()]
    total: Counter[str] = Counter()
    for suite in suites:
        total.update({kind: int(suite.get(kind, "0")) for kind in ("tests", "failures", "errors", "skipped")})
        root.append(suite)
    for kind in ("tests", "failures", "errors", "skipped"):
        root.set(kind, str(total[kind]))
    root.set("time", f"{found.spent.seconds if found else 0.0:.3f}")
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _fleet(env: str, found: Verification | None, error: ShipitError | None) -> ElementTree.Element:
    case = ElementTree.Element("testcase", {"classname": _WHOLE, "name": _VERDICT})
    if error is not None:
        kind = "failure" if isinstance(error, DriftError) else "error"
        told = ElementTree.SubElement(case, kind, {"type": type(error).__name__, "message": _text(error.message)})
        told.text = _text(f"{error.message} ({error.hint})" if error.hint else error.message)
    facts = {"env": env}
    if found is not None:
        cost, spent = found.cost, found.spent
        facts |= {
            "build": found.build,
            "verified at": moment(found.at),
            "athena.query": cost.query_id,
            "athena.bytes": str(cost.scanned),
            "athena.dollars": f"{cost.dollars:.8f}",
            "athena.seconds": f"{cost.seconds:.3f}",
            "athena.queries": str(spent.queries),
            "athena.all.bytes": str(spent.scanned),
            "athena.all.dollars": f"{spent.dollars:.8f}",
            "athena.all.seconds": f"{spent.seconds:.3f}",
        }
    return _suite(_WHOLE, [case], facts, found)


def _group(found: Verification, name: str, nodes: Iterable[Node], view: GroupView | None) -> ElementTree.Element:
    facts: dict[str, str] = {}
    if view is not None:
        said = {"rollout": view.rollout, "codedeploy": view.codedeploy, "note": view.note, "moving": view.moving}
        facts = {"expected": view.expected, **{key: value for key, value in said.items() if value}}
    return _suite(name, [_case(node) for node in nodes], facts, found)


def _suite(
    name: str, cases: list[ElementTree.Element], facts: dict[str, str], found: Verification | None
) -> ElementTree.Element:
    kinds = Counter(child.tag for case in cases for child in case)
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": _text(name),
            "tests": str(len(cases)),
            "failures": str(kinds["failure"]),
            "errors": str(kinds["error"]),
            "skipped": str(kinds["skipped"]),
            "time": "0",
        },
    )
    if found is not None:
        suite.set("timestamp", f"{found.at:%Y-%m-%dT%H:%M:%S}")
    if facts:
        properties = ElementTree.SubElement(suite, "properties")
        for key, value in facts.items():
            ElementTree.SubElement(properties, "property", {"name": key, "value": _text(value)})
    suite.extend(cases)
    return suite


def _case(node: Node) -> ElementTree.Element:
    case = ElementTree.Element("testcase", {"classname": _text(node.group), "name": _text(node.instance_id)})
    if node.state is NodeState.CURRENT:
        return case
    said = f"{node.state}: runs {node.running or 'nothing known'}, reported {age(node.age)}"
    if node.age is None:
        said = f"{node.state}: never reported"
    if node.expected:
        said += f"; expected is {node.expected}"
    kind = "failure" if node.state.is_drift else "error" if node.state.is_unseen else "skipped"
    told = ElementTree.SubElement(case, kind, {"message": _text(said)})
    if kind != "skipped":
        told.set("type", node.state.value)
        told.text = _text(f"next: {node.next_step}")
    return case


def _text(text: str) -> str:
    return _NOT_XML.sub(lambda match: f"\\u{ord(match[0]):04x}", clean(text))
