"""One port serves every service to unmodified clients, and the services know of each other."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from daemons import Sandbox, eventually, small

from shipit.sandbox.instance.role import ACCESS_KEY, ROLE_ID

APPLICATION = {"applicationName": "worker"}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A daemon that several tests use; none leaves anything throttled or a deployment running."""
    sandbox = Sandbox(small(tmp_path_factory.mktemp("daemon")))
    sandbox.ensure()
    sandbox.control("script", rules=[{"seconds": 0.01}])
    yield sandbox
    sandbox.stop()


def members(sandbox: Sandbox, group: str) -> list[str]:
    asg = sandbox.client("autoscaling")
    found = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[f"worker-{group}"])["AutoScalingGroups"][0]
    return [instance["InstanceId"] for instance in found["Instances"]]


def deploy(sandbox: Sandbox, group: str, key: str = "builds/1/worker.tgz") -> Any:
    """Deploy, wait for the end, and return what became of it."""
    codedeploy = sandbox.client("codedeploy")
    revision = {"revisionType": "S3", "s3Location": {"bucket": "some-bucket", "key": key, "bundleType": "tgz"}}
    made = codedeploy.create_deployment(**APPLICATION, deploymentGroupName=group, revision=revision)
    return ended(sandbox, made["deploymentId"])


def ended(sandbox: Sandbox, deployment: str) -> Any:
    codedeploy = sandbox.client("codedeploy")

    def info() -> Any:
        found = codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"]
        return found if found["status"] in ("Succeeded", "Failed", "Stopped") else None

    return eventually(info)


def creators(sandbox: Sandbox, group: str) -> list[str]:
    codedeploy = sandbox.client("codedeploy")
    ids = codedeploy.list_deployments(**APPLICATION, deploymentGroupName=group)["deployments"]
    return [ended(sandbox, one)["creator"] for one in ids]


def test_each_queue_has_a_tagged_auto_scaling_group_and_a_deployment_group_on_it(sandbox: Sandbox) -> None:
    groups = sandbox.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    tags = {g["AutoScalingGroupName"]: {t["Key"]: t["Value"] for t in g["Tags"]} for g in groups}
    assert tags == {f"worker-{q}": {"queue": q, "env": "sandbox"} for q in ("email", "reports")}
    codedeploy = sandbox.client("codedeploy")
    found = codedeploy.batch_get_deployment_groups(**APPLICATION, deploymentGroupNames=["email", "reports"])
    asgs = {g["deploymentGroupName"]: g["autoScalingGroups"][0]["name"] for g in found["deploymentGroupsInfo"]}
    assert asgs == {"email": "worker-email", "reports": "worker-reports"}


def test_buckets_keep_versions_and_honour_if_none_match(sandbox: Sandbox) -> None:
    s3 = sandbox.client("s3")
    put = s3.put_object(Bucket="some-bucket", Key="once", Body=b"1", IfNoneMatch="*")
    assert put["VersionId"]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="some-bucket", Key="once", Body=b"2", IfNoneMatch="*")


def test_a_large_object_in_parts_arrives_whole(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("large") / "large"
    file.write_bytes(bytes(range(256)) * 65_536)  # 16 MiB: two parts
    s3 = sandbox.client("s3")
    s3.upload_file(str(file), "some-bucket", "large")
    assert s3.get_object(Bucket="some-bucket", Key="large")["Body"].read() == file.read_bytes()


def test_athena_reads_the_objects_of_s3_through_the_table_that_is_there(sandbox: Sandbox) -> None:
    slot = time.strftime("%Y-%m-%d-%H", time.gmtime())
    report = b'{"schema_version":1,"instance_id":"i-1","build":"b1","reported_at":"2026-11-24T10:00:00.000Z"}\n'
    key = f"sandbox/reports/v1/slot={slot}/i-1-1.json"
    sandbox.client("s3").put_object(Bucket="some-bucket", Key=key, Body=report)
    athena = sandbox.client("athena")
    query = athena.start_query_execution(
        QueryString=f"SELECT instance_id, build FROM version_reports WHERE slot = '{slot}'",
        QueryExecutionContext={"Database": "shipit"},
        ResultConfiguration={"OutputLocation": "s3://some-bucket/athena/"},
    )["QueryExecutionId"]

    def state() -> str | None:
        now = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]["State"]
        return None if now in ("QUEUED", "RUNNING") else str(now)

    assert eventually(state) == "SUCCEEDED"
    rows = athena.get_query_results(QueryExecutionId=query)["ResultSet"]["Rows"]
    assert [[cell["VarCharValue"] for cell in row["Data"]] for row in rows[1:]] == [["i-1", "b1"]]


