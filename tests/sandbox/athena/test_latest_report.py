"""The newest report of each instance: the SQL that ships, asked through boto3, against plain Python."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from typing import Any

import pytest
from fakes import NOON
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sandbox.athena.cloud import BUCKET, Cloud, line, own
from sandbox.codedeploy.world import Door

from shipit.errors import AwsError
from shipit.models import Report

BUILDS = st.sampled_from(["v1", "it's", '"quoted"', "--; DROP", "ünïcode\u2028", ""])
REPORTS = st.lists(
    st.fixed_dictionaries(
        {
            # What the body says; of an object that an instance wrote alone, the key says it.
            "instance_id": st.sampled_from(["i-1", "i-2", "i-3", "i-'4"]),
            "author": st.sampled_from(["i-1", "i-2", "i-3"]),
            "asg": st.sampled_from(["a", "b"]),
            "running_build": BUILDS,
            "build": st.none() | BUILDS,
            "seq": st.none() | st.integers(0, 2),
            # Few moments, so that ties are common; some outside the hour that is looked at.
            "ago": st.sampled_from([-61, -60, -59, 0, 1, 1800, 3599, 3600, 3601, 7200]),
        }
    ),
    max_size=25,
)


def test_the_newest_report_of_each_instance_is_read(cloud: Cloud) -> None:
    cloud.create_table()
    cloud.put(own("i-1"), line("i-1", NOON - timedelta(minutes=10), running_build="v1"))
    cloud.put(own("i-1", 2), line("i-1", NOON - timedelta(minutes=5)), slot="2026-11-20-11")
    cloud.put(own("i-2"), line("i-2", NOON - timedelta(minutes=70)), slot="2026-11-20-10")
    reports, cost = cloud.reader().latest_reports(NOON, 3600)
    assert reports == (
        Report(
            instance_id="i-1",
            asg="workers-email",
            queue="email",
            build="v2",
            running_build="v2",
            digest="d2",
            deployment_id="d-1",
            reason="heartbeat",
            reported_at=NOON - timedelta(minutes=5),
        ),
    )
    assert cost.scanned == sum(
        len(body) for key, body in cloud.store.objects.items() if "slot=2026-11-20-1" in key
    ) - (len(json.dumps(line("i-2", NOON - timedelta(minutes=70)))) + 1)
    assert cost.dollars == pytest.approx(0.00005)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=REPORTS, gzipped=st.booleans())
def test_the_sql_answers_as_plain_python_does(athena_door: Door, lines: list[dict[str, Any]], gzipped: bool) -> None:
    cloud = Cloud(athena_door)
    try:
        cloud.create_table()
        best: dict[str, tuple[Any, str]] = {}
        for number, fields in enumerate(lines):
            at = NOON - timedelta(seconds=fields["ago"])
            body = line(**{**{k: v for k, v in fields.items() if k not in ("ago", "author")}, "at": at})
            data, author = json.dumps(body).encode(), fields["instance_id"] if gzipped else fields["author"]
            name = f"batch-{number}.gz" if gzipped else own(author, number)
            key = cloud.put(name, gzip.compress(data) if gzipped else data, slot=f"{at:%Y-%m-%d-%H}")
            if NOON - timedelta(hours=1) <= at < NOON + timedelta(seconds=60):
                rank = (body["reported_at"], -1 if body["seq"] is None else body["seq"], f"s3://{BUCKET}/{key}")
                newest = best.get(author)
                if newest is None or rank > newest[0]:
                    best[author] = (rank, body["running_build"])
        reports, _ = cloud.reader().latest_reports(NOON, 3600)
    finally:
        cloud.close()
    assert {r.instance_id: r.running_build for r in reports} == {i: build for i, (_, build) in best.items()}
    assert [(r.asg, r.instance_id) for r in reports] == sorted((r.asg, r.instance_id) for r in reports)


def test_an_instance_with_a_malformed_time_does_not_blind_the_rest(cloud: Cloud) -> None:
    cloud.create_table()
    cloud.put(own("i-1"), line("i-1", reported_at="2026-11-20T11:59:99.000Z"))
    cloud.put(own("i-2", 2), line("i-2", reported_at="2026-11-20T11:59"))
    cloud.put(own("i-3", 3), line("i-3"))
    reports, _ = cloud.reader().latest_reports(NOON, 3600)
    assert [(r.instance_id, r.reported_at.year) for r in reports] == [("i-1", 1970), ("i-2", 1970), ("i-3", 2026)]


@pytest.mark.parametrize(
    "body",
    [
        '{"instance_id": "i-1"',
        "not json",
        '["i-1"]',
        '{"instance_id": "i-1"}\n\n{"instance_id": "i-2"}',
        '{"instance_id": 7}',
        '{"seq": "7"}',
        '{"seq": 9223372036854775808}',
        '{"schema_version": 1.5}',
        '{"schema_version": true}',
        '{"seq": NaN}',
        '{"build": "\\ud800"}',
        b'{"build": "\xff"}',
    ],
)
def test_a_line_that_is_not_as_the_table_says_fails_the_query_and_names_the_object(
    cloud: Cloud, body: str | bytes
) -> None:
    cloud.create_table()
    cloud.put(own("i-1"), line("i-1"))
    key = cloud.put("bad.json", body)
    with pytest.raises(AwsError, match="HIVE_") as caught:
        cloud.reader().latest_reports(NOON, 3600)
    assert key in caught.value.message


def test_a_gzip_file_that_is_cut_off_fails_the_query(cloud: Cloud) -> None:
    cloud.create_table()
    cloud.put("1.json.gz", gzip.compress(json.dumps(line("i-1")).encode())[:-9])
    with pytest.raises(AwsError, match="HIVE_CURSOR_ERROR"):
        cloud.reader().latest_reports(NOON, 3600)


def test_only_the_slots_of_the_hour_looked_at_are_listed(cloud: Cloud) -> None:
    cloud.create_table()
    cloud.reader().latest_reports(NOON + timedelta(minutes=30), 3600)
    assert [prefix.partition("slot=")[2] for prefix in cloud.store.listed] == ["2026-11-20-11/", "2026-11-20-12/"]


def test_an_object_is_read_once_until_it_changes(cloud: Cloud) -> None:
    cloud.create_table()
    key = cloud.put(own("i-1"), line("i-1"))
    for _ in range(3):
        cloud.reader().latest_reports(NOON, 3600)
    assert cloud.store.reads == [key]
    cloud.put(own("i-1"), line("i-1", running_build="v3"))
    reports, cost = cloud.reader().latest_reports(NOON, 3600)
    assert (reports[0].running_build, cost.scanned) == ("v3", len(cloud.store.objects[key]))


def test_where_every_other_object_has_changed_each_is_read_as_it_is_now(cloud: Cloud) -> None:
    cloud.create_table()
    ids = [f"i-{n:03x}" for n in range(250)]
    for build, some in (("v1", ids), ("v2", ids[::2])):
        for instance in some:
            cloud.put(own(instance), line(instance, running_build=build))
        reports, _ = cloud.reader().latest_reports(NOON, 3600)
        assert len(reports) == 250
    assert [r.running_build for r in reports] == ["v2", "v1"] * 125


def test_an_object_that_vanishes_between_listing_and_reading_is_worth_another_try(cloud: Cloud) -> None:
    cloud.create_table()
    vanishing = cloud.put(own("i-1"), line("i-1"))
    cloud.put(own("i-2", 2), line("i-2"))
    cloud.store.on_get = lambda key: cloud.store.objects.pop(vanishing, None) and None
    reports, _ = cloud.reader().latest_reports(NOON, 3600)
    assert [r.instance_id for r in reports] == ["i-2"]


def test_pages_of_a_thousand_rows_make_one_answer(cloud: Cloud) -> None:
    cloud.create_table()
    cloud.put("many.gz", gzip.compress("\n".join(json.dumps(line(f"i-{n:04d}")) for n in range(2500)).encode()))
    reports, _ = cloud.reader().latest_reports(NOON, 3600)
    assert [r.instance_id for r in reports] == [f"i-{n:04d}" for n in range(2500)]
