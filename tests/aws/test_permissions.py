"""docs/iam.md grants what the gateways call and no more."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

import shipit.aws
from shipit.verify import NAMESPACE

GATEWAYS = Path(shipit.aws.__file__).parent
INSTANCE = Path(__file__).parents[2] / "scripts/shipit_instance"
PAGE = Path(__file__).parents[2] / "docs/iam.md"
#: S3's actions are not named for its operations (S3 User Guide, "Required permissions for S3 API operations").
S3 = {
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "ListObjectsV2": "s3:ListBucket",
    "DeleteObject": "s3:DeleteObject",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
}
#: What no gateway calls, and AWS checks on a call that one makes.
CHECKED_BY_AWS = {
    "CreateDeployment": {
        "codedeploy:GetApplicationRevision",
        "codedeploy:RegisterApplicationRevision",
    },
    "StartQueryExecution": {"glue:GetTable", "glue:GetDatabase", "glue:GetPartitions", "s3:GetBucketLocation"},
}
#: The same for setup, whose queries are DDL and leave their results in S3.
CHECKED_AT_SETUP = {
    "ListDatabases": {"glue:GetDatabases"},
    "ListTableMetadata": {"glue:GetTables"},
    "StartQueryExecution": {
        *("glue:GetDatabase", "glue:GetTable", "glue:CreateDatabase", "glue:CreateTable"),
        *("s3:GetBucketLocation", "s3:ListBucket", "s3:GetObject", "s3:PutObject"),
    },
}


class Unreadable(AssertionError):
    """Say where a client is used in a way that this test cannot follow."""


def used(source: str) -> Iterator[str]:
    """Yield the methods of `self._client` (and `_once`) that a gateway uses, a paginator's operation in its place.

    Raises Unreadable where the client goes anywhere else, since what is called there would not be seen.
    """
    tree = ast.parse(source)
    followed: set[int] = set()
    paginators = {
        id(node.func): node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Attribute(attr="_client" | "_once") as client, attr="get_paginator"):
                if id(node) in paginators:
                    followed.add(id(client))
                    yield str(paginators[id(node)])
            case ast.Attribute(value=ast.Attribute(attr="_client" | "_once") as client, attr=name):
                followed.add(id(client))
                yield name
            case ast.Attribute(attr="_client" | "_once", ctx=ast.Load()) if id(node) not in followed:
                # Parents come before their children: whoever follows this one has done so by now.
                raise Unreadable(f"line {node.lineno}: {ast.unparse(node)}")


@cache
def operations(service: str) -> dict[str, str]:
    """Return a service's operations by the names of boto3's methods."""
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): name for name in model.operation_names}


@cache
def calls(folder: Path = GATEWAYS) -> frozenset[tuple[str, str]]:
    """Return all that the gateways call: service, operation. A gateway's module is named for its service."""
    return frozenset(
        (module.stem, operations(module.stem)[method])
        for module in folder.glob("*.py")
        for method in set(used(module.read_text(encoding="utf-8")))
    )


def needed(called: frozenset[tuple[str, str]], checked: dict[str, set[str]]) -> set[str]:
    actions = {S3[name] if service == "s3" else f"{service}:{name}" for service, name in called}
    return actions.union(*(checked.get(name, set()) for _, name in called))


