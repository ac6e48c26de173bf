"""The steps of the CI job, as the shell script that any CI can run."""

import subprocess
from pathlib import Path

from project import REPOSITORY, Project

SCRIPT = REPOSITORY / "examples" / "ci" / "deploy.sh"


def run(project: Project, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), "sandbox"],
        cwd=project.root,
        env=project.environment(CI="true", **more),
        capture_output=True,
        text=True,
        timeout=180,
    )


def test_the_job_builds_publishes_deploys_and_verifies(project: Project, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    ended = run(project, GITHUB_STEP_SUMMARY=str(summary))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\x1b" not in ended.stdout
    assert project.inv("version").out.strip() in summary.read_text()


def test_the_job_fails_for_the_right_reason(project: Project) -> None:
    project.own("scripts/validate_service.sh").write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    project.commit("broken")
    ended = run(project)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "ValidateService" in ended.stdout + ended.stderr
