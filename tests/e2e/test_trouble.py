"""Interrupts, throttles and refusals: one clear line, the right exit code, nothing half-done."""

import signal
import socket
import subprocess
import time

from project import QUEUES, Project, finish

from shipit.sandbox.lifecycle import Running


def slow(project: Project, seconds: float) -> None:
    assert project.inv("sandbox.start").code == 0
    project.control("script", rules=[{"seconds": seconds}])


def until(process: subprocess.Popen[str], line: str) -> None:
    """Read what a process prints up to such a line."""
    assert process.stdout
    for said in process.stdout:
        if line in said:
            return
    raise AssertionError(finish(process))


def test_ctrl_c_leaves_the_deployments_running_and_watch_attaches_again(scripted: Project) -> None:
    slow(scripted, 3.0)
    ended = scripted.interrupted("deploy", "--no-verify", at="started")
    scripted.control("script", rules=[{"seconds": 0.02}])
    assert ended.code == 130, ended.all
    assert "go on in AWS" in ended.err
    assert "inv watch" in ended.err
    watched = scripted.inv("watch")
    assert watched.code == 0, watched.all
    assert "all its groups succeeded" in watched.out
    # Nobody drives it any more; carried on, it ends as it would have.
    resumed = scripted.inv("deploy", "--resume", "--no-verify")
    assert resumed.code == 0, resumed.all
    assert "converged" not in scripted.inv("history").out
    assert "deployed" in scripted.inv("history").out


def test_sigterm_ends_as_ctrl_c_does(scripted: Project) -> None:
    slow(scripted, 60.0)
    ended = scripted.interrupted("deploy", "--no-verify", at="started", number=signal.SIGTERM)
    assert ended.code == 130, ended.all


def test_a_deadline_is_exit_6_and_says_how_to_go_on(scripted: Project) -> None:
    # However late the first look comes, none of them may have ended by then.
    slow(scripted, 60.0)
    ended = scripted.inv("deploy", "--no-verify", "--timeout", "1s")
    assert ended.code == 6, ended.all
    assert "inv watch" in ended.err


def test_a_third_of_throttled_calls_changes_nothing(scripted: Project) -> None:
    scripted.inv("sandbox.start")
    scripted.control("script", rules=[{"seconds": 0.1}])
    scripted.control("throttle", probability=0.3, seed=1)
    ended = scripted.inv("deploy", "--no-verify", "--json")
    assert ended.code == 0, ended.all
    finished = next(e for e in ended.events if e["event"] == "rollout_finished")
    assert set(finished["phases"].values()) == {"succeeded"}
    assert finished["calls"]["CreateDeployment"] >= len(QUEUES)


def test_a_second_rollout_is_kept_out_with_exit_4_or_waits_its_turn(scripted: Project) -> None:
    slow(scripted, 3.0)
    first = scripted.start("deploy", "--no-verify", "--only", "reports")
    until(first, "started")
    second = scripted.inv("deploy", "--no-verify")
    assert second.code == 4, second.all
    assert "locked by" in second.err
    assert "--lock-wait" in second.err
    scripted.control("script", rules=[{"seconds": 0.02}])
    third = scripted.inv("deploy", "--no-verify", "--lock-wait", "1m")
    assert third.code == 0, third.all
    said = finish(first)
    assert first.returncode == 0, said


def test_a_group_that_somebody_else_deploys_to_is_treated_as_the_policy_says(scripted: Project) -> None:
    slow(scripted, 0.1)
    assert scripted.inv("deploy", "--no-verify").code == 0
    scripted.commit("second")
    scripted.control("fault", name="busy", group="reports", seconds="600")
    refused = scripted.inv("deploy", "--no-verify", "--on-busy", "fail")
    assert refused.code == 4, refused.all
    assert "reports" in refused.err
    assert "started" not in refused.out
    skipped = scripted.inv("deploy", "--no-verify", "--on-busy", "skip")
    assert skipped.code == 4, skipped.all
    assert skipped.out.count("succeeded in") == len(QUEUES) - 1
    # What was left alone is no success: neither here nor for whoever looks for a build to go back to.
    assert scripted.inv("history", "--json").events[-1]["fields"]["rollouts"][0]["outcome"] == "busy"
    for policy, planned in (("stop", "stops d-"), ("wait", "waits for d-")):
        scripted.commit(policy)
        scripted.control("fault", name="busy", group="images-resize", seconds="600")
        deploying = scripted.start("deploy", "--no-verify", "--on-busy", policy, "--only", "images-resize")
        until(deploying, planned)
        while policy == "stop" and not scripted.control("calls")["calls"].get("StopDeployment"):
            assert deploying.poll() is None, finish(deploying)
            time.sleep(0.05)
        # Hooks that run are not interrupted: what is stopped must end, too.
        scripted.control("fault", name="clear")
        said = finish(deploying)
        assert deploying.returncode == 0, said


