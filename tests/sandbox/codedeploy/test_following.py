"""What follows from a deployment or happens beside it: rollbacks, launches, follow-ons, deaths, time limits."""

from typing import Any

import pytest
from sandbox.codedeploy.world import FAILED, World, revision

from shipit.sandbox.agents import Rule

ON_FAILURE = {"enabled": True, "events": ["DEPLOYMENT_FAILURE"]}
ON_STOP = {"enabled": True, "events": ["DEPLOYMENT_STOP_ON_REQUEST"]}


def last_success(world: World) -> str:
    deployment_id: str = world.group_info()["lastSuccessfulDeployment"]["deploymentId"]
    return deployment_id


def test_a_failure_rolls_back_to_the_last_good_revision_with_links_both_ways(world: World) -> None:
    world.group(2, autoRollbackConfiguration=ON_FAILURE)
    good = world.deployed("v1")
    world.agent.script(Rule(event="ValidateService", outcome=FAILED))
    failed_id = world.deploy("v2", description="rollout r-2")
    world.clock.advance(9)
    world.agent.clear()
    world.clock.run()
    rollback, failed = world.newest(2)
    assert (failed["deploymentId"], failed["status"]) == (failed_id, "Failed")
    assert failed["rollbackInfo"] == {"rollbackDeploymentId": rollback["deploymentId"]}
    assert rollback["rollbackInfo"] == {"rollbackTriggeringDeploymentId": failed_id}
    assert (rollback["creator"], rollback["revision"], rollback["status"]) == (
        "codeDeployRollback",
        good["revision"],
        "Succeeded",
    )
    assert rollback["previousRevision"] == revision("v1")
    assert "description" not in rollback
    assert last_success(world) == rollback["deploymentId"]


def test_a_rollback_that_fails_is_not_rolled_back(world: World) -> None:
    world.group(1, autoRollbackConfiguration=ON_FAILURE)
    world.deployed("v1")
    world.agent.script(Rule(outcome=FAILED))
    world.deployed("v2")
    assert [info["status"] for info in world.newest(9)] == ["Failed", "Failed", "Succeeded"]


def test_without_a_good_revision_there_is_a_message_instead_of_a_rollback(world: World) -> None:
    world.group(1, autoRollbackConfiguration=ON_FAILURE)
    world.agent.script(Rule(outcome=FAILED))
    info = world.deployed("v1")
    assert "no successful deployment" in info["rollbackInfo"]["rollbackMessage"]
    assert len(world.newest(9)) == 1


@pytest.mark.parametrize(
    ("of_group", "of_deployment", "rolled_back"),
    [
        (ON_FAILURE, None, True),
        (ON_FAILURE, {"enabled": False}, False),
        ({"enabled": False}, ON_FAILURE, True),
        (ON_STOP, None, False),
        (ON_FAILURE, ON_STOP, False),
    ],
)
def test_the_deployment_s_policy_comes_before_the_group_s(
    world: World, of_group: Any, of_deployment: Any, rolled_back: bool
) -> None:
    world.group(1, autoRollbackConfiguration=of_group)
    world.deployed("v1")
    world.agent.script(Rule(event="Install", outcome=FAILED))
    options = {"autoRollbackConfiguration": of_deployment} if of_deployment else {}
    assert ("rollbackInfo" in world.deployed("v2", **options)) is rolled_back


@pytest.mark.parametrize(
    ("policy", "asked", "rolled_back"),
    [
        (ON_STOP, None, True),
        (ON_FAILURE, None, False),
        (ON_FAILURE, True, True),
        (ON_STOP, False, False),
    ],
)
def test_a_stop_rolls_back_as_it_says_or_else_by_policy(
    world: World, policy: Any, asked: bool | None, rolled_back: bool
) -> None:
    world.group(1, autoRollbackConfiguration=policy)
    world.deployed("v1")
    deployment_id = world.deploy("v2")
    world.clock.advance(3)
    options = {} if asked is None else {"autoRollbackEnabled": asked}
    world.aws.stop_deployment(deploymentId=deployment_id, **options)
    world.clock.run()
    assert ("rollbackInfo" in world.info(deployment_id)) is rolled_back
    assert world.newest()[0]["status"] == ("Succeeded" if rolled_back else "Stopped")


def test_a_new_instance_gets_the_last_successful_revision(world: World) -> None:
    world.group(1)
    world.deployed("v1", description="rollout r-1")
    world.codedeploy.instance_launched("asg-q", "i-new")
    world.clock.run()
    launch = world.newest()[0]
    assert (launch["creator"], launch["revision"], launch["status"]) == ("autoscaling", revision("v1"), "Succeeded")
    assert world.started(launch["deploymentId"]) == ["i-new"]
    assert world.launches == [("asg-q", "i-new", True)]
    assert launch["deploymentId"] != last_success(world)