def test_a_deployment_reaches_every_instance_of_its_group(sandbox: Sandbox) -> None:
    info = deploy(sandbox, "email")
    assert info["status"] == "Succeeded"
    targets = sandbox.client("codedeploy").list_deployment_targets(deploymentId=info["deploymentId"])["targetIds"]
    assert sorted(targets) == sorted(members(sandbox, "email"))


def test_whoever_is_launched_gets_the_last_successful_build(sandbox: Sandbox) -> None:
    deploy(sandbox, "reports")
    before = set(members(sandbox, "reports"))
    sandbox.client("autoscaling").set_desired_capacity(
        AutoScalingGroupName="worker-reports", DesiredCapacity=len(before) + 1
    )
    assert len(members(sandbox, "reports")) == len(before) + 1
    eventually(lambda: "autoscaling" in creators(sandbox, "reports"))


@pytest.mark.parametrize("decrement", [True, False])
def test_a_terminated_instance_is_replaced_unless_the_group_shrinks(sandbox: Sandbox, decrement: bool) -> None:
    before = members(sandbox, "email")
    sandbox.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=before[0], ShouldDecrementDesiredCapacity=decrement
    )
    after = members(sandbox, "email")
    assert before[0] not in after
    assert len(after) == len(before) - decrement
    assert sandbox.status["instances"] == len(after) + len(members(sandbox, "reports"))


def test_an_instance_that_ec2_terminates_is_replaced(sandbox: Sandbox) -> None:
    before = members(sandbox, "reports")
    sandbox.client("ec2").terminate_instances(InstanceIds=before[:1])
    after = members(sandbox, "reports")
    assert before[0] not in after
    assert len(after) == len(before)


def test_a_reclaimed_instance_is_replaced_and_ec2_knows_what_became_of_it(sandbox: Sandbox) -> None:
    before = members(sandbox, "reports")
    sandbox.control("instances/reclaim", ids=before[:1])
    assert before[0] not in members(sandbox, "reports")
    found = sandbox.client("ec2").describe_instances(InstanceIds=before[:1])["Reservations"][0]["Instances"][0]
    assert (found["State"]["Name"], found["InstanceLifecycle"]) == ("terminated", "spot")


def test_an_instance_is_told_who_it_is_and_everybody_else_what_moto_says(sandbox: Sandbox) -> None:
    instance = members(sandbox, "email")[0]
    mine = boto3.client(
        "sts",
        region_name="us-east-1",
        endpoint_url=sandbox.config.url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key="sandbox",
        aws_session_token=f"sandbox-{instance}",
    )
    assert mine.get_caller_identity()["UserId"] == f"{ROLE_ID}:{instance}"
    assert instance not in sandbox.client("sts").get_caller_identity()["UserId"]


def test_every_group_has_the_hook_and_an_instance_that_nobody_watches_waits_for_nothing(sandbox: Sandbox) -> None:
    asg = sandbox.client("autoscaling")
    (hook,) = asg.describe_lifecycle_hooks(AutoScalingGroupName="worker-email")["LifecycleHooks"]
    assert (hook["LifecycleHookName"], hook["LifecycleTransition"]) == (
        "shipit-drain",
        "autoscaling:EC2_INSTANCE_TERMINATING",
    )
    names = {"AutoScalingGroupName": "worker-email", "LifecycleHookName": "shipit-drain"}
    for call in (
        lambda one: asg.record_lifecycle_action_heartbeat(InstanceId=one, **names),
        lambda one: asg.complete_lifecycle_action(InstanceId=one, LifecycleActionResult="CONTINUE", **names),
    ):
        with pytest.raises(ClientError, match="No active Lifecycle Action found") as e:
            call(members(sandbox, "email")[0])
        assert e.value.response["Error"]["Code"] == "ValidationError"


def test_a_throttled_call_is_refused_as_aws_refuses_it(sandbox: Sandbox) -> None:
    sandbox.control("throttle", probability=1)
    with pytest.raises(ClientError, match="ThrottlingException"):
        sandbox.client("codedeploy").list_applications()
    sandbox.control("throttle")
    assert sandbox.client("codedeploy").list_applications()["applications"] == ["worker"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.com"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "example.com"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/_sandbox/status", "/some-bucket/once"])
def test_a_web_page_is_refused_whatever_it_asks_for(sandbox: Sandbox, path: str, headers: dict[str, str]) -> None:
    request = urllib.request.Request(sandbox.config.url + path, headers=headers)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10)
