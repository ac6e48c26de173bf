"""Nobody speaks in another's name: the policy on docs/iam.md and the query together, against whoever tries."""

from __future__ import annotations

import gzip
import json
import re
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from fakes import NOON
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sandbox.athena.cloud import BUCKET, REPORTS, Cloud, line, own
from sandbox.codedeploy.world import Door

PAGE = Path(__file__).parents[3] / "docs/iam.md"
LIAR, VICTIM = "i-a0", "i-b0"
SLOT = f"slot={NOON:%Y-%m-%d-%H}"


def may_write(instance_id: str, key: str) -> bool:
    """Tell whether the page's policy lets an instance write a key; `*` of a policy stands for slashes too."""
    policy = json.loads(re.findall(r"^```json\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)[-1])
    [resources] = [s["Resource"] for s in policy["Statement"] if s["Action"] == "s3:PutObject"]
    assert len(resources) == 2, "reports and their history"
    filled = [r.replace("REPORTS", BUCKET).replace("PREFIX", "prod") for r in resources]
    patterns = [r.replace("${aws:userid}", f"AROATEST:{instance_id}") for r in filled]
    assert not any("[" in pattern or "?" in pattern for pattern in patterns)
    return any(fnmatchcase(f"arn:aws:s3:::{BUCKET}/{key}", pattern) for pattern in patterns)


def test_an_instance_may_write_its_own_reports_and_no_others() -> None:
    assert may_write(LIAR, f"{REPORTS}/{SLOT}/{own(LIAR)}")
    assert may_write(LIAR, f"prod/history/v1/day=2026-11-20/{own(LIAR)}")
    for key in (
        f"{REPORTS}/{SLOT}/{own(VICTIM)}",
        f"{REPORTS}/{SLOT}/{own(LIAR)}.gz",
        f"{REPORTS}/{SLOT}/AROATEST:{LIAR}0-1.json",
        f"staging/reports/v1/{SLOT}/{own(LIAR)}",
    ):
        assert not may_write(LIAR, key), key


@pytest.mark.parametrize(
    "key",
    [
        f"{SLOT}/AROATEST:{LIAR}-1/{own(VICTIM)}",
        f"{SLOT}/{own(VICTIM)}/{own(LIAR)}",
        f"{SLOT}/x/{own(LIAR)}",
        f"{SLOT}/AROATEST:{LIAR}-x/{SLOT}/{own(VICTIM)}",
        f"{SLOT}/{own(VICTIM)}/slot=x/{own(LIAR)}",
        f"{SLOT}/AROATEST:{LIAR}-{own(VICTIM)}",
        f"{SLOT}/AROATEST:{LIAR}-1-1.json",
    ],
)
def test_a_key_that_does_not_prove_its_author_counts_for_nobody_and_is_shown(cloud: Cloud, key: str) -> None:
    cloud.create_table()
    assert may_write(LIAR, f"{REPORTS}/{key}")
    cloud.put(own(VICTIM), line(VICTIM, NOON - timedelta(minutes=5), running_build="true"))
    cloud.store.put(BUCKET, f"{REPORTS}/{key}", json.dumps(line(VICTIM, running_build="false")).encode())
    reader = cloud.reader()
    for _ in range(2):
        reports, _ = reader.latest_reports(NOON, 3600)
        assert [(r.instance_id, r.running_build) for r in reports] == [(VICTIM, "true")]
    assert cloud.strays == [f"s3://{BUCKET}/{REPORTS}/{key}"], "told once, however often it is asked"


def test_a_report_speaks_for_the_owner_of_its_key_whatever_its_body_says(cloud: Cloud) -> None:
    cloud.create_table()
    cloud.put(own(VICTIM), line(VICTIM, NOON - timedelta(minutes=5), running_build="true"))
    cloud.put(own(LIAR), line(VICTIM, running_build="false"))
    reports, _ = cloud.reader().latest_reports(NOON, 3600)
    assert [(r.instance_id, r.running_build) for r in reports] == [(LIAR, "false"), (VICTIM, "true")]
    assert cloud.strays == []


def test_a_batch_names_its_instances_itself(cloud: Cloud) -> None:
    cloud.create_table()
    lines = [line("i-1"), line("i-2"), line("")]
    cloud.put("batch.gz", gzip.compress("\n".join(json.dumps(one) for one in lines).encode()))
    reports, _ = cloud.reader().latest_reports(NOON, 3600)
    assert [r.instance_id for r in reports] == ["i-1", "i-2"]
    assert len(cloud.strays) == 1


WORDS = ["/", SLOT, "2026-11-20-12", "-1", ".json", ".gz", *(f"/AROATEST:{i}-1" for i in (LIAR, VICTIM)), own(VICTIM)]
PARTS = st.lists(st.sampled_from(WORDS), max_size=5).map("".join)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=st.lists(st.tuples(st.sampled_from(["2026-11-20-12/", "2026-11-20-12", ""]), PARTS, PARTS), max_size=30))
def test_no_key_that_the_policy_grants_makes_a_report_of_another(
    athena_door: Door, keys: list[tuple[str, str, str]]
) -> None:
    cloud = Cloud(athena_door)
    try:
        cloud.create_table()
        for begin, middle, end in keys:
            key = f"{REPORTS}/slot={begin}{middle}/AROATEST:{LIAR}-{end}.json"
            assert may_write(LIAR, key)
            cloud.store.put(BUCKET, key, json.dumps(line(VICTIM)).encode())
        reports, _ = cloud.reader().latest_reports(NOON, 3600)
    finally:
        cloud.close()
    assert {r.instance_id for r in reports} <= {LIAR}
