"""The ledger knows, from any machine, which rollout was the last."""

from typing import Any

import pytest
from fakes import NOON

from shipit.errors import ShipitError, UsageError
from shipit.ledger import Ledger, RolloutRecord, new_id


class Objects(dict[str, Any]):
    """An S3 of JSON values."""

    def get_json(self, key: str) -> Any:
        return self.get(key)

    def put_json(self, key: str, value: Any) -> None:
        self[key] = value


RECORD = RolloutRecord(
    id="20261120-120000-ab12", env="test", build="v2", by="me@host", started_at=NOON, groups={"a": "d-A", "b": ""}
)


def test_a_record_is_read_back_as_it_was_written() -> None:
    ledger = Ledger(Objects(), "test")
    ledger.write(RECORD)
    assert ledger.latest() == ledger.read(RECORD.id) == RECORD


def test_an_environment_does_not_see_the_rollouts_of_another() -> None:
    store = Objects()
    Ledger(store, "production").write(RECORD)
    assert Ledger(store, "test").latest() is None


def test_an_unknown_id_is_the_users_error() -> None:
    with pytest.raises(UsageError, match="no-such"):
        Ledger(Objects(), "test").read("no-such")


def test_a_damaged_record_is_named() -> None:
    store = Objects({"rollouts/test/x.json": {"id": "x"}})
    with pytest.raises(ShipitError, match=r"rollouts/test/x\.json"):
        Ledger(store, "test").read("x")


def test_ids_sort_by_time_and_differ_within_a_second() -> None:
    assert new_id(NOON).startswith("20261120-120000-")
    assert len({new_id(NOON) for _ in range(50)}) > 45
