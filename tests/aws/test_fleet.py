"""The fleet is read one to one: an ASG without a group, or with two, is refused before anything is changed."""

import pytest

from shipit.aws.autoscaling import AsgRecord
from shipit.aws.codedeploy import GroupRecord
from shipit.aws.fleet import pair
from shipit.errors import PreflightError


def asg(name: str) -> AsgRecord:
    return AsgRecord(name=name, tags={"queue": name}, instances=())


def test_each_asg_meets_its_only_group_in_the_order_of_names() -> None:
    groups = [GroupRecord(name="z", asgs=("a",)), GroupRecord(name="b", asgs=("c",))]
    assert [(g.name, a.name) for g, a in pair([asg("a"), asg("c")], groups, "queue")] == [("b", "c"), ("z", "a")]


def test_groups_of_other_asgs_do_not_matter() -> None:
    groups = [GroupRecord(name="a", asgs=("a",)), GroupRecord(name="x", asgs=("foreign",))]
    assert len(pair([asg("a")], groups, "queue")) == 1


def test_an_asg_without_a_group_is_refused_by_name() -> None:
    with pytest.raises(PreflightError, match="orphan"):
        pair([asg("orphan")], [], "queue")


def test_two_groups_on_one_asg_are_refused_by_name() -> None:
    groups = [GroupRecord(name="one", asgs=("a",)), GroupRecord(name="two", asgs=("a",))]
    with pytest.raises(PreflightError, match="one, two"):
        pair([asg("a")], groups, "queue")


def test_one_group_on_two_asgs_is_refused() -> None:
    with pytest.raises(PreflightError, match="holds 2 ASGs"):
        pair([asg("a")], [GroupRecord(name="g", asgs=("a", "b"))], "queue")
