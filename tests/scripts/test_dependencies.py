"""Dependencies come from the bundle's wheels alone, once for each lock; what cannot be imported is refused."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hook_host import Host

OLD, NEW = "2026.11.23-090000-g0ld", "2026.11.24-100000-gnew"
LOCK = "requirements.lock"
APP = {"scripts/settings.env": "SHIPIT_CELERY_APP=shop.app:celery\n"}


@pytest.fixture(autouse=True)
def uv(host: Host) -> Path:
    """Let the instance have uv."""
    found = shutil.which("uv", path=str(Path(sys.executable).parent))
    assert found
    (host.programs / "uv").symlink_to(found)
    assert shutil.which("uv", path=os.defpath) is None, "a machine whose uv cannot be taken away"
    return host.programs / "uv"


INSTALLERS = pytest.mark.parametrize("installer", ["uv", "pip"])


@INSTALLERS
def test_the_wheels_are_installed_without_any_index(installer: str, uv: Path, host: Host) -> None:
    if installer == "pip":
        uv.unlink()
    host.prepare(NEW, {LOCK: "greeting==1.0\n", **APP, "shop/app.py": "import greeting\n"}, bring=wheel("1.0"))
    assert said(host)["dependencies"] == "installed"
    assert greeting(host, NEW) == "greetings of 1.0"


def test_a_release_that_changes_code_alone_installs_nothing(host: Host) -> None:
    host.prepare(OLD, {LOCK: "greeting==1.0\n"}, bring=wheel("1.0"))
    host.prepare(NEW, {LOCK: "greeting==1.0\n", "more.py": "x = 1\n"}, bring=wheel("1.0"))
    assert said(host)["dependencies"] == "reused"
    assert (host.release(OLD) / ".venv").resolve() == (host.release(NEW) / ".venv").resolve()


def test_another_lock_or_another_wheel_makes_another_environment(host: Host) -> None:
    host.prepare(OLD, {LOCK: "greeting\n"}, bring=wheel("1.0"))
    host.prepare(NEW, {LOCK: "greeting\n"}, bring=wheel("2.0"))
    assert (greeting(host, OLD), greeting(host, NEW)) == ("greetings of 1.0", "greetings of 2.0")
    host.prepare("third", {LOCK: "greeting # again\n"}, bring=wheel("2.0"))
    assert len(os.listdir(host.home / "venvs")) == 3


def test_a_wheel_that_was_built_anew_under_its_old_name_is_installed(host: Host) -> None:
    host.prepare(OLD, {LOCK: "greeting==1.0\n"}, bring=wheel("1.0"))
    host.prepare(NEW, {LOCK: "greeting==1.0\n"}, bring=wheel("1.0", words="other greetings"))
    assert said(host)["dependencies"] == "installed"
    assert (greeting(host, OLD), greeting(host, NEW)) == ("greetings of 1.0", "other greetings")


def test_without_a_name_for_wheels_there_are_none(host: Host) -> None:
    host.say(SHIPIT_WHEELS="")
    host.prepare(NEW, {LOCK: "greeting==1.0\n"}, bring=wheel("1.0"))
    assert said(host)["dependencies"] == "none"


def test_an_environment_that_was_left_half_made_is_made_again(host: Host) -> None:
    host.prepare(OLD, {LOCK: "greeting==1.0\n"}, bring=wheel("1.0"))
    venv = (host.release(OLD) / ".venv").resolve()
    (venv / ".complete").unlink()
    shutil.rmtree(next(venv.glob("lib/python*/site-packages/greeting")))
    host.prepare(NEW, {LOCK: "greeting==1.0\n"}, bring=wheel("1.0"))
    assert said(host)["dependencies"] == "installed"
    assert greeting(host, NEW) == "greetings of 1.0"


@INSTALLERS
def test_a_lock_that_the_wheels_do_not_fulfil_leaves_no_release(installer: str, uv: Path, host: Host) -> None:
    if installer == "pip":
        uv.unlink()
    refused = after_install(host, {LOCK: "greeting==3.0\n"}, bring=wheel("1.0"))
    assert "the dependencies cannot be installed from wheels/" in refused.splitlines()[-1]
    assert "greeting" in refused
    assert host.named_releases == []


def test_a_wheel_that_is_not_the_one_in_the_lock_is_refused(host: Host) -> None:
    lock = f"greeting==1.0 --hash=sha256:{'0' * 64}\n"
    assert "hash" in after_install(host, {LOCK: lock}, bring=wheel("1.0")).lower()
    assert host.named_releases == []


def test_wheels_without_a_lock_are_refused(host: Host) -> None:
    assert f"has wheels but no {LOCK}" in after_install(host, {}, bring=wheel("1.0"))


def test_an_application_that_cannot_be_imported_is_refused_with_its_traceback(host: Host) -> None:
    host.say(SHIPIT_SMOKE="yes")
    refused = after_install(host, {**APP, "shop/app.py": "import greting\n"})
    assert "the application, shop.app:celery, cannot be imported" in refused.splitlines()[-1]
    assert "No module named 'greting'" in refused
    assert host.named_releases == []


def test_the_import_sees_what_the_worker_will(host: Host) -> None:
    host.say(SHIPIT_SMOKE="yes", SHIPIT_QUEUE='"two words"', KEY="c2VjcmV0cw==", JSON="'{\"a\": 1}'", DOS="x \r")
    app = (
        "import os, sys, shipit_worker\n"
        f"assert os.environ['SHIPIT_BUILD'] == '{NEW}'\n"
        "assert os.environ['SHIPIT_QUEUE'] == 'two words'\n"
        "assert os.environ['AWS_REGION'] == 'us-east-1'\n"
        "assert os.environ['SHIPIT_APPLICATION'] == 'worker'\n"
        "assert [os.environ[x] for x in ('KEY', 'JSON', 'DOS')] == ['c2VjcmV0cw==', '{\"a\": 1}', 'x']\n"
        "assert not sys.flags.isolated\n"
    )
    # What shipit_worker imports lies beside this Python.
    host.prepare(NEW, {**APP, "shop/app.py": app})
    assert said(host, again=NEW)["smoke"] == "passed"
    assert list(host.release(NEW).rglob("__pycache__")) == []


def test_an_attribute_may_be_named_with_a_dot_as_celery_takes_it_too(host: Host) -> None:
    host.say(SHIPIT_SMOKE="yes")
    named = {"scripts/settings.env": "SHIPIT_CELERY_APP=shop.app.celery\n"}
    host.prepare(OLD, {**named, "shop/app.py": "celery = 1\n"})
    assert "No module named 'shop.app.celery'" in after_install(host, {**named, "shop/app.py": "app = 1\n"})


def test_a_setting_that_the_shell_keeps_for_itself_ends_no_hook(host: Host) -> None:
    host.say(SHIPIT_SMOKE="yes", UID="1000", SHELLOPTS="x", LATER="seen")
    host.prepare(NEW, {**APP, "shop/app.py": "import os\nassert os.environ['LATER'] == 'seen'\n"})
    if (bash := shutil.which("bash")) is None:
        pytest.skip("no bash, which is sh on some machines")
    shutil.rmtree(host.release(NEW))
    script = str(host.bundle / "scripts/after_install.sh")
    again = subprocess.run(
        [bash, "--posix", script], env=host.environment(), capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr


def test_arguments_of_the_worker_are_taken_as_they_are(host: Host, tmp_path: Path) -> None:
    (tmp_path / "reports-a").touch()
    given = {"SHIPIT_PYTHON": "echo", "SHIPIT_BUILD": NEW, "SHIPIT_QUEUE": "q", "SHIPIT_CELERY_APP": "shop"}
    host.unpack(NEW)
    said = subprocess.run(
        ["sh", str(host.bundle / "scripts/start_worker.sh")],
        env={"PATH": os.defpath, **given, "SHIPIT_CELERY_ARGS": "--concurrency 2 --exclude-queues reports-*"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.endswith(" --concurrency 2 --exclude-queues reports-*\n")


def test_a_process_that_the_import_leaves_behind_does_not_hold_the_event(host: Host) -> None:
    host.say(SHIPIT_SMOKE="yes")
    note = host.answers / "left"
    code = "import subprocess\nfrom pathlib import Path\n"
    code += f"Path({str(note)!r}).write_text(str(subprocess.Popen(['sleep', '600']).pid))\n"
    try:
        host.prepare(NEW, {**APP, "shop/app.py": code})  # would end after a minute, by an exception
    finally:
        os.kill(int(note.read_text()), signal.SIGKILL)


def test_of_an_import_that_says_much_the_end_fits_the_log_that_codedeploy_shows(host: Host) -> None:
    host.say(SHIPIT_SMOKE="yes")
    refused = after_install(host, {**APP, "shop/app.py": "print('much ' * 10_000)\nimport greting\n"})
    assert len(refused) < 2048
    assert "No module named 'greting'" in refused


def test_a_worker_of_a_user_who_is_not_there_is_refused_by_name(host: Host) -> None:
    if os.getuid() != 0:
        pytest.skip("only root looks for another user")
    host.say(SHIPIT_SMOKE="yes", SHIPIT_USER="nemo")
    assert "SHIPIT_USER is nemo, whom this instance does not have" in after_install(host, {})


def test_the_application_has_the_name_that_codedeploy_knows_unless_it_is_told(host: Host) -> None:
    host.say(SHIPIT_SMOKE="yes")
    refused = after_install(host, {"scripts/settings.env": "", "worker/__init__.py": "raise SystemExit('here')\n"})
    assert "the application, worker, cannot be imported" in refused.splitlines()[-1]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_the_import_runs_as_the_workers_user_who_can_read_but_not_write(host: Host) -> None:
    # Every folder above must let somebody else through, which those of tests do not.
    host = open_to_all(host)
    host.say(SHIPIT_SMOKE="yes", SHIPIT_USER="")
    app = "import os\nassert os.getuid() == 65534\nassert not os.access('.', os.W_OK)\nopen('shop/app.py').read()\n"
    host.prepare(NEW, {**APP, "shop/app.py": app})
    assert said(host, again=NEW)["smoke"] == "passed"


def open_to_all(host: Host) -> Host:
    """Let other users reach the instance's root, and the Python that it has."""
    for folder in (host.root, *host.root.parents):
        if folder == Path("/tmp"):
            break
        folder.chmod(folder.stat().st_mode | 0o055)
    host.say(SHIPIT_PYTHON="/usr/bin/python3")
    return host


