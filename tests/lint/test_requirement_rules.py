"""An old kombu is found wherever a project pins one; an open requirement says nothing."""

import pytest
from bundles import found

RULE = "celery-kombu-old"


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("requirements.txt", "celery[sqs]==5.6.0\nkombu==5.6.2\n", 2),
        ("requirements/base.txt", "kombu[sqs] >= 5.5, < 5.7 ; python_version > '3'\n", 1),
        ("constraints.txt", "Kombu<=5.6.9\n", 1),
        ("requirements.in", "kombu==5.6.*\n", 1),
        ("pyproject.toml", '[project]\ndependencies = [\n  "kombu<5.7",\n]\n', 3),
        ("uv.lock", 'version = 1\n\n[[package]]\nname = "kombu"\nversion = "5.6.2"\n', 4),
        ("poetry.lock", '[[package]]\nname = "kombu"\nversion = "4.6.11"\n', 2),
        ("pylock.toml", '[[packages]]\nname = "kombu"\nversion = "5.5.0"\n', 2),
        ("Pipfile.lock", '{"default": {\n "kombu": {\n "hashes": [],\n "version": "==5.6.2"\n}}}', 2),
        ("wheels/kombu-5.6.2-py3-none-any.whl", "", 0),
        ("wheels/kombu-5.6.2.tar.gz", "", 0),
    ],
)
def test_an_old_kombu_is_found(name: str, text: str, line: int) -> None:
    assert found({name: text}) == [(RULE, name, line)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("requirements.txt", "kombu==5.7.0\n"),
        ("requirements.txt", "kombu>=5.6\n"),
        ("requirements.txt", "kombu\nkombu-redis==1.0\n# kombu==5.6\n"),
        ("requirements.txt", "celery==5.6.0\n"),
        ("requirements.txt", "kombu>=5.6,<6\n"),
        ("requirements.txt", "kombu<=5.7\n"),
        ("requirements.txt", "kombu~=5.6\n"),
        ("notes.txt", "kombu==5.6\n"),
        ("uv.lock", '[[package]]\nname = "kombu"\nversion = "5.10.0"\n'),
        ("uv.lock", '[[package]]\nname = "celery"\nversion = "5.6.0"\n'),
        ("wheels/kombu-5.7.0-py3-none-any.whl", ""),
        ("wheels/kombu-6.0-py3-none-any.whl", ""),
    ],
)
def test_a_new_or_an_open_one_is_none(name: str, text: str) -> None:
    assert found({name: text}) == []
