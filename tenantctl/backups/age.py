"""The age format, version 1 (c2sp.org/age): what is sealed here, `age -d` opens with no tenantctl installed.

A header wraps a fresh file key for one X25519 recipient, under a MAC. The payload follows in segments of 64 KiB, each
sealed with ChaCha20-Poly1305 under its own number; the last one bears a mark. Whatever was cut off, also between two
segments, put behind, swapped or flipped is refused. The mark is set only when the input has ended well: a dump that
broke off never becomes a whole file. Memory is flat, and bytes that were not authenticated are never handed out.
"""

import base64
import binascii
import hashlib
import hmac
import itertools
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tenantctl.backups import bech32
from tenantctl.model.errors import Refused

SEGMENT: Final = 64 * 1024
TAG: Final = 16
SEGMENTS_AT_ONCE: Final = 16  # in each piece handed out: 1 MiB
HEADER_MAX: Final = 64 * 1024  # the format has no limit; who made a longer one means no good
_SEALED: Final = SEGMENT + TAG
_KEY: Final = 32
_FILE_KEY: Final = 16
_NONCE: Final = 16
_RECIPIENT_PREFIX: Final = "age"
_IDENTITY_PREFIX: Final = "age-secret-key-"
_VERSION_LINE: Final = b"age-encryption.org/v1\n"
_STANZA: Final = re.compile(rb"-> ([!-~]+(?: [!-~]+)*)\n((?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n)")
_HEADER: Final = re.compile(
    re.escape(_VERSION_LINE) + rb"((?:" + _STANZA.pattern + rb")+)--- (?P<mac>[A-Za-z0-9+/]{43})\n"
)


@dataclass(frozen=True)
class Identity:
    """The private half of a backup's key: 32 secret bytes, which no `repr` shows."""

    secret: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> "Identity":
        """A new one."""
        return cls(secrets.token_bytes(_KEY))

    @classmethod
    def parse(cls, text: str) -> "Identity":
        """The identity that a text `AGE-SECRET-KEY-1…` states, with or without white space around it.

        Raises:
            Refused: it is none; the sentence does not repeat it.
        """
        return cls(_parsed(text.strip(), _IDENTITY_PREFIX, "age identity"))

    @property
    def text(self) -> str:
        """What `age -d -i` reads: `AGE-SECRET-KEY-1…`."""
        return bech32.encode(_IDENTITY_PREFIX, self.secret).upper()

    @property
    def recipient(self) -> str:
        """The public half: `age1…`."""
        return bech32.encode(_RECIPIENT_PREFIX, self._share)

    @property
    def _share(self) -> bytes:
        return X25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw()


def encrypt(chunks: Iterable[bytes], recipient: str) -> Iterator[bytes]:
    """Seal bytes for a recipient: a header, then pieces of about 1 MiB.

    The last segment comes only after `chunks` has ended; an error from there ends this iterator too, before the mark.

    Args:
        chunks: the bytes, in chunks of any size.
        recipient: `age1…`.

    Raises:
        Refused: `recipient` is none; at once.
    """
    share = _parsed(recipient, _RECIPIENT_PREFIX, "age recipient")
    file_key, nonce = secrets.token_bytes(_FILE_KEY), secrets.token_bytes(_NONCE)
    header = _header(file_key, share)
    return itertools.chain((header + nonce,), _sealed(chunks, _derived(file_key, nonce, b"payload")))


def decrypt(chunks: Iterable[bytes], identity: Identity) -> Iterator[bytes]:
    """Open what was sealed for an identity, in pieces of about 1 MiB.

    Each piece is authentic when it comes; that it was all is known when the iterator ends without an error.

    Raises:
        Refused: when it is read: there is no header, the key is another one, or bytes were cut off, added or changed.
    """
    incoming = iter(chunks)
    received = bytearray()
    while (end := _end_of_header(received)) is None or len(received) < end + _NONCE:
        if (chunk := next(incoming, None)) is None:
            _refuse_start(received, end)
        received += chunk
    file_key = _file_key(bytes(received[:end]), identity)
    start = end + _NONCE
    payload_key = _derived(file_key, bytes(received[end:start]), b"payload")
    yield from _opened(itertools.chain((bytes(received[start:]),), incoming), payload_key)


