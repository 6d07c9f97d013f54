"""Age files between this program and others: pyrage (the `age` crate of Rust), and the `age` command where it is.

Both directions, and the same verdict on files that are wrong in one step of the format's definition.
"""

import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantctl.backups.age import Identity, decrypt, encrypt
from tenantctl.model.errors import Refused
from tests.rooms.age_files import (
    FILE_KEY,
    IDENTITY,
    OTHER,
    SEGMENT,
    VERSION,
    Payload,
    header,
    payload,
    public,
    stanza,
    text,
)

CONTENT = os.urandom(2 * SEGMENT + 100)
SIZES = [0, 1, 1000, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 2 * SEGMENT + 100]
AGE = shutil.which("age")
needs_age = pytest.mark.skipif(AGE is None, reason="the command `age` is not installed")
FOREIGN = pyrage.x25519.Identity.from_str(IDENTITY.text)


def ours(content: bytes) -> bytes | None:
    """What we open; None if we refuse."""
    try:
        return b"".join(decrypt([content], IDENTITY))
    except Refused:
        return None


def theirs(content: bytes) -> bytes | None:
    """What pyrage opens; None if it refuses."""
    try:
        opened: bytes = pyrage.decrypt(content, [FOREIGN])
    except pyrage.DecryptError:
        return None
    return opened


def of_age(*arguments: str, content: bytes) -> tuple[int, bytes]:
    assert AGE is not None
    ended = subprocess.run([AGE, *arguments], input=content, capture_output=True, check=False)
    return ended.returncode, ended.stdout


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "key.txt"
    path.write_text(IDENTITY.text + "\n")
    path.chmod(0o600)
    return str(path)


# Whole files


@pytest.mark.parametrize("size", SIZES)
def test_pyrage_opens_ours(size: int) -> None:
    content = CONTENT[:size]
    assert theirs(b"".join(encrypt([content], IDENTITY.recipient))) == content


@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_pyrage_sealed(size: int) -> None:
    content = CONTENT[:size]
    assert ours(pyrage.encrypt(content, [FOREIGN.to_public()])) == content


def test_keys_are_the_same_keys() -> None:
    assert str(FOREIGN.to_public()) == IDENTITY.recipient
    made = pyrage.x25519.Identity.generate()
    assert Identity.parse(str(made)).recipient == str(made.to_public())


def test_several_recipients() -> None:
    """An operator may seal for two; each opens it, a third does not."""
    both = [pyrage.x25519.Identity.from_str(one.text).to_public() for one in (OTHER, IDENTITY)]
    sealed = pyrage.encrypt(CONTENT, both)
    assert [b"".join(decrypt([sealed], one)) for one in (OTHER, IDENTITY)] == [CONTENT, CONTENT]
    with pytest.raises(Refused, match="another key"):
        list(decrypt([sealed], Identity(b"\x09" * 32)))


@needs_age
@pytest.mark.parametrize("size", SIZES)
def test_the_age_command_opens_ours(key_file: str, size: int) -> None:
    content = CONTENT[:size]
    sealed = b"".join(encrypt([content], IDENTITY.recipient))
    assert of_age("-d", "-i", key_file, content=sealed) == (0, content)


@needs_age
@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_the_age_command_sealed(size: int) -> None:
    content = CONTENT[:size]
    status, sealed = of_age("-r", IDENTITY.recipient, content=content)
    assert status == 0
    assert ours(sealed) == content


@needs_age
@pytest.mark.parametrize("length", [100, 200, SEGMENT, -1, -100])
def test_the_age_command_refuses_ours_cut_short(key_file: str, length: int) -> None:
    sealed = b"".join(encrypt([CONTENT], IDENTITY.recipient))
    status, _ = of_age("-d", "-i", key_file, content=sealed[:length])
    assert status != 0


# Files made by hand, right and wrong

BODY = payload(b"age")
FULL = "A" * 64
SEALED = stanza().splitlines()[1]
SHARE = stanza().split()[2]
LOW_ORDER = bytes(32)

