"""What git says of a commit names its build, and does not depend on the user's settings."""

from pathlib import Path

import pytest
from invoke.context import Context
from repositories import commit, git, project

from shipit.build.git import Git
from shipit.build.shell import Shell
from shipit.errors import PreflightError, UsageError
from shipit.version import version_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return project(tmp_path / "project")


def asked(root: Path) -> Git:
    return Git(Shell(Context(), str(root)))


def test_a_clean_commit_is_named_by_its_time_in_utc_and_its_sha(root: Path) -> None:
    facts = asked(root).facts()
    assert facts.sha == git(root, "rev-parse", "HEAD")
    assert version_of(facts) == f"2026.03.01-103000-g{facts.sha[:9]}"


def test_an_annotated_tag_at_head_names_it_and_a_light_one_does_not(root: Path) -> None:
    git(root, "tag", "light")
    assert asked(root).facts().tag == ""
    git(root, "tag", "-a", "-m", "x", "v1.9")
    assert asked(root).facts().tag == "v1.9"


def test_of_several_tags_the_highest_version_names_it_and_a_candidate_is_below_its_release(root: Path) -> None:
    for tag in ("v1.9", "v1.10-rc1", "v1.10", "v1.2"):
        git(root, "tag", "-a", "-m", "x", tag)
    assert asked(root).facts().tag == "v1.10"


def test_a_tag_of_another_commit_does_not_count(root: Path) -> None:
    git(root, "tag", "-a", "-m", "x", "v1")
    commit(root, {"app/b.py": "2"})
    assert asked(root).facts().tag == ""


def test_changes_of_tracked_files_have_a_digest_staged_or_not(root: Path) -> None:
    assert asked(root).facts().dirty_digest == ""
    (root / "app/main.py").write_text("print(2)\n")
    one = asked(root).facts().dirty_digest
    git(root, "add", "--all")
    assert asked(root).facts().dirty_digest == one != ""
    (root / "app/main.py").write_text("print(3)\n")
    assert asked(root).facts().dirty_digest not in (one, "")


def test_an_untracked_or_merely_touched_file_is_no_change(root: Path) -> None:
    (root / "app/new.py").write_text("x")
    (root / "app/main.py").touch()
    assert asked(root).facts().dirty_digest == ""


def test_the_digest_of_changes_does_not_depend_on_the_user_s_settings(root: Path) -> None:
    (root / "app/main.py").write_text("print(2)\n")
    (root / "scripts/switch.sh").unlink()
    before = asked(root).facts().dirty_digest
    for name, value in {
        "diff.noprefix": "true",
        "diff.algorithm": "patience",
        "diff.context": "9",
        "color.diff": "always",
        "diff.external": "/bin/false",
        "log.showSignature": "true",
    }.items():
        git(root, "config", name, value)
    assert asked(root).facts().dirty_digest == before


def test_tracked_files_come_with_their_modes_and_odd_names(root: Path) -> None:
    (root / "app/link").symlink_to("main.py")
    commit(root, {"app/ünï code.py": "x", "app/tab\there": "y"})
    files = {f.name: f for f in asked(root).tracked()}
    assert files["scripts/switch.sh"].executable
    assert files["app/link"].is_link
    assert not files["app/ünï code.py"].executable
    assert "app/tab\there" in files


def test_a_folder_below_the_top_sees_only_its_own_files(root: Path) -> None:
    assert [f.name for f in asked(root / "app").tracked()] == ["main.py"]


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_file_that_git_was_told_not_to_look_at_is_refused(root: Path, flag: str) -> None:
    git(root, "update-index", flag, "app/main.py")
    with pytest.raises(PreflightError, match=r"app/main\.py"):
        asked(root).tracked()


def test_a_file_in_the_middle_of_a_merge_is_refused(root: Path) -> None:
    git(root, "checkout", "-q", "-b", "other")
    commit(root, {"app/main.py": "2"})
    git(root, "checkout", "-q", "main")
    commit(root, {"app/main.py": "3"})
    with pytest.raises(Exception, match="merge"):
        git(root, "merge", "-q", "other")
    with pytest.raises(PreflightError, match="in the middle of a merge"):
        asked(root).tracked()


def test_a_folder_without_a_repository_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not in a git repository"):
        asked(tmp_path).facts()


