"""What must never be in a bundle stops the build, by name, with what to do about it."""

from pathlib import Path

import pytest

from shipit.bundle import Entry, Globs
from shipit.bundle.refusals import check_links, check_names, check_secret_names, check_secret_text
from shipit.errors import PreflightError

KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU=\n-----END OPENSSH PRIVATE KEY-----\n"
NOTHING = Globs([])


def entries(*names: str, **links: str) -> list[Entry]:
    files = [Entry(name=name, source=Path("unused")) for name in names]
    return files + [Entry(name=name, source=Path("unused"), link=target) for name, target in links.items()]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a\nb", "control character"),
        ("a\x7fb", "control character"),
        ("a\ufffdb", "not UTF-8"),
        ("/etc/passwd", "not a path inside"),
        ("../a", "not a path inside"),
        ("a/../b", "not a path inside"),
        ("a//b", "not a path inside"),
        ("a/", "not a path inside"),
        ("", "not a path inside"),
    ],
)
def test_a_name_that_does_not_travel_is_refused(name: str, words: str) -> None:
    with pytest.raises(PreflightError, match=words):
        check_names(entries("fine", name))


def test_a_name_that_no_encoding_made_is_refused() -> None:
    with pytest.raises(PreflightError, match="not UTF-8"):
        check_names(entries("a\ud800b"))


@pytest.mark.parametrize("name", ["ünïcode/日本.py", ".hidden", "a b/c'd", "-rf", "..a", "a..", "n" * 300])
def test_an_unusual_name_is_not_refused(name: str) -> None:
    check_names(entries(name))


def test_an_empty_bundle_is_refused() -> None:
    with pytest.raises(PreflightError, match="empty"):
        check_names([])


def test_a_name_twice_or_a_file_that_is_a_folder_too_is_refused() -> None:
    with pytest.raises(PreflightError, match="twice"):
        check_names(entries("a", "a"))
    with pytest.raises(PreflightError, match="a/b would be both"):
        check_names(entries("a/b/c", "a/b"))


@pytest.mark.parametrize(
    "links",
    [
        {"a": "/etc/passwd"},
        {"a": ".."},
        {"a": "../x"},
        {"a/b": "../../x"},
        {"a/b": "c/../../../x"},
        {"deep/er/top": "../..", "deep/er/out": "top/../x"},
        {"a": "b", "b": "a"},
        {"a": "a/x"},
    ],
)
def test_a_symlink_that_leads_out_is_refused_also_through_others(links: dict[str, str]) -> None:
    with pytest.raises(PreflightError, match="symlink"):
        check_links(entries(**links))


@pytest.mark.parametrize(
    "links", [{"a": "b"}, {"a/b": "../c"}, {"a/b": "."}, {"a/b": ".."}, {"a": "b/../c", "b": "d/e"}, {"a": "gone"}]
)
def test_a_symlink_that_stays_is_kept(links: dict[str, str]) -> None:
    check_links(entries(**links))


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        "conf/.env",
        ".env.production",
        "id_rsa",
        "keys/id_ed25519",
        ".aws/credentials",
        "a/.netrc",
        "x.p12",
        "X.JKS",
    ],
)
def test_a_file_named_like_a_secret_is_refused_and_can_be_allowed(name: str) -> None:
    with pytest.raises(PreflightError, match="looks like a secret") as refusal:
        check_secret_names(entries("a.py", name), NOTHING)
    assert name in refusal.value.message
    assert "allow-secrets" in refusal.value.hint
    check_secret_names(entries(name), Globs(["**"]))


@pytest.mark.parametrize(
    "name", [".env.example", "env", "environment.py", "id_rsa.pub", "cacert.pem", "aws/credentials.py"]
)
def test_a_file_that_only_resembles_one_passes(name: str) -> None:
    check_secret_names(entries(name), NOTHING)


def test_many_secrets_are_counted() -> None:
    with pytest.raises(PreflightError, match="and 2 more"):
        check_secret_names(entries(*(f"{n}/.env" for n in range(7))), NOTHING)


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        b"a: 1\n" + KEY,
        KEY.replace(b"\n", b"\r\n"),
        b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,00\n\nMIIEpAIBAAKCAQEA7\n",
        b"[default]\naws_secret_access_key = " + b"a1B2" * 10 + b"\n",
    ],
)
def test_a_file_that_holds_a_key_is_refused_with_its_line(text: bytes) -> None:
    with pytest.raises(PreflightError, match=r"conf/x:\d+: holds a private key"):
        check_secret_text("conf/x", text, NOTHING)
    check_secret_text("conf/x", text, Globs(["conf/*"]))


@pytest.mark.parametrize(
    "text",
    [
        b'MARKER = "-----BEGIN RSA PRIVATE KEY-----"\n',
        b"-----BEGIN RSA PRIVATE KEY-----\nyour key here\n",
        b"-----BEGIN CERTIFICATE-----\nMIIEpAIBAAKCAQEA7\n",
        b"aws_secret_access_key = os.environ['SECRET']\n",
    ],
)
def test_a_program_that_mentions_keys_passes(text: bytes) -> None:
    check_secret_text("a.py", text, NOTHING)