RIGHT = {
    "plain": (header() + BODY, b"age"),
    "empty payload": (header() + payload(b""), b""),
    "one full segment": (header() + payload(CONTENT[:SEGMENT]), CONTENT[:SEGMENT]),
    "two full segments": (header() + payload(CONTENT[: 2 * SEGMENT]), CONTENT[: 2 * SEGMENT]),
    "an unknown recipient before": (header(["-> example.com/x y\nAAAA\n", stanza()]) + BODY, b"age"),
    "an unknown recipient behind": (header([stanza(), "-> example.com/x\n\n"]) + BODY, b"age"),
    "a body of one full line": (header([f"-> x\n{FULL}\n\n", stanza()]) + BODY, b"age"),
    "a body of two lines": (header([f"-> x\n{FULL}\nAAAA\n", stanza()]) + BODY, b"age"),
    "any visible character as argument": (
        header([f"-> {''.join(map(chr, range(33, 127)))}\n\n", stanza()]) + BODY,
        b"age",
    ),
    "somebody else's recipient before": (header([stanza(OTHER), stanza()]) + BODY, b"age"),
    "two times our recipient": (header([stanza(), stanza(ephemeral=b"\x08" * 32)]) + BODY, b"age"),
}

WRONG = {
    "nothing": b"",
    "the header alone": header(),
    "the header and a part of the nonce": header() + BODY[:15],
    "the nonce and nothing": header() + BODY[:16],
    "a part of a tag": header() + BODY[:20],
    "another version": header(version="age-encryption.org/v1234") + BODY,
    "a carriage return": header(version=VERSION + "\r") + BODY,
    "no recipient": header([]) + BODY,
    "somebody else's recipient": header([stanza(OTHER)]) + BODY,
    "a wrong MAC": header(mac=text(bytes(32))) + BODY,
    "a MAC with padding": header(mac=text(bytes(32)) + "=") + BODY,
    "a short MAC": header(mac=text(bytes(31))) + BODY,
    "no MAC": header(mac="") + BODY,
    "a MAC and a space": header(mac=text(bytes(32)) + " ") + BODY,
    "two spaces before the MAC": header().replace(b"--- ", b"---  ") + BODY,
    "a line behind the MAC": header() + b"\n" + BODY,
    "a share of low order": header([stanza(share=LOW_ORDER)]) + BODY,
    "a short share": header([f"-> X25519 {text(bytes(31))}\n{SEALED}\n"]) + BODY,
    "a long share": header([f"-> X25519 {text(bytes(33))}\n{SEALED}\n"]) + BODY,
    "a share with padding": header([f"-> X25519 {SHARE}=\n{SEALED}\n"]) + BODY,
    "no share": header([f"-> X25519\n{SEALED}\n"]) + BODY,
    "an argument too many": header([f"-> X25519 {SHARE} x\n{SEALED}\n"]) + BODY,
    "a lower-case type": header([stanza().replace("X25519", "x25519")]) + BODY,
    "a long file key": header([stanza(more=b"!")]) + BODY,
    "a body with padding": header([f"-> X25519 {SHARE}\n{SEALED}=\n"]) + BODY,
    "no body": header([f"-> X25519 {SHARE}\n\n"]) + BODY,
    "a body without its line": header(["-> x\n", stanza()]) + BODY,
    "a full line and no last one": header([f"-> x\n{FULL}\n", stanza()]) + BODY,
    "a line too long": header([f"-> x\n{FULL}A\n", stanza()]) + BODY,
    "a body of bits left over": header(["-> x\nAAB\n", stanza()]) + BODY,
    "a body of one letter": header(["-> x\nA\n", stanza()]) + BODY,
    "a body with a hyphen": header(["-> x\nAA-A\n", stanza()]) + BODY,
    "no argument": header(["->\n\n", stanza()]) + BODY,
    "an empty argument": header(["-> \n\n", stanza()]) + BODY,
    "two spaces between arguments": header(["-> x  y\n\n", stanza()]) + BODY,
    "a space behind the arguments": header(["-> x \n\n", stanza()]) + BODY,
    "an argument with a control character": header(["-> x\x7f\n\n", stanza()]) + BODY,
    "an argument that is no ASCII": header(["-> x\xe9\n\n", stanza()]) + BODY,
    "no space behind the arrow": header(["->x\n\n", stanza()]) + BODY,
    "an empty line before the MAC": header([stanza(), "\n"]) + BODY,
    "a passphrase beside a recipient": header([f"-> scrypt {text(bytes(16))} 10\n{SEALED}\n", stanza()]) + BODY,
    "only a passphrase": header([f"-> scrypt {text(bytes(16))} 10\n{SEALED}\n"]) + BODY,
    "no last mark": header() + Payload().segment(b"age", 0, last=False).content,
    "a segment behind the last": header() + Payload().segment(b"a", 0, last=True).segment(b"b", 1, last=True).content,
    "an empty last segment": header()
    + Payload().segment(CONTENT[:SEGMENT], 0, last=False).segment(b"", 1, last=True).content,
    "no segment after a full one": header() + Payload().segment(CONTENT[:SEGMENT], 0, last=False).content,
    "a short segment in the middle": header()
    + Payload().segment(CONTENT[:1000], 0, last=False).segment(b"x", 1, last=True).content,
    "a last segment too long": header() + Payload().segment(CONTENT[: SEGMENT + 1], 0, last=True).content,
    "two marks": header()
    + Payload().segment(CONTENT[:SEGMENT], 0, last=True).segment(b"x", 1, last=True).content,
    "a number left out": header()
    + Payload().segment(CONTENT[:SEGMENT], 0, last=False).segment(b"x", 2, last=True).content,
    "numbers from one": header() + Payload().segment(b"age", 1, last=True).content,
    "one byte behind": header() + BODY + b"\0",
    "another nonce": header() + bytes(16) + BODY[16:],
}  # fmt: skip


