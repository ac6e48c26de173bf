"""Each rule for Celery's settings finds what it is for, in every spelling, and lets what is right alone."""

from __future__ import annotations

import pytest
from bundles import File, found, look, rules

GOOD = """
    from celery import Celery
    app = Celery("x", broker="sqs://")
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_time_limit=600,
        worker_prefetch_multiplier=1,
        broker_transport_options={"wait_time_seconds": 2, "predefined_queues": {}},
    )
    """
LATE = "celery-acks-late-without-reject"
POLL = "celery-long-poll-without-quiesce"


def app(*lines: str, base: str = GOOD) -> dict[str, str | File]:
    """Return the good application with lines behind it."""
    return {"app.py": base.rstrip() + "".join(f"\n    {line}" for line in lines)}


def without(setting: str, *lines: str) -> dict[str, str | File]:
    """Return the good application without one of its settings, and with lines behind it."""
    kept = [line for line in GOOD.splitlines() if not line.strip().startswith(setting)]
    assert len(kept) == len(GOOD.splitlines()) - 1
    return app(*lines, base="\n".join(kept))


def test_good_settings_have_no_findings() -> None:
    assert found(app()) == []
    assert found(app("import shipit_worker")) == []


def test_a_project_without_celery_has_no_findings() -> None:
    assert found({"main.py": "print(1)\n", "bin/run": "#!/bin/sh\nexec python main.py\n"}) == []


@pytest.mark.parametrize(
    "text",
    [
        "app.conf.update(task_acks_late=True)",
        "app.conf.update({'task_acks_late': True})",
        "app.conf.update(dict(task_acks_late=True))",
        "app.conf.update(**{'task_acks_late': True})",
        "app.conf.task_acks_late = True",
        "app.conf['task_acks_late'] = True",
        "app.conf.add_defaults({'task_acks_late': True})",
        "x = celery.Celery('x', changes={'task_acks_late': True})",
        "task_acks_late = True",
        "task_acks_late: bool = True",
        "CELERY_ACKS_LATE = True",
        "CELERY_TASK_ACKS_LATE = True",
        "WORKER_TASK_ACKS_LATE = True",
        "class Config:\n    task_acks_late = True",
        "YES = True\napp.conf.task_acks_late = YES",
        "MINE = {'task_acks_late': True}\napp.conf.update(MINE)",
        "MINE = dict(task_acks_late=True)\napp.conf.update(**MINE)",
        "if production:\n    app.conf.task_acks_late = True",
        "try:\n    pass\nexcept Exception:\n    task_acks_late = True",
        "@app.task(acks_late=True)\ndef f(): pass",
        "@shared_task(acks_late=True, reject_on_worker_lost=False)\nasync def f(): pass",
    ],
)
def test_a_late_acknowledgement_without_reject_is_found_however_it_is_written(text: str) -> None:
    assert LATE in rules({"celeryconfig.py": f"# celery\n{text}\n"})


@pytest.mark.parametrize(
    "text",
    [
        "task_acks_late = False",
        "task_acks_late = True\ntask_reject_on_worker_lost = True",
        "task_acks_late = True\nCELERY_REJECT_ON_WORKER_LOST = 1 == 1",
        "task_acks_late = flag()",
        "def f(task_acks_late=True): pass",
        "other.settings.update(task_acks_late=True)",
        "@app.task(acks_late=True, reject_on_worker_lost=True)\ndef f(): pass",
        "@app.task(acks_late=True, **more)\ndef f(): pass",
        "@app.task\ndef f(): pass",
        "task_reject_on_worker_lost = True\n@app.task(acks_late=True)\ndef f(): pass",
        "app.config_from_object('elsewhere')\ntask_acks_late = True",
        "app.config_from_envvar('CONFIG')\ntask_acks_late = True",
        "app.conf.update(task_acks_late=True, **load())",
        "app.conf.update(load())\ntask_acks_late = True",
    ],
)
def test_what_is_right_or_cannot_be_known_is_no_late_acknowledgement_without_reject(text: str) -> None:
    assert rules({"celeryconfig.py": f"# celery\n{text}\n"}) == set()


