"""The certificate of destruction as a document: its fields, its exact bytes, and its schema.

The file is JSON that anybody can read and that can be written in one way only: keys in order, two spaces, one line
break at the end. What is signed is the SHA-256 of the certificate's canonical form (RFC 8785: keys in order, no
spaces), so the signature does not depend on how the file is laid out, and yet no byte of the file can be changed
without being noticed. Version 1 is fixed: what is to be said otherwise needs another version.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

VERSION: Final = 1
SCHEMA_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_SIGNED_AS: Final = b"tenantctl certificate of destruction, version 1\n"

Moment = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$",
        description="UTC, to the microsecond",
    ),
]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 in hexadecimal")]
Count = Annotated[int, Field(ge=0)]
Sequence = Annotated[int, Field(ge=1, description="the number of an entry in the tenant's journal")]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Subject(_Part):
    """The tenant. Its name is blanked on record in the end; who asks for a certificate can state it."""

    uid: Annotated[str, Field(min_length=1)]
    name: str | None
    name_source: Annotated[
        Literal["record", "stated", "none"], Field(description="stated: by who asked, and on no record any more")
    ]


class Life(_Part):
    """The tenant's own dates."""

    created_at: Moment
    logins_closed_at: Moment | None
    destroyed_at: Annotated[Moment, Field(description="when the instance was seen without the database")]
    forgotten_at: Annotated[Moment | None, Field(description="when the last place was proved empty; null if not yet")]


class RegionNamed(_Part):
    """A region that the certificate mentions."""

    id: str
    city: str
    country: Annotated[str, Field(description="ISO 3166-1, two letters")]


class BackupMade(_Part):
    """A backup that was begun; where its copies are or were stands among the places."""

    id: str
    retention_class: str
    state: str
    begun_at: Moment
    completed_at: Moment | None
    size: Annotated[Count | None, Field(description="bytes")]
    sha256: Digest | None
    verified_at: Moment | None
    verified_level: Annotated[
        str | None, Field(description="L1 read back, L2 structure read, L3 restored and compared")
    ]


class Latest(_Part):
    """The date after which nothing can be read. `not-before`: there is one, it is not known yet, and not earlier."""

    date: Moment
    kind: Literal["final", "not-before"]


class Place(_Part):
    """A place where the tenant's bytes, or a key to them, were recorded."""

    id: str
    kind: str
    place: str
    region: str | None
    made_at: Moment
    state: Annotated[Literal["gone", "remains"], Field(description="remains: it was not yet seen to be gone")]
    gone_at: Annotated[Moment | None, Field(description="when it was seen to be gone; null while it remains")]
    proof: Annotated[str | None, Field(description="what was observed, in the words of the record")]
    entry: Annotated[Sequence | None, Field(description="the quoted entry that says so; null if it has none")]
    latest: Annotated[Latest | None, Field(description="while it remains: until when it may be readable")]


class Quote(_Part):
    """One entry of the tenant's journal, word for word; its hash covers all of it and the hash before it."""

    sequence: Sequence
    at: Moment
    actor: Annotated[str, Field(description="the login under which it was observed and written")]
    event: str
    plan_digest: str
    body: Annotated[str, Field(description="JSON, as the exact text that was hashed")]
    previous: Digest
    hash: Digest


class Journal(_Part):
    """The tenant's chain of evidence as it stood: how long, how it ended, and the entries that this rests on."""

    length: Annotated[int, Field(ge=1)]
    head: Digest
    quoted: list[Quote]


class Counts(_Part):
    """How many of each the certificate lists."""

    backups: Count
    places: Count
    gone: Count
    remaining: Count
    quoted: Count


class Certificate(_Part):
    """What was observed of one tenant's destruction, when, and by whom."""

    version: Literal[1]
    kind: Literal["certificate-of-destruction"]
    state: Annotated[
        Literal["destroyed", "forgotten"],
        Field(description="destroyed: the database is gone and places remain; forgotten: nothing remains"),
    ]
    issued_at: Moment
    issuer: Annotated[str, Field(min_length=1)]
    tenant: Subject
    life: Life
    regions: list[RegionNamed]
    backups: list[BackupMade]
    places: list[Place]
    latest: Annotated[Latest | None, Field(description="after this nothing remains anywhere; null if nothing does now")]
    counts: Counts
    journal: Journal


class Signature(_Part):
    """By whom the certificate is signed, and the proof of it."""

    algorithm: Literal["Ed25519"]
    key: Annotated[Digest, Field(description="SHA-256 of the public key's 32 bytes")]
    value: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$", description="64 bytes in hexadecimal")]


class Document(_Part):
    """The file: a certificate and its signature."""

    certificate: Certificate
    signature: Signature


def written_moment(moment: datetime) -> str:
    """A moment as certificates write it; in the same form in which the journal hashes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def file_bytes(document: Any) -> bytes:
    """The one way in which a document is written as a file; `document` is JSON."""
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def signed_message(certificate: Any) -> bytes:
    """What is signed of a certificate; `certificate` is JSON. Short, whatever the size of the certificate."""
    canonical = json.dumps(certificate, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return _SIGNED_AS + hashlib.sha256(canonical).hexdigest().encode()


def schema() -> dict[str, Any]:
    """The JSON Schema of the file."""
    return {"$schema": SCHEMA_DIALECT, **Document.model_json_schema()}
