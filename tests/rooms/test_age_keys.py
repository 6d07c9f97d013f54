"""Keys of the age format as texts: published examples, and every way of mistyping one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantctl.backups import bech32
from tenantctl.backups.age import Identity, encrypt
from tenantctl.model.errors import Refused
from tests.rooms.age_files import IDENTITY


def test_identities_and_recipients_of_the_specification() -> None:
    """The published example of the format."""
    identity = Identity.parse("AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX")
    assert identity.secret == b"\x42" * 32
    assert identity.recipient == "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"


@given(st.binary(min_size=32, max_size=32))
def test_an_identity_survives_its_text(secret: bytes) -> None:
    identity = Identity(secret)
    assert Identity.parse(f"  {identity.text}\n") == identity


def test_a_new_identity_is_new_and_hides_itself() -> None:
    one, two = Identity.generate(), Identity.generate()
    assert one != two
    assert len(one.secret) == 32
    assert repr(one) == "Identity()"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AGE-SECRET-KEY-1",
        IDENTITY.text[:-1],
        IDENTITY.text[:-1] + ("Q" if IDENTITY.text[-1] != "Q" else "P"),
        IDENTITY.text.lower(),
        IDENTITY.text.replace("AGE", "age"),
        IDENTITY.recipient,
        bech32.encode("age-secret-key-", bytes(31)).upper(),
        bech32.encode("age-secret-key-pq-", bytes(32)).upper(),
        IDENTITY.text + " " + IDENTITY.text,
    ],
)
def test_what_is_no_identity(text: str) -> None:
    """It is refused, and the sentence, which may land in a log, does not repeat it."""
    with pytest.raises(Refused, match="no age identity") as caught:
        Identity.parse(text)
    assert not text or text[15:] not in caught.value.sentence or len(text) <= 16


@pytest.mark.parametrize(
    "text",
    [
        "",
        "age1",
        IDENTITY.recipient.upper(),
        IDENTITY.recipient[:-1],
        IDENTITY.text,
        bech32.encode("age", bytes(33)),
        bech32.encode("age", bytes(32)),  # a point of low order: anybody could open what is sealed for it
        "ssh-ed25519 AAAA",
    ],
)
def test_what_is_no_recipient_is_refused_at_once(text: str) -> None:
    with pytest.raises(Refused, match="no age recipient"):
        encrypt([], text)


@given(st.binary(max_size=60), st.text("abcxyz-", min_size=1, max_size=10))
def test_bech32_round_trip(content: bytes, prefix: str) -> None:
    text = bech32.encode(prefix, content)
    assert bech32.decode(text) == (prefix, content)
    assert bech32.decode(text.upper()) == (prefix, content)


@given(st.binary(min_size=1, max_size=40), st.data())
def test_bech32_finds_a_wrong_letter(content: bytes, data: st.DataObject) -> None:
    text = bech32.encode("age", content)
    at = data.draw(st.integers(4, len(text) - 1))
    letter = data.draw(st.sampled_from([one for one in "qpzry9x8gf2tvdw0s3jn54khce6mua7l" if one != text[at]]))
    with pytest.raises(ValueError, match="checksum"):
        bech32.decode(text[:at] + letter + text[at + 1 :])


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("A12UEL5L", 0),
        ("a12uel5l", 0),
        ("an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs", 0),
        ("abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", 20),
        ("split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w", 30),
        (f"11{'q' * 82}c8247j", 51),
        ("?1ezyfcl", 0),
    ],
)
def test_bech32_texts_of_its_specification_that_are_whole(text: str, size: int) -> None:
    """The valid ones of BIP 173."""
    prefix, content = bech32.decode(text)
    assert len(content) == size
    assert bech32.encode(prefix, content) == text.lower()


@pytest.mark.parametrize(
    "text", ["\x201nwldj5", "pzry9x0s0muk", "1pzry9x0s0muk", "x1b4n0q5v", "li1dgmt3", "A1G7SGD8", "10a06t8", "1qzzfhee"]
)
def test_bech32_texts_of_its_specification_that_are_wrong(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        bech32.decode(text)