def test_settings_of_another_file_of_the_bundle_count() -> None:
    config = "task_acks_late = True\nworker_prefetch_multiplier = 1\n"
    config += "broker_transport_options = {'wait_time_seconds': 1}\n"
    application = "from celery import Celery\napp = Celery('x')\napp.config_from_object('celeryconfig')\n"
    files: dict[str, str | File] = {"proj/app.py": application, "proj/celeryconfig.py": config}
    assert found(files) == [(LATE, "proj/celeryconfig.py", 1)]
    assert rules({**files, "proj/celeryconfig.py": "task_reject_on_worker_lost = True\n" + config}) == set()


def test_a_prefetch_is_one_and_its_default_is_not() -> None:
    assert found(app("app.conf.worker_prefetch_multiplier = 4")) == [("celery-prefetch", "app.py", 10)]
    assert "no bound" in look(app("app.conf.worker_prefetch_multiplier = 0")).findings[0].what
    assert found(without("worker_prefetch")) == [("celery-prefetch", "app.py", 2)]
    assert found(without("worker_prefetch", "app.conf.worker_prefetch_multiplier = get()")) == []
    assert found(without("worker_prefetch", "app.config_from_envvar('X')")) == []


def test_a_prefetch_on_the_command_line_counts() -> None:
    script = "#!/bin/sh\nexec celery --app app worker --prefetch-multiplier={}\n"
    assert found({**without("worker_prefetch"), "bin/worker": script.format(1)}) == []
    assert found({**without("worker_prefetch"), "bin/worker": script.format(8)}) == [
        ("celery-prefetch", "bin/worker", 2)
    ]
    settings = "# more\nSHIPIT_CELERY_ARGS=--prefetch-multiplier {}\n"
    assert found({**without("worker_prefetch"), "scripts/settings.env": settings.format(1)}) == []
    assert found({**without("worker_prefetch"), "scripts/settings.env": settings.format(8)}) == [
        ("celery-prefetch", "scripts/settings.env", 2)
    ]


def test_a_visibility_timeout_beside_predefined_queues_has_no_effect() -> None:
    rule = "celery-visibility-timeout-unused"
    assert found(app("app.conf.broker_transport_options['visibility_timeout'] = 3600")) == [(rule, "app.py", 10)]
    assert found(app("app.conf.broker_transport_options.update(visibility_timeout=3600)")) == [(rule, "app.py", 10)]
    alone = "# celery\nbroker_transport_options = {'visibility_timeout': 3600, 'wait_time_seconds': 1}\n"
    assert found({"celeryconfig.py": alone}) == []


@pytest.mark.parametrize(("wait", "bad"), [("5", False), ("2 * 10", True), ("2.5 + 4", True), ("wait()", False)])
def test_a_long_poll_strands_messages_without_quiesce(wait: str, bad: bool) -> None:
    files = app(f"app.conf.broker_transport_options['wait_time_seconds'] = {wait}")
    assert rules(files) == ({POLL} if bad else set())
    assert rules({**files, "more.py": "import shipit_worker\n"}) == set()
    off = {**files, "more.py": "import shipit_worker\n", "scripts/settings.env": "SHIPIT_QUIESCE=off\n"}
    assert rules(off) == ({POLL} if bad else set())
    # To a worker that is another word than off: a comment has a line of its own.
    assert rules({**off, "scripts/settings.env": "#SHIPIT_QUIESCE=off\nSHIPIT_QUIESCE=off # no\n"}) == set()


def test_the_default_poll_is_a_long_one() -> None:
    assert found(without("broker_transport")) == [(POLL, "app.py", 2)]
    assert found(without("broker_transport", "app.conf.broker_transport_options = {'region': 'x'}")) == [
        (POLL, "app.py", 9)
    ]
    assert found(without("broker_transport", "app.conf.broker_transport_options = options()")) == []
    assert found(without("broker_transport", "app.conf.broker_transport_options = {**options()}")) == []
    assert found(without("broker_transport", "import shipit_worker")) == []


