"""The same commit gives the same bundle on any machine; whatever would break that stops the build."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest
from invoke.context import Context
from repositories import APPSPEC, commit, git, project, settings

from shipit.build import build, name_build, survey
from shipit.build.standard import standard_entries
from shipit.errors import PreflightError, ShipitError, UsageError
from shipit.events import BuildFinished, BuildStep, Event, Notice
from shipit.models import Build
from shipit.settings import Settings

REPOSITORY = Path(__file__).parents[2]
STANDARD = {entry.name for entry in standard_entries()} - {"appspec.yml"}
ENTRIES = ["appspec.yml", "main.py", "scripts/switch.sh", "build.json"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return project(tmp_path / "project")


def make(chosen: Settings, events: list[Event] | None = None) -> tuple[Build, Path]:
    return build(Context(), chosen, listen=(events if events is not None else []).append)


def names(path: Path) -> list[str]:
    """List a bundle without the parts that come with the tool."""
    with tarfile.open(path) as archive:
        return [name for name in archive.getnames() if name not in STANDARD]


def text(path: Path, name: str) -> bytes:
    with tarfile.open(path) as archive:
        file = archive.extractfile(name)
        assert file
        return file.read()


def refused(chosen: Settings) -> ShipitError:
    with pytest.raises(ShipitError) as refusal:
        make(chosen)
    assert not list(chosen.root.glob(".shipit/builds/*/*"))
    return refusal.value


def notices(events: list[Event]) -> list[str]:
    return [e.text for e in events if isinstance(e, Notice)]


# What goes in


def test_a_bundle_holds_what_git_tracks_the_appspec_the_hooks_and_build_json(root: Path) -> None:
    made, path = make(settings(root))
    assert names(path) == ENTRIES
    assert path == root / f".shipit/builds/{made.version}/worker-{made.version}.tgz"
    assert json.loads(text(path, "build.json"))["version"] == made.version
    assert made.sha == git(root, "rev-parse", "HEAD")


def test_the_name_is_known_before_the_build(root: Path) -> None:
    made, _ = make(settings(root))
    named = name_build(Context(), settings(root))
    assert (named.version, named.sha, named.committed_at) == (made.version, made.sha, made.committed_at)


def test_the_whole_project_may_be_the_path(root: Path) -> None:
    _, path = make(settings(root, path="."))
    assert names(path) == [
        ".gitignore",
        "app/main.py",
        "appspec.yml",
        "appspec/appspec.yml",
        "scripts/switch.sh",
        "build.json",
    ]


def test_globs_choose_and_leave_out(root: Path) -> None:
    commit(root, {"app/tests/test_a.py": "", "app/docs/a.md": "", "app/pkg/deep/b.py": ""})
    _, path = make(settings(root, include=("**/*.py",), exclude=("tests",)))
    assert names(path) == ["appspec.yml", "main.py", "pkg/deep/b.py", "scripts/switch.sh", "build.json"]


def test_the_project_s_own_appspec_and_hooks_win_over_the_standard_ones(root: Path) -> None:
    own = APPSPEC.replace("timeout: 60", "timeout: 61")
    hook = "#!/bin/sh\nln -sfn own current\n"
    commit(root, {"app/appspec.yml": own, "app/scripts/switch.sh": hook})
    _, path = make(settings(root))
    assert text(path, "appspec.yml").decode() == own
    assert text(path, "scripts/switch.sh").decode() == hook


def test_the_standard_parts_are_in_every_bundle_as_programs_where_they_are_some(root: Path) -> None:
    git(root, "rm", "-q", "appspec/appspec.yml")
    commit(root, {})
    _, path = make(settings(root))
    with tarfile.open(path) as archive:
        modes = {member.name: member.mode for member in archive}
    assert set(modes) > STANDARD
    assert modes["scripts/after_install.sh"] == modes["scripts/drain.py"] == 0o755
    assert modes["scripts/defaults.env"] == modes["scripts/shipit_worker/keeper.py"] == 0o644
    assert text(path, "appspec.yml") == (REPOSITORY / "appspec/appspec.yml").read_bytes()


def test_hooks_are_programs_in_the_bundle_whatever_the_checkout_says(root: Path) -> None:
    git(root, "update-index", "--chmod=-x", "scripts/switch.sh")
    (root / "scripts/switch.sh").chmod(0o644)
    commit(root, {})
    _, path = make(settings(root))
    with tarfile.open(path) as archive:
        assert archive.getmember("scripts/switch.sh").mode == 0o755


def test_a_file_of_the_project_s_takes_the_place_of_a_standard_one(root: Path) -> None:
    commit(root, {"app/scripts/prune.sh": "own", "scripts/drain.py": "own, too", "app/scripts/settings.env": "A=1\n"})
    _, path = make(settings(root))
    assert text(path, "scripts/prune.sh") == b"own"
    assert text(path, "scripts/drain.py") == b"own, too"
    with tarfile.open(path) as archive:
        assert len(archive.getnames()) == len(set(archive.getnames()))


def test_untracked_files_stay_out_and_are_named(root: Path) -> None:
    (root / "app/forgotten.py").write_text("x")
    events: list[Event] = []
    made, path = make(settings(root), events)
    assert names(path) == ENTRIES
    assert "-dirty-" not in made.version
    assert notices(events) == ["not in git, so not in the bundle: app/forgotten.py"]


def test_what_a_build_leaves_in_the_project_is_nothing_that_git_would_add(root: Path) -> None:
    commit(root, {".gitignore": ""})
    first, _ = make(settings(root))
    git(root, "add", "--all")
    assert make(settings(root))[0].version == first.version


def test_declared_outputs_go_in_though_git_ignores_them(root: Path) -> None:
    commands = ("mkdir -p dist/sub", "echo made >dist/sub/a.txt; echo '#!/bin/sh' >dist/run; chmod 700 dist/run")
    _, path = make(settings(root, commands=commands, outputs=("dist/**",), exclude=("**/*.tmp",)))
    with tarfile.open(path) as archive:
        modes = {m.name: m.mode for m in archive if m.name.startswith("dist/")}
    assert modes == {"dist/sub/a.txt": 0o644, "dist/run": 0o755}


def test_commands_know_the_build_and_its_time(root: Path) -> None:
    command = 'mkdir dist; echo "$SHIPIT_BUILD $SOURCE_DATE_EPOCH $TZ" >dist/facts'
    made, path = make(settings(root, commands=(command,), outputs=("dist",)))
    epoch = int(made.committed_at.timestamp())
    assert text(path, "dist/facts").decode() == f"{made.version} {epoch} UTC\n"


def test_symlinks_are_kept(root: Path) -> None:
    (root / "app/again.py").symlink_to("main.py")
    commit(root, {})
    _, path = make(settings(root))
    with tarfile.open(path) as archive:
        assert archive.getmember("again.py").linkname == "main.py"


def test_the_steps_are_told(root: Path) -> None:
    events: list[Event] = []
    made, path = make(settings(root, commands=("true",)), events)
    steps = [(e.stage, e.detail) for e in events if isinstance(e, BuildStep)]
    count = len(STANDARD | set(ENTRIES)) - 1  # build.json is not counted
    assert steps == [("command", "true"), ("collect", ""), ("pack", f"{count} files")]
    assert isinstance(events[-1], BuildFinished)
    assert (events[-1].build, events[-1].path, events[-1].files) == (made, str(path), count)


# The same bytes


def test_two_clones_on_different_machines_give_the_same_bytes(root: Path, tmp_path: Path) -> None:
    (root / "app/link").symlink_to("main.py")
    many = {f"app/pkg{n % 7}/m{n}.py": f"x = {n}\n" * 400 for n in range(300)}
    commit(root, {**many, "app/ünï.py": "é\n", "app/run": "#!/bin/sh\n"}, executable=("app/run",))
    git(root, "tag", "-a", "-m", "x", "v1")
    script = (
        "import os, sys; sys.path[:0] = [sys.argv[1]]; os.umask(int(sys.argv[3], 8));"
        "os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[4])]);"
        "from pathlib import Path; from invoke.context import Context;"
        "from repositories import settings; from shipit.build import build;"
        "print(build(Context(), settings(Path(sys.argv[2]), commands=('mkdir dist; echo 1 >dist/a',),"
        " outputs=('dist',)))[0].digest)"
    )
    digests = set()
    for number, (umask, zone, language, cores) in enumerate(
        [("022", "UTC", "C", "1"), ("077", "Asia/Tokyo", "C.UTF-8", "2"), ("000", "America/Lima", "POSIX", "1")]
    ):
        clone = tmp_path / f"clone{number}"
        subprocess.run(["sh", "-c", f"umask {umask}; git clone -q {root} {clone}"], check=True)
        for path in clone.rglob("*"):
            os.utime(path, (number, number), follow_symlinks=False)
        shown = subprocess.run(
            [sys.executable, "-c", script, Path(__file__).parents[1], clone, umask, cores],
            env={**os.environ, "TZ": zone, "LC_ALL": language},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(shown.stdout.strip())
    assert len(digests) == 1
    assert digests != {""}


# What stops it


def test_a_dirty_tree_is_marked_and_refused_where_protected(root: Path) -> None:
    (root / "app/main.py").write_text("print(2)\n")
    made, path = make(settings(root))
    assert "-dirty-" in made.version
    assert text(path, "main.py") == b"print(2)\n"
    with pytest.raises(PreflightError, match=r"uncommitted changes: app/main\.py"):
        make(settings(root, protected=True))


def test_a_deleted_file_makes_the_tree_dirty_and_stays_out(root: Path) -> None:
    commit(root, {"app/b.py": ""})
    (root / "app/main.py").unlink()
    made, path = make(settings(root))
    assert "-dirty-" in made.version
    assert "main.py" not in names(path)


def test_a_command_that_fails_shows_its_last_lines(root: Path) -> None:
    events: list[Event] = []
    with pytest.raises(ShipitError, match=r"`echo broken; exit 3` failed with exit code 3"):
        make(settings(root, commands=("echo broken; exit 3",)), events)
    assert notices(events) == ["broken"]


def test_a_command_that_changes_tracked_files_is_refused(root: Path) -> None:
    error = refused(settings(root, commands=("echo 2 >main.py",)))
    assert error.message == "the build commands changed files that git tracks: app/main.py"


def test_an_output_that_is_not_there_is_refused(root: Path) -> None:
    error = refused(settings(root, outputs=("dist/**",)))
    assert "'dist/**' matches no file" in error.message


def test_a_secret_among_the_outputs_is_refused(root: Path) -> None:
    error = refused(settings(root, commands=("mkdir dist; echo A=1 >dist/.env",), outputs=("dist",)))
    assert isinstance(error, PreflightError)
    assert "dist/.env" in error.message


def test_a_symlink_that_leads_out_is_refused(root: Path) -> None:
    (root / "app/out").symlink_to("../scripts")
    commit(root, {})
    assert "out: the symlink" in refused(settings(root)).message


def test_an_empty_choice_still_needs_an_appspec(root: Path) -> None:
    error = refused(settings(root, include=("nothing",), appspec="missing.yml"))
    assert "build.appspec: missing.yml is not in the commit" in error.message


@pytest.mark.parametrize("key", ["path", "appspec", "scripts"])
@pytest.mark.parametrize("value", ["..", "/etc", "a/../../b"])
def test_a_setting_that_leads_out_of_the_project_is_refused(root: Path, key: str, value: str) -> None:
    error = refused(settings(root, **{key: value}))
    assert f"build.{key}" in error.message
    assert isinstance(error, UsageError)


def test_a_submodule_is_refused_unless_excluded(root: Path, tmp_path: Path) -> None:
    other = project(tmp_path / "other")
    git(root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "app/vendor")
    commit(root, {})
    assert "app/vendor: is a submodule" in refused(settings(root)).message
    _, path = make(settings(root, exclude=("vendor",)))
    assert names(path) == ENTRIES


def test_a_file_that_only_git_lfs_has_is_warned_of(root: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    commit(root, {".gitattributes": "*.bin filter=lfs\n", "app/model.bin": pointer, "app/here.bin": "content"})
    events: list[Event] = []
    make(settings(root), events)
    assert [n for n in notices(events) if "git-lfs" in n] == [
        "git-lfs has not fetched these, so the bundle holds pointers: model.bin; run git lfs pull"
    ]


def test_a_bad_appspec_is_refused_with_its_place_and_all_else_is_told(root: Path) -> None:
    commit(root, {"appspec/appspec.yml": APPSPEC.replace("0.0", "'0.0'").replace("timeout: 60", "timeout: 5m")})
    events: list[Event] = []
    with pytest.raises(UsageError) as refusal:
        make(settings(root), events)
    assert refusal.value.message.startswith("appspec/appspec.yml:1:10: version is not the number")
    assert "and 1 more" in refusal.value.message
    assert any("timeout '5m'" in n for n in notices(events))


def test_a_hook_with_windows_line_ends_is_refused(root: Path) -> None:
    commit(root, {"scripts/switch.sh": "#!/bin/sh\r\nln -s a b\r\n"})
    assert "scripts/switch.sh:1: lines end in CRLF" in refused(settings(root)).message


def test_an_interrupt_kills_the_command_and_leaves_no_bundle(root: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    killer = threading.Thread(target=_interrupt_when, args=(started,))
    killer.start()
    with pytest.raises(KeyboardInterrupt):
        make(settings(root, commands=(f"sleep 60 & echo $$ $! >{started}; wait",)))
    killer.join()
    for pid in started.read_text().split():
        _await_end(pid)
    assert not list(root.glob(".shipit/builds/*/*"))


def _interrupt_when(started: Path) -> None:
    while not (started.exists() and started.read_text().strip()):
        time.sleep(0.01)
    signal.raise_signal(signal.SIGINT)


def _await_end(pid: str) -> None:
    deadline = time.monotonic() + 30
    while _runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# A look before the build


def test_a_survey_takes_what_is_on_disk_and_needs_no_output(root: Path) -> None:
    chosen = settings(root, outputs=("made/*",), commands=("mkdir -p made && touch made/wheel",))
    (root / "app/main.py").write_text("changed\n")
    (root / "app/new.py").write_text("not in git\n")
    entries = {e.name: e for e in survey(Context(), chosen).entries}
    assert sorted(entries.keys() - STANDARD) == sorted(ENTRIES[:-1])
    assert entries["main.py"].read(99) == b"changed\n"
    assert not (root / "app/made").exists()
    (root / "app/made").mkdir()
    (root / "app/made/wheel").write_text("")
    assert "made/wheel" in {e.name for e in survey(Context(), chosen).entries}
