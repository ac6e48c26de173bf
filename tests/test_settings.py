"""A mistake in shipit.toml is one line: the file, the key, what is wrong, the nearest valid name."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from shipit.errors import UsageError
from shipit.settings import load, parse_duration

GOOD = """
application = "worker"
bucket = "acme"
default-env = "staging"

[rollout]
timeout = "10m"
poll = "2s"

[env.staging]

[env.production]
bucket = "acme-prod"
protected = true

[env.production.rollout]
timeout = "1h30m"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shipit.toml").write_text(GOOD)
    return tmp_path


def wrong(project: Path, text: str, env: str = "") -> str:
    (project / "shipit.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load(env, start=project)
    return caught.value.message.removeprefix(str(project) + "/")


def test_an_environment_overlays_the_shared_keys(project: Path) -> None:
    settings = load("production", start=project)
    assert (settings.bucket, settings.protected) == ("acme-prod", True)
    assert (settings.rollout.timeout, settings.rollout.poll) == (5400.0, 2.0)


def test_the_default_environment_is_used_when_none_is_named(project: Path) -> None:
    assert load(start=project).env == "staging"


def test_settings_are_found_from_a_folder_below(project: Path) -> None:
    (project / "a" / "b").mkdir(parents=True)
    assert load(start=project / "a" / "b").root == project


def test_pyproject_serves_as_well(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.shipit]\napplication="w"\nbucket="b"\n[tool.shipit.env.dev]\nregion="eu-west-1"\n'
    )
    assert load("dev", start=tmp_path).region == "eu-west-1"


def test_settings_cannot_be_changed(project: Path) -> None:
    with pytest.raises(ValidationError):
        setattr(load(start=project), "bucket", "other")  # noqa: B010


def test_an_unknown_key_names_the_nearest_one(project: Path) -> None:
    line = wrong(project, GOOD.replace('poll = "2s"', 'pol = "2s"'))
    assert line == "shipit.toml: rollout.pol: unknown key (did you mean 'poll'?)"


def test_an_unknown_key_in_an_overlay_is_named_with_its_table(project: Path) -> None:
    line = wrong(project, GOOD.replace("protected", "protcted"), "production")
    assert line == "shipit.toml: env.production.protcted: unknown key (did you mean 'protected'?)"


def test_a_bad_duration_says_how_to_write_one(project: Path) -> None:
    line = wrong(project, GOOD.replace('"10m"', '"10 minutes"'))
    assert line == "shipit.toml: rollout.timeout: '10 minutes' is not a duration; write 90s, 5m or 1h30m"


def test_a_number_without_a_unit_is_no_duration(project: Path) -> None:
    assert "is not a duration" in wrong(project, GOOD.replace('"10m"', "600"))


def test_a_needed_key_with_a_slip_in_it_is_unknown_and_not_missing(project: Path) -> None:
    line = wrong(project, GOOD.replace('bucket = "acme"', 'buket = "acme"'))
    assert line == "shipit.toml: buket: unknown key (did you mean 'bucket'?)"


def test_a_missing_bucket_is_named(project: Path) -> None:
    assert wrong(project, GOOD.replace('bucket = "acme"\n', "")) == "shipit.toml: bucket: is missing"


def test_an_unknown_environment_names_the_nearest_one(project: Path) -> None:
    line = wrong(project, GOOD, "prodution")
    assert line == (
        "shipit.toml: env 'prodution' is not defined (did you mean 'production'?); known: production, staging"
    )


def test_broken_toml_gives_file_and_line(project: Path) -> None:
    assert "line 1" in wrong(project, "application = worker\n")


def test_no_file_at_all_says_what_to_create(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no shipit\.toml"):
        load(start=tmp_path)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("250ms", 0.25), ("2d", 172800)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "5 m", 5, None, "5m!"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('rollout.waves = "*"', "rollout.waves: must be a list, not '*'"),
        ('rollout.waves = ["canary-*", "*"]', "rollout.waves.0: must be a list, not 'canary-*'"),
        ("rollout.bake = 5", "rollout.bake: 5 is not a duration; write 90s, 5m or 1h30m"),
        ('rollout.promote = "hand"', "rollout.promote: must be one of auto, manual, not 'hand'"),
        (
            'rollout.on-busy = "skp"',
            "rollout.on-busy: must be one of wait, stop, skip, fail, not 'skp' (did you mean 'skip'?)",
        ),
        (
            'rollout.on-failure = "roll-back"',
            "rollout.on-failure: must be one of stop, continue, rollback, not 'roll-back' (did you mean 'rollback'?)",
        ),
        (
            'rollout.max-failed-groups = "many"',
            """rollout.max-failed-groups: 'many' is neither a count, nor a share such as "10%", nor "any\"""",
        ),
        ("rollout.retries = 11", "rollout.retries: must be less than or equal to 10, not 11"),
        ('rollout.retries = "2"', "rollout.retries: must be a whole number, not '2'"),
        ('rollout.promot = "auto"', "rollout.promot: unknown key (did you mean 'promote'?)"),
        ('notify.webhok = "x"', "notify.webhok: unknown key (did you mean 'webhook'?)"),
        ('notify.command = ["tell"]', "notify.command: must be text"),
        ('notify = "tell"', "notify: must be a table"),
        ('protected = "yes"', "protected: must be true or false, not 'yes'"),
    ],
)
def test_a_wrong_value_of_a_rollout_is_one_line_with_its_key_and_what_may_stand_there(
    tmp_path: Path, written: str, said: str
) -> None:
    head = 'application = "w"\nbucket = "b"\n'
    assert wrong(tmp_path, f"{head}[env.dev]\n{written}\n", "dev") == f"shipit.toml: env.dev.{said}"
    assert wrong(tmp_path, f"{head}{written}\n[env.dev]\nrollout.poll = '1s'\n", "dev") == f"shipit.toml: {said}"


def test_a_webhook_that_is_none_is_refused_and_never_shown(project: Path) -> None:
    line = wrong(project, f'{GOOD}\n[notify]\nwebhook = "hooks.example/T0/secret"\n')
    assert line == "shipit.toml: notify.webhook: must be an address that begins with https:// or http://"
    line = wrong(project, f'{GOOD}\n[notify]\nwebhook = ["https://hooks.example/T0/secret"]\n')
    assert line == "shipit.toml: notify.webhook: must be text"


def test_a_template_that_is_not_json_is_refused_before_anybody_waits_to_be_told(project: Path) -> None:
    line = wrong(project, f"{GOOD}\n[notify]\ntemplate = '{{\"text\": ${{event}}}}'\n")
    assert line.startswith("shipit.toml: notify.template: must be JSON, in which ${...} stand inside strings: ")