def test_a_scripted_failure_shows_the_log_tail(scripted: Project) -> None:
    scripted.inv("sandbox.start")
    fail = {"script": "scripts/start.sh", "log_tail": "[stderr]port is taken\n"}
    scripted.control(
        "script", rules=[{"seconds": 0.05}, {"group": "reports", "event": "ApplicationStart", "fail": fail}]
    )
    ended = scripted.inv("deploy", "--no-verify")
    assert ended.code == 1, ended.all
    for word in ("ApplicationStart", "scripts/start.sh", "port is taken"):
        assert word in ended.all, word


def test_an_absent_bucket_or_application_is_exit_7_in_one_line(scripted: Project) -> None:
    assert scripted.inv("sandbox.start").code == 0
    toml = scripted.root / "shipit.toml"
    more = f"""
[env.nobucket]
bucket = "shipit-nowhere"
endpoint-url = "http://127.0.0.1:{scripted.port}"
region = "us-east-1"

[env.noapplication]
application = "nobody"
endpoint-url = "http://127.0.0.1:{scripted.port}"
region = "us-east-1"

[env.nobody]
endpoint-url = "http://127.0.0.1:9"
region = "us-east-1"
"""
    toml.write_text(toml.read_text() + more)
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    scripted.git("commit", "--quiet", "--all", "--message", "environments")
    for env, word in (("nobucket", "shipit-nowhere"), ("noapplication", "nobody"), ("nobody", "out of reach")):
        ended = scripted.inv("deploy", "-e", env, env=keys)
        assert ended.code == 7, ended.all
        assert word in ended.err
        assert "Traceback" not in ended.all


def test_missing_credentials_are_exit_7_and_say_how_to_log_in(scripted: Project) -> None:
    toml = scripted.root / "shipit.toml"
    toml.write_text(toml.read_text() + '\n[env.real]\nregion = "us-east-1"\n')
    nowhere = str(scripted.root / "nothing")
    env = {"AWS_SHARED_CREDENTIALS_FILE": nowhere, "AWS_CONFIG_FILE": nowhere}
    ended = scripted.inv("plan", "-e", "real", env=env)
    assert ended.code == 7, ended.all
    assert "credentials" in ended.err
    assert "Traceback" not in ended.all


def test_a_taken_port_is_refused_with_what_to_set(scripted: Project) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", scripted.port))
        holder.listen()
        ended = scripted.inv("sandbox.start")
    assert ended.code == 5, ended.all
    assert str(scripted.port) in ended.err
    assert "port" in ended.err


def test_stopping_the_sandbox_leaves_no_process_behind(project: Project) -> None:
    assert project.inv("deploy", "--only", "reports").code == 0
    marked = f"SHIPIT_SANDBOX_INSTANCE={project.state}"
    running = Running.read(project.state)
    assert running
    assert project.inv("sandbox.stop").code == 0
    assert not running.alive
    environments = subprocess.run(
        ["sh", "-c", f"grep -lsaF '{marked}' /proc/[0-9]*/environ || true"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert environments.stdout == ""


def test_two_commands_at_once_start_one_sandbox(scripted: Project) -> None:
    both = [scripted.start("sandbox.start"), scripted.start("sandbox.start")]
    assert [p.wait(60) for p in both] == [0, 0]
    assert Running.read(scripted.state)
    assert (scripted.state / "daemon.log").read_text().count("serving") == 1


def test_debug_shows_the_traceback_and_nothing_else_does(scripted: Project) -> None:
    assert "Traceback" not in scripted.inv("plan", "-e", "nowhere").all
    assert "Traceback" in scripted.inv("plan", "-e", "nowhere", "--debug").err


def test_ctrl_c_while_building_leaves_no_bundle(scripted: Project) -> None:
    toml = scripted.root / "shipit.toml"
    toml.write_text(toml.read_text().replace('path = "worker"', 'path = "worker"\ncommands = ["sleep 30"]'))
    scripted.git("commit", "--quiet", "--all", "--message", "slow build")
    ended = scripted.interrupted("deploy", at="sleep 30")
    assert ended.code == 130, ended.all
    assert not list((scripted.root / ".shipit").glob("builds/**/*.tgz"))


def test_ctrl_c_while_verifying_ends_at_once(scripted: Project) -> None:
    assert scripted.inv("sandbox.start").code == 0
    scripted.control("script", rules=[{"seconds": 0.02}])
    assert scripted.inv("deploy", "--no-verify").code == 0
    ended = scripted.interrupted("verify-versions", "--wait", "5m", at="current")
    assert ended.code == 130, ended.all


def test_scripted_instances_never_report_and_so_never_pass(scripted: Project) -> None:
    assert scripted.inv("sandbox.start").code == 0
    scripted.control("script", rules=[{"seconds": 0.02}])
    assert scripted.inv("deploy", "--no-verify").code == 0
    ended = scripted.inv("verify-versions")
    assert ended.code in (3, 6), ended.all