def test_a_launch_into_a_group_that_never_succeeded_has_nothing_to_do(world: World) -> None:
    world.group(1)
    world.codedeploy.instance_launched("asg-q", "i-new")
    world.codedeploy.instance_launched("asg-of-nobody", "i-other")
    world.clock.run()
    assert world.launches == [("asg-q", "i-new", True), ("asg-of-nobody", "i-other", True)]
    assert world.newest() == []


def test_a_launch_that_fails_says_so_and_leaves_the_group_alone(world: World) -> None:
    world.group(1, config="half", autoRollbackConfiguration=ON_FAILURE)
    world.deployed("v1", deploymentConfigName="CodeDeployDefault.AllAtOnce")
    world.agent.script(Rule(instance_id="i-new", event="ApplicationStart", outcome=FAILED))
    world.codedeploy.instance_launched("asg-q", "i-new")
    world.clock.run()
    assert world.launches == [("asg-q", "i-new", False)]
    assert len(world.newest(9)) == 2


@pytest.mark.parametrize("strategy", ["UPDATE", "IGNORE"])
def test_an_instance_launched_in_mid_deployment_gets_the_old_build_then_follows_by_strategy(
    world: World, strategy: str
) -> None:
    world.group(2, outdatedInstancesStrategy=strategy)
    world.deployed("v1")
    root_id = world.deploy("v2")
    world.clock.advance(5)
    world.codedeploy.instance_launched("asg-q", "i-new")
    world.clock.run()
    root = world.info(root_id)
    if strategy == "IGNORE":
        assert "relatedDeployments" not in root
        assert world.newest()[0]["revision"] == revision("v1")
        return
    follow_on, launch = world.newest(2)
    assert (launch["creator"], launch["revision"]) == ("autoscaling", revision("v1"))
    assert (follow_on["creator"], follow_on["revision"], follow_on["status"]) == (
        "CodeDeployAutoUpdate",
        revision("v2"),
        "Succeeded",
    )
    assert world.started(follow_on["deploymentId"]) == ["i-new"]
    assert root["relatedDeployments"] == {"autoUpdateOutdatedInstancesDeploymentIds": [follow_on["deploymentId"]]}
    assert follow_on["relatedDeployments"] == {
        "autoUpdateOutdatedInstancesRootDeploymentId": root_id,
        "autoUpdateOutdatedInstancesDeploymentIds": [],
    }
    assert last_success(world) == root_id


def test_a_launch_under_way_when_a_deployment_is_created_is_caught_up_with_too(world: World) -> None:
    world.group(1)
    world.deployed("v1")
    world.codedeploy.instance_launched("asg-q", "i-new")
    world.clock.advance(2)
    world.deployed("v2")
    assert world.newest()[0]["creator"] == "CodeDeployAutoUpdate"
    assert world.started(world.newest()[0]["deploymentId"]) == ["i-new"]


def test_a_launch_during_the_very_first_deployment_is_updated_after_it(world: World) -> None:
    world.group(1)
    world.deploy("v1")
    world.clock.advance(3)
    world.codedeploy.instance_launched("asg-q", "i-new")
    world.clock.run()
    assert world.launches == [("asg-q", "i-new", True)]
    assert world.newest()[0]["creator"] == "CodeDeployAutoUpdate"


def test_a_failed_deployment_has_no_follow_on(world: World) -> None:
    world.group(1)
    world.deployed("v1")
    world.agent.script(Rule(instance_id="i-q-0", outcome=FAILED, seconds=20))
    world.deploy("v2")
    world.clock.advance(3)
    world.codedeploy.instance_launched("asg-q", "i-new")
    world.clock.run()
    assert [info["creator"] for info in world.newest(9)] == ["autoscaling", "user", "user"]


def test_a_death_during_an_event_holds_the_deployment_for_an_hour(world: World) -> None:
    world.group(2)
    deployment_id = world.deploy()
    world.clock.advance(3.5)
    world.codedeploy.instance_gone("i-q-1")
    world.clock.advance(3590)
    info = world.info(deployment_id)
    assert (info["status"], info["deploymentOverview"]["InProgress"]) == ("InProgress", 1)
    world.clock.advance(20)
    info = world.info(deployment_id)
    assert (info["status"], info["deploymentOverview"]["Failed"]) == ("Succeeded", 1)
    assert world.statuses(deployment_id, "i-q-1") == ["Succeeded"] * 2 + ["Failed"] + ["Skipped"] * 4


