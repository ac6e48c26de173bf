"""A failed group says why and what to type; equal failures are told as one."""

from dataclasses import replace
from datetime import timedelta

from diagnosing import AGAIN, END, RECLAIMED, explained, failed, script, skipped, target
from fakes import NOON

from shipit.diagnose import cluster, note
from shipit.events import GroupDiagnosed
from shipit.models import (
    InstanceFacts,
    Overview,
    Phase,
    Target,
    TargetStatus,
)


def test_the_failed_script_is_the_cause_and_its_target_comes_first() -> None:
    found = explained(target("i-1", skipped("AfterInstall"), status=TargetStatus.SKIPPED), target("i-2", script()))
    assert found.cause == "AfterInstall, exit 1: scripts/after.sh"
    assert found.next_step == "mend scripts/after.sh, commit, then inv deploy"
    assert [j.target.instance_id for j in found.judged] == ["i-2", "i-1"]
    kept = note(found)
    assert (kept.event, kept.script, kept.log_tail) == ("AfterInstall", "scripts/after.sh", "boom")
    assert kept.instances == ("i-2", "i-1")


def test_a_broken_script_is_told_before_any_number_of_reclaimed_instances() -> None:
    gone = [target(f"i-{n}", skipped("Install")) for n in range(2, 9)]
    facts = {t.instance_id: replace(RECLAIMED["i-1"], id=t.instance_id) for t in gone}
    assert explained(*gone, target("i-1", script()), facts=facts).cause.startswith("AfterInstall, exit 1")


def test_of_two_things_to_blame_the_one_of_more_instances_is_told() -> None:
    dead = [target(f"i-{n}", skipped("Install")) for n in range(2, 5)]
    assert "agent" in explained(target("i-1", script()), *dead).cause


def test_a_failing_application_stop_is_the_installed_revisions_and_may_be_ignored() -> None:
    found = explained(target("i-1", script("ApplicationStop")))
    assert "installed revision" in found.next_step
    assert f"{AGAIN} --ignore-stop-failures" in found.next_step


def test_a_dead_agent_comes_with_a_checklist_and_the_command_that_restarts_it() -> None:
    found = explained(target("i-1", skipped("BeforeInstall")), target("i-2", skipped("BeforeInstall")))
    for word in ("send-command", "--instance-ids i-1 i-2;", "systemctl", "role", "clock", "disk", AGAIN):
        assert word in found.next_step, word


def test_reclaimed_instances_are_counted_and_deployed_again() -> None:
    end = replace(END, overview=Overview(succeeded=3, failed=1))
    found = explained(target("i-1", skipped("Install")), end=end, facts=RECLAIMED)
    assert found.cause.startswith("of 4 instances 1 reclaimed")
    assert found.next_step == AGAIN


def test_an_event_that_fails_without_a_script_points_at_the_agents_log() -> None:
    found = explained(target("i-1", failed("DownloadBundle", error_code="UnknownError", message="no such key")))
    assert found.cause == "DownloadBundle failed: no such key"
    assert "agent's log on i-1" in found.next_step


def test_a_timeout_says_what_to_change() -> None:
    own = explained(target("i-1", script(error_code="ScriptTimedOut", message="")))
    assert own.cause == "AfterInstall, timed out: scripts/after.sh"
    assert "appspec.yml" in own.next_step
    hour = explained(target("i-1", failed("Install", started_at=NOON, ended_at=NOON + timedelta(hours=1))))
    assert "hour" in hour.cause


def test_a_partial_success_says_how_many_were_left_behind() -> None:
    end = replace(END, phase=Phase.PARTIAL, error_code="", error_message="")
    assert "2 of 2 instances were left behind" in explained(end=end).cause


def test_a_config_that_leaves_no_slot_is_not_blamed_on_the_agents() -> None:
    end = replace(END, overview=Overview(skipped=1))
    found = explained(target("i-1", skipped("Install"), status=TargetStatus.SKIPPED), end=end)
    assert "deployment config" in found.cause
    assert "deployment-config" in found.next_step


def test_a_busy_group_names_its_holder() -> None:
    held = replace(END, error_code="BUSY", error_message="email: deployment d-OTHER0001 is still running there")
    assert "d-OTHER0001" in explained(end=held).cause