def test_a_repository_without_a_commit_says_so(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(UsageError, match="no commit yet"):
        asked(tmp_path).facts()


def test_a_machine_without_git_says_so(root: Path) -> None:
    with pytest.raises(UsageError, match="git is not installed"):
        Git(_WithoutPath(Context(), str(root))).facts()


def test_a_commit_is_an_ancestor_of_those_that_descend_from_it_and_of_itself(root: Path) -> None:
    first = git(root, "rev-parse", "HEAD")
    second = commit(root, {"app/b.py": "2"})
    assert asked(root).is_ancestor(first, second) is True
    assert asked(root).is_ancestor(first, first) is True
    assert asked(root).is_ancestor(second, first) is False


def test_of_two_branches_neither_is_an_ancestor(root: Path) -> None:
    git(root, "checkout", "-q", "-b", "other")
    theirs = commit(root, {"app/b.py": "2"})
    git(root, "checkout", "-q", "main")
    ours = commit(root, {"app/c.py": "3"})
    assert asked(root).is_ancestor(ours, theirs) is False
    assert asked(root).is_ancestor(theirs, ours) is False


@pytest.mark.parametrize(
    "strange",
    [
        "f" * 40,
        "",
        "nonsense",
        "--all",
        "--disambiguate=abcd",
        "--since=now",
        "HEAD; touch /tmp/x",
        "HEAD:app/main.py",
    ],
)
def test_a_commit_that_is_not_here_is_no_answer_and_no_error(root: Path, strange: str) -> None:
    head = git(root, "rev-parse", "HEAD")
    assert asked(root).is_ancestor(strange, head) is None
    assert asked(root).is_ancestor(head, strange) is None
    with pytest.raises(UsageError, match="has no commit"):
        asked(root).commits(strange, "HEAD")


def test_a_shallow_clone_that_sees_no_line_between_two_commits_does_not_deny_that_there_is_one(
    root: Path, tmp_path: Path
) -> None:
    first = git(root, "rev-parse", "HEAD")
    git(root, "branch", "old")
    commit(root, {"app/b.py": "2"})
    last = commit(root, {"app/c.py": "3"})
    git(tmp_path, "clone", "-q", "--depth=1", "--no-single-branch", f"file://{root}", "shallow")
    shallow = asked(tmp_path / "shallow")
    assert shallow.is_ancestor(first, last) is None
    assert shallow.is_ancestor(last, last) is True


def test_the_question_of_ancestry_outside_a_repository_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not in a git repository"):
        asked(tmp_path).is_ancestor("HEAD", "HEAD")


def test_the_commits_between_two_come_newest_first_with_their_authors(root: Path) -> None:
    first = git(root, "rev-parse", "HEAD")
    second = commit(root, {"app/b.py": "2"})
    (root / "app/c.py").write_text("3")
    git(root, "add", "--all")
    git(root, "commit", "-q", "--author=Ünal O'Neil <u@example.com>", "-m", "Mend 'it': 100 % | \x1b[31m\n\nMore")
    third = git(root, "rev-parse", "HEAD")
    found = asked(root).commits(first, "HEAD")
    assert [c.sha for c in found] == [third, second]
    assert found[0].author == "Ünal O'Neil"
    assert found[0].subject == "Mend 'it': 100 % | \x1b[31m"
    assert found[1].date.isoformat() == "2026-03-01T10:30:00+00:00"
    assert asked(root).commits("HEAD", first) == ()
    assert asked(root).commits(first, first) == ()


def test_an_empty_subject_and_the_user_s_settings_do_not_shift_the_fields(root: Path) -> None:
    first = git(root, "rev-parse", "HEAD")
    git(root, "commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "")
    git(root, "commit", "-q", "--allow-empty", "-m", "last")
    for name, value in {
        "log.showSignature": "true",
        "log.decorate": "full",
        "color.ui": "always",
        "format.pretty": "fuller",
        "i18n.logOutputEncoding": "latin1",
        "log.date": "relative",
    }.items():
        git(root, "config", name, value)
    assert [c.subject for c in asked(root).commits(first, "HEAD")] == ["last", ""]


class _WithoutPath(Shell):
    def run(self, script, *, env=None):  # type: ignore[no-untyped-def]
        return super().run(f"PATH=/nonexistent; {script}", env=env)