# pyrage still takes stanzas of an early draft, whose bodies may lack their last, short line.
OF_A_DRAFT = {"a body without its line", "a full line and no last one"}


@pytest.mark.parametrize("what", RIGHT)
def test_both_open(what: str) -> None:
    """Files that the definition allows, in forms that we never write ourselves."""
    content, plain = RIGHT[what]
    assert ours(content) == plain
    assert theirs(content) == plain


@pytest.mark.parametrize("what", WRONG)
def test_both_refuse(what: str) -> None:
    """Files that differ from right ones in one step."""
    assert ours(WRONG[what]) is None
    assert what in OF_A_DRAFT or theirs(WRONG[what]) is None


@needs_age
def test_the_age_command_gives_the_same_verdicts(key_file: str) -> None:
    opened = {what for what, content in WRONG.items() if of_age("-d", "-i", key_file, content=content)[0] == 0}
    assert opened <= {"a passphrase beside a recipient"}  # opened by some versions; we seal for nobody like that
    for content, plain in RIGHT.values():
        assert of_age("-d", "-i", key_file, content=content) == (0, plain)


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), kind=st.sampled_from(["put", "drop", "insert"]))
@settings(deadline=None, max_examples=400)
def test_the_same_verdict_on_any_mistake(at: int, byte: int, kind: str) -> None:
    """One byte changed, lost or added: both open the same, or neither does."""
    content, _ = RIGHT["a body of two lines"]
    at %= len(content)
    harmed = content[:at] + (b"" if kind == "drop" else bytes([byte])) + content[at + (kind != "insert") :]
    assert ours(harmed) == theirs(harmed)


def test_the_hand_made_files_are_of_the_published_shape() -> None:
    """Our own writer makes the same lines: version, recipient, body, MAC."""
    lines = [next(encrypt([], IDENTITY.recipient)).split(b"\n")[:4], header().split(b"\n")[:4]]
    shapes = [[(line.split(b" ")[:-1], len(line)) for line in each] for each in lines]
    assert shapes[0] == shapes[1]
    assert len(FILE_KEY) == 16
    assert all(len(public(one)) == 32 for one in itertools.chain([IDENTITY, OTHER]))
