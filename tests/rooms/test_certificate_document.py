"""The certificate as a file and as a page: word for word, by its schema, and in its bytes."""

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

from tenantctl.custody.certificate_document import Document, file_bytes, schema, signed_message
from tenantctl.custody.certificate_facts import certify
from tenantctl.custody.certificate_page import page
from tenantctl.model.backup import ResidueKind
from tests.rooms import certificate_samples as samples

ROOT = Path(__file__).resolve().parents[2]
GOLDEN, PAPERS = ROOT / "tests/golden/certificates", ROOT / "docs/certificate"
CERTIFICATES = {
    "destroyed": samples.destroyed(),
    "forgotten": samples.forgotten(),
    "forgotten-name-stated": samples.forgotten('Äcme & "Sons" <GmbH>'),
}
VOID = {"meta"}


class Balance(HTMLParser):
    """Whether each element that is opened is closed, and nothing is fetched from anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not {"src", "href"} & {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", CERTIFICATES)
def test_the_file_is_word_for_word_what_it_was(name: str) -> None:
    """Ed25519 signs the same bytes alike: the whole file can be held against one that lies here."""
    assert samples.content(CERTIFICATES[name]) == (GOLDEN / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", CERTIFICATES)
def test_the_page_is_word_for_word_what_it_was(name: str) -> None:
    content = samples.content(CERTIFICATES[name])
    made = page(samples.document(CERTIFICATES[name]), hashlib.sha256(content).hexdigest())
    assert made == (GOLDEN / f"{name}.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CERTIFICATES)
def test_the_page_is_whole_html_that_fetches_nothing(name: str) -> None:
    parser = Balance()
    parser.feed((GOLDEN / f"{name}.html").read_text(encoding="utf-8"))
    parser.close()
    assert parser.open == []
    assert not {"script", "img", "link", "iframe"} & parser.seen
    for said in (samples.UID, samples.ISSUER, samples.document(CERTIFICATES[name]).signature.value):
        assert said in parser.text
    assert "@page { size: A4" in parser.text


def test_a_long_life_is_still_one_page() -> None:
    """The page sums up by kind and region; what is listed one by one is in the file."""
    few = samples.record(forgotten=True)
    many = [
        replace(one, id=f"{one.kind}/{number}-{one.id.partition('/')[2] or one.id}")
        for number in range(300)
        for one in few.residues
        if one.kind is not ResidueKind.DATABASE
    ]
    long_lived = certify(replace(few, residues=[*few.residues, *many]), now=samples.on(360), issuer=samples.ISSUER)
    pages = [page(samples.document(one), "0" * 64) for one in (long_lived, samples.forgotten())]
    assert long_lived.counts.places == 8 + 300 * 7
    assert abs(pages[0].count("<tr>") - pages[1].count("<tr>")) <= 1


def test_what_a_customer_is_called_is_text_and_no_markup() -> None:
    text = (GOLDEN / "forgotten-name-stated.html").read_text(encoding="utf-8")
    assert "Äcme &amp; &quot;Sons&quot; &lt;GmbH&gt;" in text
    assert "<GmbH>" not in text


@pytest.mark.parametrize("name", CERTIFICATES)
def test_the_file_is_as_its_schema_says(name: str) -> None:
    """The schema that is published, by a validator that is not ours."""
    published = json.loads((PAPERS / "schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    validator = jsonschema.Draft202012Validator(published)
    said = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert list(validator.iter_errors(said)) == []
    for broken in ({**said, "more": 1}, {"certificate": said["certificate"]}, {**said, "signature": {}}):
        assert list(validator.iter_errors(broken))
    said["certificate"]["counts"]["gone"] = -1
    assert list(validator.iter_errors(said))


def test_the_published_schema_is_the_programs() -> None:
    assert json.loads((PAPERS / "schema.json").read_text()) == schema()


def test_what_is_signed_is_what_the_papers_say() -> None:
    """The line, and the SHA-256 of the canonical form: keys in order, no spaces, UTF-8."""
    said = {"b": 1, "a": "Ærø"}
    canonical = hashlib.sha256('{"a":"Ærø","b":1}'.encode()).hexdigest()
    assert signed_message(said) == b"tenantctl certificate of destruction, version 1\n" + canonical.encode()


def test_a_file_can_be_written_in_one_way_only() -> None:
    said = json.loads(samples.content(samples.destroyed()))
    assert file_bytes(Document.model_validate(said).model_dump(mode="json")) == samples.content(samples.destroyed())
    assert file_bytes(dict(reversed(said.items()))) == file_bytes(said)


# The small verifier that is published for those who have no tenantctl


def small_verifier(certificate: Path, key: Path) -> "subprocess.CompletedProcess[str]":
    """Run in isolation: it finds no module of ours."""
    program = [sys.executable, "-I", str(PAPERS / "verify.py"), str(certificate), str(key)]
    return subprocess.run(program, capture_output=True, text=True, check=False, env={}, cwd="/")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    from tenantctl.custody.certificate_signature import public_pem

    path = tmp_path / "key.pem"
    path.write_text(public_pem(samples.SIGNER.public_key()))
    return path


def test_the_small_verifier_is_small_and_needs_one_library() -> None:
    text = (PAPERS / "verify.py").read_text()
    assert len(text.splitlines()) <= 80
    imported = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
    assert imported <= set(sys.stdlib_module_names) | {"cryptography"}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_the_small_verifier_finds_a_good_one_good(name: str, key_file: Path) -> None:
    ended = small_verifier(GOLDEN / f"{name}.json", key_file)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert samples.UID in ended.stdout


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"gone"', '"remains"', "changed"),
        ("absent at", "absent on", "changed"),
        ("  ", " ", "laid out"),
        ("}\n", "", "cannot be read"),
        ('"version": 1', '"version": 2', "version"),
    ],
)
def test_the_small_verifier_finds_what_was_changed(
    old: str, new: str, says: str, key_file: Path, tmp_path: Path
) -> None:
    text = (GOLDEN / "destroyed.json").read_text(encoding="utf-8")
    at = text.rindex(old)
    changed = tmp_path / "changed.json"
    changed.write_text(text[:at] + new + text[at + len(old) :], encoding="utf-8")
    ended = small_verifier(changed, key_file)
    assert ended.returncode == 1
    assert says in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_the_small_verifier_believes_no_other_key(tmp_path: Path) -> None:
    from tenantctl.adapters.memory.signer import MemorySigner
    from tenantctl.custody.certificate_signature import public_pem

    other = tmp_path / "other.pem"
    other.write_text(public_pem(MemorySigner().public_key()))
    ended = small_verifier(GOLDEN / "destroyed.json", other)
    assert ended.returncode == 1
    assert "another key" in ended.stderr