def _parsed(text: str, prefix: str, what: str) -> bytes:
    try:
        found, content = bech32.decode(text)
    except ValueError as error:
        raise Refused(f"That is no {what}: {error}.") from error
    if found != prefix or len(content) != _KEY:
        raise Refused(f"That is no {what}, but some other key.")
    if (text == text.upper()) != (prefix == _IDENTITY_PREFIX):
        raise Refused(f"That is no {what}: identities are written in upper case, recipients in lower case.")
    return content


# The header


def _header(file_key: bytes, share: bytes) -> bytes:
    ephemeral = X25519PrivateKey.generate()
    public = ephemeral.public_key().public_bytes_raw()
    key = _wrap_key(_shared(ephemeral, share, "That is no age recipient: it has no key to share."), public + share)
    body = ChaCha20Poly1305(key).encrypt(bytes(12), file_key, None)
    unsigned = _VERSION_LINE + b"-> X25519 " + _base64(public) + b"\n" + _base64(body) + b"\n---"
    return unsigned + b" " + _base64(_mac(file_key, unsigned)) + b"\n"


def _end_of_header(received: bytearray) -> int | None:
    """Where the payload begins; None as long as that has not been received.

    Raises:
        Refused: it is no header, and never will be.
    """
    if not (received[: len(_VERSION_LINE)] == _VERSION_LINE[: len(received)]):
        raise Refused("This is not an age file: it does not begin with the header.")
    mark = received.find(b"\n---", 0, HEADER_MAX)
    end = received.find(b"\n", mark + 1, HEADER_MAX) if mark >= 0 else -1
    if end < 0 and len(received) >= HEADER_MAX:
        raise Refused("The header of the age file does not end.")
    return end + 1 if end >= 0 else None


def _refuse_start(received: bytearray, end: int | None) -> NoReturn:
    if not received:
        raise Refused("This is not an age file: it is empty.")
    raise Refused(f"The age file is cut short in its {'header' if end is None else 'payload'}.")


def _file_key(header: bytes, identity: Identity) -> bytes:
    """The file key that a header wraps for an identity.

    Raises:
        Refused: the header is damaged, or wraps it for others.
    """
    whole = _HEADER.fullmatch(header)
    if whole is None:
        raise Refused("The header of the age file is damaged.")
    stanzas = [(match[1].split(b" "), _unbase64(match[2])) for match in _STANZA.finditer(whole[1])]
    if len(stanzas) > 1 and any(arguments[0] == b"scrypt" for arguments, _ in stanzas):
        raise Refused("The header of the age file is damaged: a passphrase stands beside other recipients.")
    for arguments, body in stanzas:
        if arguments[0] != b"X25519":
            continue
        file_key = _unwrapped(arguments[1:], body, identity)
        if file_key is None:
            continue
        signed = header[: whole.start("mac") - 1]
        if not hmac.compare_digest(_mac(file_key, signed), _unbase64(whole["mac"])):
            raise Refused("The header of the age file was changed after it was written.")
        return file_key
    raise Refused("The age file is sealed for another key, or its header is damaged.")


def _unwrapped(arguments: list[bytes], body: bytes, identity: Identity) -> bytes | None:
    """The file key; None if it is wrapped for somebody else."""
    public = _unbase64(arguments[0]) if len(arguments) == 1 else b""
    if len(public) != _KEY or len(body) != _FILE_KEY + TAG:
        raise Refused("The header of the age file is damaged: a recipient's part has the wrong size.")
    own = X25519PrivateKey.from_private_bytes(identity.secret)
    key = _wrap_key(_shared(own, public, "The header of the age file has no key to share."), public + identity._share)
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), body, None)
    except InvalidTag:
        return None


