"""`certificate verify` and its neighbours that need no cloud: what they say, and with which exit code."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tenantctl.custody.certificate_document import schema
from tenantctl.custody.certificate_signature import public_pem
from tenantctl.entrypoints.cli import main
from tests.rooms import certificate_samples as samples
from tests.rooms.certificate_samples import SIGNER

OTHER_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGzyvHtPsH2Zva7XZtJ8W7Cls7taN1dht093tDbybAZc=
-----END PUBLIC KEY-----
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Certificates and keys, good and bad; and no cloud anywhere."""
    content = samples.content(samples.destroyed())
    (tmp_path / "good.json").write_bytes(content)
    (tmp_path / "ended.json").write_bytes(samples.content(samples.forgotten()))
    (tmp_path / "changed.json").write_bytes(content.replace(b"tenants-", b"tenantz-", 1))
    (tmp_path / "cut.json").write_bytes(content[: len(content) // 2])
    (tmp_path / "newer.json").write_bytes(content.replace(b'"version": 1', b'"version": 2'))
    (tmp_path / "key.pem").write_text(public_pem(SIGNER.public_key()))
    (tmp_path / "other.pem").write_text(OTHER_KEY)
    (tmp_path / "binary.pem").write_bytes(bytes(range(256)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENANTCTL_LOCAL_DIR", str(tmp_path / "no-cloud"))
    monkeypatch.delenv("TENANTCTL_PUBLIC_KEYS", raising=False)
    return tmp_path


def ask(capsys: pytest.CaptureFixture[str], line: str) -> tuple[int, str, str]:
    """A command line as `__main__` runs it: exit code, stdout, stderr."""
    code = main.run(["certificate", *line.split()])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("verify changed.json --public-key key.pem", 6, "The certificate was changed after it was signed"),
        ("verify cut.json --public-key key.pem", 3, "not the whole of one"),
        ("verify newer.json --public-key key.pem", 3, "of version 2"),
        ("verify good.json --public-key other.pem", 3, "not among those that are trusted"),
        ("verify good.json --public-key binary.pem", 3, "There is no public key in binary.pem"),
        ("verify good.json --public-key none.pem", 4, "There is no file none.pem"),
        ("verify good.json", 3, "No public key is named"),
        ("verify none.json --public-key key.pem", 4, "There is no file none.json"),
        ("verify . --public-key key.pem", 3, ". cannot be read"),
        ("verify", 2, "FILE"),
        ("verify --online good.json", 2, "--online"),
        ("", 2, "Commands:"),
        ("acme", 3, "No cloud is configured"),
        ("acme -o good.json", 3, "good.json cannot be written: File exists"),
        ("acme --html no/folder.html", 3, "no/folder.html cannot be written: No such file"),
        ("issue", 2, "TENANT"),
        ("issue acme --nonsense", 2, "--nonsense"),
        ("public-key", 3, "No cloud is configured"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(
    capsys: pytest.CaptureFixture[str], line: str, code: int, says: str
) -> None:
    answer = ask(capsys, line)
    assert (answer[0], says in answer[1] + answer[2]) == (code, True), answer
    assert code == 2 or answer[2].count("\n") <= 2


def test_what_could_not_be_issued_leaves_no_file(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Neither the first, if the second cannot be made, nor either, if there is no cloud."""
    before = sorted(folder.iterdir())
    ask(capsys, "acme -o first.json --html good.json")
    ask(capsys, "acme -o first.json --html second.html")
    assert sorted(folder.iterdir()) == before


@pytest.mark.usefixtures("folder")
def test_a_good_one_is_told_in_four_lines(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ask(capsys, "verify good.json --public-key other.pem --public-key key.pem")
    assert (code, err) == (0, "")
    assert out == (
        "The certificate is whole, and signed with key"
        " 153f231f71d4d2812a56e1a7239621289331b3f1a2a93be8e9c167e86ded3fa5.\n"
        "  Issued by Example Hosting GmbH at 2026-12-23T12:00:00.000250Z of tenant k3v9q2m7x4ab, destroyed.\n"
        "  2 of 7 places are gone, 5 remain, until 2027-10-30T12:00:00.000250Z.\n"
        "  6 of 10 journal entries are quoted; each has the hash that it should.\n"
    )
    assert "8 of 8 places are gone, nothing remains." in ask(capsys, "verify ended.json --public-key key.pem")[1]


def test_the_keys_to_trust_can_be_configured(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a variable with several files, as a path; and a local cloud's own key where there is one."""
    monkeypatch.setenv("TENANTCTL_PUBLIC_KEYS", "other.pem:key.pem")
    assert ask(capsys, "verify good.json")[0] == 0
    monkeypatch.delenv("TENANTCTL_PUBLIC_KEYS")
    (folder / "no-cloud").mkdir()
    (folder / "key.pem").rename(folder / "no-cloud" / "certificate-key.pem")
    code, _, err = ask(capsys, "verify good.json")
    assert (code, "proves nothing to anybody else" in err) == (0, True)
    assert ask(capsys, "verify good.json --public-key other.pem")[0] == 3, "what is named is all that is trusted"


def test_the_schema_is_printed() -> None:
    ended = CliRunner().invoke(main.cli, ["certificate", "schema"])
    assert json.loads(ended.output) == schema()