def test_every_end_comes_with_a_command() -> None:
    for code in ("BUSY", "NOT_CREATED", "REFUSED", "NO_INSTANCES", "HEALTH_CONSTRAINTS", "MANUAL_STOP", ""):
        for phase in (Phase.FAILED, Phase.STOPPED, Phase.PARTIAL):
            assert AGAIN in explained(end=replace(END, error_code=code, phase=phase)).next_step


def test_names_that_a_shell_would_read_are_quoted() -> None:
    end = replace(END, group="e mail;rm", error_code="NO_INSTANCES")
    assert "--only 'e mail;rm'" in explained(end=end).next_step


# -- joined -------------------------------------------------------------------------------------------------------


def group_failure(
    name: str, *targets: Target, facts: dict[str, InstanceFacts] | None = None, **more: str
) -> GroupDiagnosed:
    end = replace(END, group=name, deployment_id=f"d-{name.upper()}00000", **more)  # type: ignore[arg-type]  # text
    return explained(*targets, end=end, facts=facts)


def test_equal_failures_are_one_whatever_ids_paths_and_numbers_they_hold() -> None:
    failures = [
        group_failure(
            f"q{n}",
            *(
                target(f"i-{n}-{k}", failed("Install", message=f"/srv/d-ABCDEF{n}{k}0/x{k}: exists, {k} bytes"))
                for k in range(3)
            ),
        )
        for n in range(12)
    ]
    (found,) = cluster(failures)
    assert len(found.instances) == 36
    assert len(found.groups) == 12
    assert found.cause == "Install failed: /srv/…/…: exists, … bytes"
    assert len({f.likeness for f in failures}) == 1


def test_another_exit_code_script_or_event_is_another_failure() -> None:
    failures = [
        group_failure("a", target("i-1", script())),
        group_failure("b", target("i-2", script(code=2))),
        group_failure("c", target("i-3", script(script="scripts/other.sh"))),
        group_failure("d", target("i-4", script("ApplicationStart"))),
    ]
    assert len(cluster(failures)) == 4


def test_the_most_instances_come_first_but_what_is_only_gone_comes_last() -> None:
    gone = [target(f"i-g{n}", skipped("Install")) for n in range(9)]
    facts = {t.instance_id: replace(RECLAIMED["i-1"], id=t.instance_id) for t in gone}
    found = cluster(
        [
            group_failure("a", *gone, facts=facts),
            group_failure("b", target("i-1", script())),
            group_failure("c", target("i-2", script(code=2)), target("i-3", script(code=2))),
        ]
    )
    assert [c.groups for c in found] == [("c",), ("b",), ("a",)]


def test_instances_that_were_held_back_stand_with_the_cause_of_their_group() -> None:
    waiting = target("i-2", skipped("Install"), status=TargetStatus.SKIPPED)
    (found,) = cluster([group_failure("a", target("i-1", script()), waiting)])
    assert (found.instances, found.held_back) == (("i-1",), ("i-2",))
    assert found.sample
    assert found.sample.target.instance_id == "i-1"


def test_the_next_step_of_many_is_one_command_for_them_all() -> None:
    dead = [group_failure(n, target(f"i-{n}", skipped("Install"))) for n in ("a", "b")]
    step = cluster(dead)[0].next_step
    assert "--instance-ids i-a i-b;" in step
    assert step.endswith("inv deploy --build v2 --only a,b")
    many = [group_failure(f"q{n}", error_code="NO_INSTANCES") for n in range(40)]
    assert cluster(many)[0].next_step == "scale the group out, then inv deploy --build v2"


def test_busy_groups_are_one_though_each_has_another_holder() -> None:
    busy = [
        group_failure(
            n, error_code="BUSY", error_message=f"{n}: deployment d-{n.upper()}HOLDER0 is still running there"
        )
        for n in ("email", "reports")
    ]
    (found,) = cluster(busy)
    assert found.cause == "deployment … is still running there"
    assert found.instances == ()
    assert cluster(busy[:1])[0].cause == "deployment d-EMAILHOLDER0 is still running there"
