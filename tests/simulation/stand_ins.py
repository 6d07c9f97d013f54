"""What stands in for the few parts of the program that a simulation cannot use: threads, secrets and real cryptography.

Planning, engine and steps are the program's own. Only these differ: the bytes of a backup are sealed by writing the
recipient in front of them, in the caller's thread; a lease is not renewed in the background; and what the program
draws at random it draws from the simulation's own source, so that a seed replays exactly. Each of these parts has
tests of its own, and none of them decides anything.
"""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any, Final
from unittest.mock import patch

from tenantctl.adapters.memory.keys import MemoryKeys
from tenantctl.backups.age import Identity
from tenantctl.backups.stream import Streamed, Target, opened, stream
from tenantctl.model.errors import Refused, Transient
from tenantctl.ports.databases import Dump
from tenantctl.ports.vault import ObjectSeen, Vault

SEAL: Final = b"\n"  # ends the recipient, which stands before the archive


class Chance:
    """The one source of randomness; `begin` derives it anew, so that no draw depends on what was drawn before."""

    def __init__(self) -> None:
        self._random = Random(0)

    def begin(self, *words: object) -> None:
        """From here on, what is drawn depends on these words alone."""
        self._random.seed("/".join(map(str, words)))

    def token_bytes(self, count: int) -> bytes:
        """As `secrets.token_bytes`."""
        return self._random.randbytes(count)


class PlainKeys(MemoryKeys):
    """Keys whose wrapping states region and context, and hides nothing."""

    def wrap(self, region: str, plaintext: bytes, *, context: str) -> bytes:
        """See the port."""
        self._reach(region)
        return b"\0".join((region.encode(), context.encode(), plaintext))

    def unwrap(self, region: str, wrapped: bytes, *, context: str) -> bytes:
        """See the port."""
        self._reach(region)
        words = wrapped.split(b"\0", 2)
        if words[:2] != [region.encode(), context.encode()]:
            raise Refused(f"The key of {region} does not unwrap this: it was wrapped elsewhere, or changed.")
        return words[2]


def sealed(archive: bytes, recipient: str) -> bytes:
    """An archive as it is stored."""
    return recipient.encode() + SEAL + archive


def plain_opened(chunks: Iterable[bytes], identity: Identity | None) -> Iterator[bytes]:
    """The archive in a stored object.

    Raises:
        Refused: it was sealed for another key, or is nothing that was sealed.
    """
    recipient, _, archive = b"".join(chunks).partition(SEAL)
    if identity is None or recipient.decode(errors="replace") != identity.recipient:
        raise Refused("No identity of this backup opens it.")
    yield archive


def plain_stream(
    dump: Dump,
    vault: Vault,
    targets: Sequence[Target],
    *,
    recipient: str,
    check: Callable[[], None],
    confirm: Callable[[], None] | None = None,
) -> Streamed:
    """The same promises as the real one, one after the other: opened, dumped, confirmed, and only then sealed."""
    done: dict[str, ObjectSeen] = {}
    failed: dict[str, str] = {}
    with ExitStack() as begun:
        uploads = {}
        for target in targets:
            try:
                uploads[target.region] = begun.enter_context(vault.upload(target.bucket, target.name))
            except (Transient, Refused) as error:
                failed[target.region] = error.sentence
        archive = b"".join(dump.chunks())
        content = sealed(archive, recipient)
        check()
        for region, upload in list(uploads.items()):
            try:
                upload.write(content)
            except (Transient, Refused) as error:
                failed[region] = error.sentence
                del uploads[region]
        (confirm or check)()
        for region, upload in uploads.items():
            try:
                done[region] = upload.seal()
            except (Transient, Refused) as error:
                failed[region] = error.sentence
    return Streamed(len(content), len(archive), sha256_of(content), crc32c_of(content), done, failed)


def sha256_of(content: bytes) -> str:
    """Hex."""
    return hashlib.sha256(content).hexdigest()


def crc32c_of(content: bytes) -> str:
    """As the memory vault states it."""
    from tenantctl.adapters.memory.vault import _crc32c_of

    return _crc32c_of(content)


def plain_identity(text: str) -> Identity:
    """The identity that `text` states.

    Raises:
        Refused: it is none.
    """
    if not text.startswith("secret-"):
        raise Refused("This is no identity.")
    return Identity(bytes.fromhex(text.removeprefix("secret-")))


@contextmanager
def stand_ins(chance: Chance) -> Iterator[None]:
    """The program with these parts in the places of its own, until the block ends."""
    with ExitStack() as patched:
        for name, stand_in in (
            ("generate", staticmethod(lambda: Identity(chance.token_bytes(8)))),
            ("parse", staticmethod(plain_identity)),
            ("text", property(lambda identity: f"secret-{identity.secret.hex()}")),
            ("recipient", property(lambda identity: f"public-{identity.secret.hex()}")),
        ):
            patched.enter_context(patch.object(Identity, name, stand_in))
        for place, one in (
            ("tenantctl.engine.heartbeat.Heartbeat.beating", _not_beating),
            ("tenantctl.model.tenant.secrets", chance),
        ):
            patched.enter_context(patch(place, one))
        for real, plain in ((stream, plain_stream), (opened, plain_opened)):
            for module in _importers(real):
                patched.enter_context(patch.object(module, real.__name__, plain))
        yield


def _importers(function: Callable[..., object]) -> list[Any]:
    """Every module of the program that has this function under its own name."""
    ours = [module for name, module in sorted(sys.modules.items()) if name.startswith("tenantctl.")]
    return [module for module in ours if getattr(module, function.__name__, None) is function]


@contextmanager
def _not_beating(heartbeat: object) -> Iterator[None]:
    """No thread: a simulated worker's lease ends when the simulation has it sleep too long."""
    yield
