"""A client that we did not write deploys through the sandbox: `aws deploy`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from project import Project


class Aws:
    """The aws command line, pointed at a project's sandbox."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def __call__(self, *words: str) -> str:
        ended = subprocess.run(
            [str(Path(sys.executable).with_name("aws")), *words],
            # The variable, for `push` makes an S3 client of its own that --endpoint-url does not reach.
            env=self._project.environment(
                AWS_ENDPOINT_URL=self._project.config.url,
                AWS_ACCESS_KEY_ID="a",
                AWS_SECRET_ACCESS_KEY="b",
                AWS_DEFAULT_REGION="us-east-1",
                AWS_PAGER="",
            ),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle as somebody without shipit would write it."""
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "appspec.yml").write_text(
        "version: 0.0\nos: linux\nfiles:\n  - source: /\n    destination: /opt/plain\n"
        "hooks:\n  ApplicationStart:\n    - location: start.sh\n      timeout: 10\n"
    )
    (folder / "start.sh").write_text('#!/bin/sh\necho "started $DEPLOYMENT_ID"\n')
    (folder / "start.sh").chmod(0o755)
    return folder


def test_push_create_wait_and_list_as_on_aws(shared_project: Project, bundle: Path) -> None:
    assert shared_project.inv("sandbox.start").code == 0
    aws = Aws(shared_project)
    where = ("--application-name", "worker")
    pushed = aws("deploy", "push", *where, "--s3-location", "s3://shipit-test/plain.zip", "--source", str(bundle))
    assert "create-deployment" in pushed
    created = json.loads(
        aws(
            "deploy",
            "create-deployment",
            *where,
            *("--deployment-group-name", "reports"),
            *("--s3-location", "bucket=shipit-test,key=plain.zip,bundleType=zip"),
        )
    )
    deployment = created["deploymentId"]
    aws("deploy", "wait", "deployment-successful", "--deployment-id", deployment)
    targets = json.loads(aws("deploy", "list-deployment-targets", "--deployment-id", deployment))["targetIds"]
    assert targets
    shown = json.loads(
        aws("deploy", "get-deployment-target", "--deployment-id", deployment, "--target-id", targets[0])
    )["deploymentTarget"]["instanceTarget"]
    assert shown["status"] == "Succeeded"
    root = shared_project.state / "instances" / targets[0] / "root" / "opt" / "plain"
    assert (root / "start.sh").read_text() == (bundle / "start.sh").read_text()