def test_the_keeper_needs_a_time_limit() -> None:
    rule = "celery-keeper-without-time-limit"
    bad = without("task_time_limit", "import shipit_worker")
    assert found(bad) == [(rule, "app.py", 2)]
    assert found(without("task_time_limit")) == []
    assert found(without("task_time_limit", "from shipit_worker import activate", "task_time_limit = get()")) == []
    assert found({**bad, "scripts/defaults.env": "SHIPIT_VISIBILITY=0\n"}) == []
    assert found({**bad, "scripts/settings.env": "SHIPIT_VISIBILITY='0'\n"}) == []
    on_again = {"scripts/defaults.env": "SHIPIT_VISIBILITY=0\n", "scripts/settings.env": "SHIPIT_VISIBILITY=60\n"}
    assert found({**bad, **on_again}) == [(rule, "app.py", 2)]
    assert found({**bad, "bin/worker": "#!/bin/sh\ncelery -A app worker --time-limit 60\n"}) == []
    assert found({**bad, "scripts/settings.env": "SHIPIT_CELERY_ARGS=--pool solo --time-limit=60\n"}) == []
    limited = without("task_time_limit", "import shipit_worker", "@app.task(time_limit=9)", "def f(): pass")
    assert found(limited) == []
    one_is_not = {"more.py": "import celery\n@app.task\ndef g(): pass\n"}
    assert rules({**limited, **one_is_not}) == {rule}


@pytest.mark.parametrize(
    "line",
    [
        "celery inspect ping",
        "celery -A app inspect ping -d celery@$HOSTNAME",
        '"$venv/bin/celery" --app=app control shutdown',
        "python3 -m celery -A app status | grep -q OK",
        "if ! celery -A app \\\n  events --dump; then exit 1; fi",
        "out=$(celery -A app inspect active)",
        "/opt/venv/bin/celery -b sqs:// control cancel_consumer q",
    ],
)
def test_remote_control_in_a_script_is_found(line: str) -> None:
    files: dict[str, str | File] = {"scripts/stop.sh": f"#!/bin/sh\n{line}\n"}
    assert found(files) == [("celery-remote-control", "scripts/stop.sh", 2)]


@pytest.mark.parametrize(
    "line",
    [
        "exec celery --app app worker --queues status -E",
        "# celery inspect ping",
        "pip install celery",
        "exec celery -A control worker",
        "echo celery is 'fine",
        "celery multi",
        "su - celery",
    ],
)
def test_other_commands_in_a_script_are_none(line: str) -> None:
    assert found({"scripts/stop.sh": f"#!/bin/sh\n{line}\n"}) == []


def test_remote_control_in_code_is_found_and_other_controls_are_not() -> None:
    assert found(app("app.control.inspect().ping()")) == [("celery-remote-control", "app.py", 10)]
    assert found(app("app.control.press()")) == []


def test_another_broker_has_remote_control_and_no_visibility() -> None:
    redis = {"app.py": GOOD.replace("sqs://", "redis://localhost").replace('"wait_time_seconds": 2', '"x": 2')}
    assert found({**redis, "bin/stop": "#!/bin/sh\ncelery inspect ping\n"}) == []
    assert rules({"app.py": GOOD.replace("sqs://", "redis://").replace("multiplier=1", "multiplier=4")}) == {
        "celery-prefetch"
    }


def test_what_cannot_be_known_is_told_on_demand() -> None:
    files: dict[str, str | File] = {
        "celeryconfig.py": "task_acks_late = flag()\n",
        "celery_old.py": "print 'python 2'  # celery\n",
        "app.py": "import celery\napp.config_from_object('elsewhere')\n",
    }
    assert found(files) == []
    assert found(files, notes=True) == [
        ("celery-unknown", "app.py", 2),
        ("celery-unknown", "celery_old.py", 0),
        ("celery-unknown", "celeryconfig.py", 1),
    ]


@pytest.mark.parametrize("name", ["tests/conf.py", "test_app.py", "conftest.py", "x/site-packages/celery/app.py"])
def test_tests_and_libraries_are_not_the_application(name: str) -> None:
    assert found({name: "import celery\ntask_acks_late = True\n"}) == []


def test_of_many_files_the_likeliest_are_read() -> None:
    files: dict[str, str | File] = {f"a/m{n}.py": "celery = 1\n" for n in range(20)}
    files["z/celeryconfig.py"] = "task_acks_late = True\n"
    assert rules(files, most=1) == {LATE}
    files["z/other.py"] = "celery = 1\n@app.task(acks_late=True)\ndef f(): pass\n"
    assert len(found(files, most=20)) == 1
    assert len(found(files)) == 2
