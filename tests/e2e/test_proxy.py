"""A proxy in the environment is for the way out: the sandbox is reached, and its instances report, without it."""

from __future__ import annotations

from project import Project

NOWHERE = "http://127.0.0.1:9"
PROXY = {name: NOWHERE for n in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (n, n.lower())}


def test_a_sandbox_behind_a_proxy_is_deployed_to_and_verified(project: Project) -> None:
    env = {**PROXY, "NO_PROXY": "", "no_proxy": ""}
    planned = project.inv("plan", env=env)
    assert planned.code == 0, planned.all
    deployed = project.inv("deploy", env=env)
    assert deployed.code == 0, deployed.all
    # Each instance's own report came through, from hooks that the daemon ran under the same environment.
    assert "8 of 8 current" in deployed.out