def said(host: Host, again: str = "") -> dict[str, str]:
    """Return the last line of the last AfterInstall; `again` makes that release anew first."""
    if again:
        shutil.rmtree(host.release(again))
        result = host.hook("after_install.sh")
        assert result.returncode == 0, result.stderr
        return dict(json.loads(result.stdout.splitlines()[-1]))
    return dict(json.loads(host.last.splitlines()[-1]))


def after_install(host: Host, files: Mapping[str, str], bring: Mapping[str, bytes] | None = None) -> str:
    """Run the hooks up to AfterInstall, which must fail, and return what it said."""
    host.unpack(NEW, files, bring=bring)
    assert host.hook("before_install.sh").returncode == 0
    host.install()
    result = host.hook("after_install.sh")
    assert result.returncode == 1
    return result.stderr


def greeting(host: Host, build: str) -> str:
    """Ask the environment of a release."""
    python = host.release(build) / ".venv/bin/python3"
    code = "import greeting; print(greeting.words)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def wheel(version: str, words: str = "") -> dict[str, bytes]:
    """Make a wheel of one module, as the bundle would hold it."""
    about = f"greeting-{version}.dist-info"
    files = {
        "greeting/__init__.py": f"words = {words or f'greetings of {version}'!r}\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: greeting\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_sha(text)},{len(text)}\n" for name, text in files.items())
    files[f"{about}/RECORD"] = f"{record}{about}/RECORD,,\n"
    name = f"wheels/greeting-{version}-py3-none-any.whl"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, text in files.items():
            archive.writestr(zipfile.ZipInfo(member), text)
    return {name: buffer.getvalue()}


def _sha(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