def policies() -> dict[str, dict[str, Any]]:
    """Return the page's policies by the heading above each; every block of JSON must parse."""
    found: dict[str, dict[str, Any]] = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        for block in re.findall(r"^```json\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL):
            found[section.splitlines()[0]] = json.loads(block)
    return found


def granted(policy: dict[str, Any]) -> set[str]:
    actions = [s["Action"] for s in policy["Statement"]]
    return {action for some in actions for action in ([some] if isinstance(some, str) else some)}


def test_the_deployer_may_do_what_the_gateways_call_and_no_more() -> None:
    assert granted(policies()["Deployer and CI"]) == needed(calls(), CHECKED_BY_AWS)


def test_setup_may_do_what_its_gateways_call_and_no_more() -> None:
    statements = frozenset(call for call in calls() if call[0] == "athena")
    assert granted(policies()["Setup"]) == needed(calls(GATEWAYS / "setup") | statements, CHECKED_AT_SETUP)


def test_an_instance_may_do_what_its_scripts_call_and_fetch_its_bundle() -> None:
    scripts = "".join(path.read_text(encoding="utf-8") for path in INSTANCE.glob("*.py"))
    called = set(re.findall(r'\.call\(\s*"(\w+)", "(\w+)"', scripts))
    assert called == {
        ("sts", "GetCallerIdentity"),
        ("autoscaling", "RecordLifecycleActionHeartbeat"),
        ("autoscaling", "CompleteLifecycleAction"),
    }
    # STS answers this one whatever a policy says (its API reference); the agent fetches the bundle.
    wanted = {f"{service}:{name}" for service, name in called if service != "sts"}
    assert granted(policies()["Instance"]) == wanted | {"s3:PutObject", "s3:GetObject", "s3:GetObjectVersion"}


def test_every_policy_is_one_that_iam_would_take() -> None:
    assert set(policies()) == {"Deployer and CI", "Setup", "Instance"}
    for policy in policies().values():
        assert policy["Version"] == "2012-10-17"
        for statement in policy["Statement"]:
            assert set(statement) - {"Condition"} == {"Effect", "Action", "Resource"}
            assert statement["Effect"] == "Allow"
        assert not any("*" in action for action in granted(policy))


def test_metrics_are_written_to_no_namespace_but_the_tools_own() -> None:
    [statement] = [s for s in policies()["Deployer and CI"]["Statement"] if s["Action"] == "cloudwatch:PutMetricData"]
    assert statement["Condition"] == {"StringEquals": {"cloudwatch:namespace": NAMESPACE}}


def test_every_placeholder_is_named_and_every_name_is_one() -> None:
    named = set(re.findall(r"`([A-Z]+)`", PAGE.read_text(encoding="utf-8").partition("## ")[0]))
    resources = json.dumps([s["Resource"] for policy in policies().values() for s in policy["Statement"]])
    assert named == set(re.findall(r"[A-Z]{3,}", resources))


def test_every_action_outside_of_s3_is_an_operation() -> None:
    for policy in policies().values():
        for action in granted(policy):
            service, _, name = action.partition(":")
            assert service == "s3" or name in operations(service).values(), action


def test_what_aws_checks_by_itself_belongs_to_a_call_that_is_made() -> None:
    assert set(CHECKED_BY_AWS) <= {name for _, name in calls()}
    page = PAGE.read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    for actions in CHECKED_BY_AWS.values():
        for action in actions:
            assert action.partition(":")[2] in prose, f"the page does not explain {action}"


def test_the_gateways_calls_are_found() -> None:
    found = calls()
    services = {"athena", "autoscaling", "cloudwatch", "codedeploy", "ec2", "s3", "sqs"}
    assert {service for service, _ in found} == services
    # A plain call, a paginator's, one inside another expression.
    for call in (("s3", "HeadObject"), ("codedeploy", "ListDeploymentGroups"), ("athena", "GetQueryExecution")):
        assert call in found


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("self._client.put_object(Key='k')", ["put_object"]),
        ("self._client.get_paginator('list_things').paginate()", ["list_things"]),
        ("retry(self._client.put_object)", ["put_object"]),
        ("self._client = client", []),
    ],
)
def test_a_call_is_seen(line: str, names: list[str]) -> None:
    assert list(used(line)) == names


@pytest.mark.parametrize(
    "line",
    [
        "client = self._client",
        "call(self._client)",
        "getattr(self._client, name)()",
        "self._client.get_paginator(name)",
    ],
)
def test_a_client_that_goes_where_it_cannot_be_followed_is_refused(line: str) -> None:
    with pytest.raises(Unreadable):
        list(used(line))