def _shared(own: X25519PrivateKey, public: bytes, sentence: str) -> bytes:
    try:
        return own.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:  # a point of low order: everybody would share that key
        raise Refused(sentence) from error


def _wrap_key(shared: bytes, salt: bytes) -> bytes:
    return _derived(shared, salt, b"age-encryption.org/v1/X25519")


def _derived(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), length=_KEY, salt=salt, info=info).derive(key)


def _mac(file_key: bytes, signed: bytes) -> bytes:
    return hmac.digest(_derived(file_key, b"", b"header"), signed, hashlib.sha256)


def _base64(content: bytes) -> bytes:
    return base64.b64encode(content).rstrip(b"=")


def _unbase64(text: bytes) -> bytes:
    """Bytes of base64 without padding, in lines or not.

    Raises:
        Refused: it is not the one way of writing these bytes.
    """
    joined = text.replace(b"\n", b"")
    try:
        content = base64.b64decode(joined + b"=" * (-len(joined) % 4), validate=True)
    except binascii.Error:
        content = b""
    if _base64(content) != joined:
        raise Refused("The header of the age file is damaged: it is not written in base64 as it must be.")
    return content


# The payload


def _sealed(chunks: Iterable[bytes], key: bytes) -> Iterator[bytes]:
    cipher = ChaCha20Poly1305(key)
    # Sealed into one place and copied from there: fresh memory for each segment costs more than the copy.
    place, filled = memoryview(bytearray(SEGMENTS_AT_ONCE * _SEALED)), 0
    for number, (segment, last) in enumerate(_cut(chunks, SEGMENT)):
        start, filled = filled, filled + len(segment) + TAG
        cipher.encrypt_into(_segment_nonce(number, last=last), segment, None, place[start:filled])
        if last or filled == len(place):
            yield bytes(place[:filled])
            filled = 0


def _opened(chunks: Iterable[bytes], key: bytes) -> Iterator[bytes]:
    cipher = ChaCha20Poly1305(key)
    place, filled = memoryview(bytearray(SEGMENTS_AT_ONCE * SEGMENT)), 0
    for number, (segment, last) in enumerate(_cut(chunks, _SEALED)):
        start, filled = filled, filled + len(segment) - TAG
        if filled < start or (filled == start and number):
            raise Refused("The age file is cut short.")
        try:
            cipher.decrypt_into(_segment_nonce(number, last=last), segment, None, place[start:filled])
        except InvalidTag:
            _refuse_segment(cipher, number, segment, last=last)
        if filled == len(place) or (last and filled):
            yield bytes(place[:filled])
            filled = 0


def _refuse_segment(cipher: ChaCha20Poly1305, number: int, segment: bytes | memoryview, *, last: bool) -> NoReturn:
    """Refuse a segment that did not open, and say why as far as that can be told."""
    try:
        cipher.decrypt(_segment_nonce(number, last=not last), segment, None)
    except InvalidTag:
        sentence = f"The age file is damaged in segment {number}: bytes were changed, cut off or put behind."
        raise Refused(sentence) from None
    if last:
        raise Refused(f"The age file is cut short: segment {number} is not its last.")
    raise Refused(f"The age file goes on after its end in segment {number}.")


def _cut(chunks: Iterable[bytes], size: int) -> Iterator[tuple[bytes | memoryview, bool]]:
    """The bytes in segments of `size`, and whether each is the last: known only when more comes, or nothing.

    The last one has at least one byte, unless there is none at all.
    """
    parts: list[memoryview] = []
    length = 0
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            if length == size:
                yield _joined(parts), False
                parts, length = [], 0
            part = rest[: size - length]
            parts.append(part)
            length, rest = length + len(part), rest[len(part) :]
    yield _joined(parts), True


def _joined(parts: list[memoryview]) -> bytes | memoryview:
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _segment_nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\1" if last else b"\0")