def test_a_death_before_an_event_holds_it_for_five_minutes_and_shows_skipped_events_only(world: World) -> None:
    world.group(2, config="one")
    deployment_id = world.deploy()
    world.clock.advance(3)
    world.codedeploy.instance_gone("i-q-1")
    world.clock.advance(300)
    assert world.info(deployment_id)["status"] == "InProgress"
    world.clock.advance(30)
    info = world.info(deployment_id)
    assert (info["status"], info["deploymentOverview"]["Failed"]) == ("Succeeded", 1)
    assert world.statuses(deployment_id, "i-q-1") == ["Skipped"] * 7


def test_a_stop_frees_a_group_that_a_dead_instance_holds(world: World) -> None:
    world.group(2)
    world.deployed("v1")
    hanging = world.deploy("v2")
    world.clock.advance(3)
    world.codedeploy.instance_gone("i-q-1")
    world.members["asg-q"] = ["i-q-0"]
    world.clock.advance(30)
    world.aws.stop_deployment(deploymentId=hanging)
    info = world.deployed("v2", updateOutdatedInstancesOnly=True)
    assert info["errorInformation"]["code"] == "NO_INSTANCES", "the only instance left has it already"
    assert world.info(hanging)["status"] == "Stopped"


def test_a_dead_agent_fails_its_instance_after_five_minutes(world: World) -> None:
    world.group(1)
    world.agent.script(Rule(absent=True))
    deployment_id = world.deploy()
    world.clock.advance(299)
    assert world.info(deployment_id)["status"] == "InProgress"
    world.clock.advance(5)
    assert world.info(deployment_id)["errorInformation"]["code"] == "HEALTH_CONSTRAINTS"
    assert world.statuses(deployment_id, "i-q-0") == ["Skipped"] * 7


def test_an_agent_that_dies_between_events_fails_the_event_it_never_fetched(world: World) -> None:
    world.group(1)
    world.agent.script(Rule(event="AfterInstall", absent=True))
    info = world.deployed()
    assert world.statuses(info["deploymentId"], "i-q-0") == ["Succeeded"] * 4 + ["Failed"] + ["Skipped"] * 2
    event = world.target(info["deploymentId"], "i-q-0")["lifecycleEvents"][4]
    assert event["diagnostics"]["errorCode"] == "UnknownError"
    assert "not able to receive the lifecycle event" in event["diagnostics"]["message"]


def test_a_hook_that_hangs_fails_after_an_hour(world: World) -> None:
    world.group(1)
    world.agent.script(Rule(event="ApplicationStart", outcome=None))
    deployment_id = world.deploy()
    world.clock.advance(3600)
    assert world.info(deployment_id)["status"] == "InProgress"
    world.clock.advance(60)
    assert world.info(deployment_id)["status"] == "Failed"


def test_an_answer_that_comes_after_the_limit_changes_nothing(world: World) -> None:
    world.group(1)
    world.agent.script(Rule(event="Install", seconds=4000))
    info = world.deployed()
    assert (info["status"], world.statuses(info["deploymentId"], "i-q-0")[3]) == ("Failed", "Failed")


def test_a_deployment_fails_after_twelve_hours(world: World) -> None:
    world.group(14, config="one")
    world.agent.script(Rule(event="Install", seconds=3590))
    deployment_id = world.deploy()
    world.clock.advance(12 * 3600 + 5)
    info = world.info(deployment_id)
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "TIMEOUT")
    world.clock.run()
    overview = world.info(deployment_id)["deploymentOverview"]
    assert overview["InProgress"] == overview["Pending"] == 0
    assert overview["Succeeded"] + overview["Skipped"] == 14


def test_an_instance_announced_twice_is_deployed_to_once(world: World) -> None:
    world.group(1)
    world.deployed("v1")
    for _ in range(2):
        world.codedeploy.instance_launched("asg-q", "i-new")
    world.clock.run()
    assert world.launches == [("asg-q", "i-new", True)]
    assert len(world.newest(9)) == 2


def test_an_agent_that_breaks_fails_its_event_with_the_reason(world: World) -> None:
    world.group(2)
    world.agent.breaks_on = "i-q-1"
    info = world.deployed()
    assert (info["status"], info["deploymentOverview"]["Failed"]) == ("Succeeded", 1)
    event = world.target(info["deploymentId"], "i-q-1")["lifecycleEvents"][0]
    assert event["diagnostics"]["message"] == "RuntimeError: on purpose"
