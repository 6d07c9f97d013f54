"""Which permission each emulated call needs, as Google documents it: one row for each, and what has none is nobody's.

A resource is written as `buckets/NAME`, `instances/NAME`, the full name of a key, of a ring or of a location, or
`projects/NAME`. A call on something that only the answer could tell, such as an operation's instance, asks whether the
permission is held anywhere.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

ANYWHERE: Final = "*"


@dataclass(frozen=True)
class NeededCall:
    """One call of an API.

    Attributes:
        api: `storage`, `sqladmin` or `kms`.
        verb: of HTTP.
        path: with names in braces for what stands in its place.
        permission: what the caller needs.
        resource: on what, with the path's names in braces.
    """

    api: str
    verb: str
    path: str
    permission: str
    resource: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """What a request's path, as it is sent, is held against."""
        pieces = re.split(r"\{(\w+)\}", self.path)
        text = "".join(
            re.escape(piece) if number % 2 == 0 else f"(?P<{piece}>[^/:]+)" for number, piece in enumerate(pieces)
        )
        return re.compile(text)


def _storage(verb: str, path: str, permission: str) -> NeededCall:
    resource = "buckets/{bucket}" if "{bucket}" in path else "projects/{project}"
    return NeededCall("storage", verb, path, f"storage.{permission}", resource)


def _sql(verb: str, path: str, permission: str, *, anywhere: bool = False) -> NeededCall:
    resource = "instances/{instance}" if "{instance}" in path else "projects/{project}"
    whole = f"/projects/{{project}}{path}"
    return NeededCall("sqladmin", verb, whole, f"cloudsql.{permission}", ANYWHERE if anywhere else resource)


def _kms(verb: str, path: str, permission: str, resource: str) -> NeededCall:
    return NeededCall("kms", verb, f"/v1/{path}", f"cloudkms.{permission}", resource)


_B: Final = "/storage/v1/b/{bucket}"
_O: Final = f"{_B}/o/{{object}}"
_I: Final = "/instances/{instance}"
_L: Final = "projects/{project}/locations/{location}"
_R: Final = f"{_L}/keyRings/{{ring}}"
_K: Final = f"{_R}/cryptoKeys/{{key}}"
_V: Final = f"{_K}/cryptoKeyVersions/{{version}}"

CALLS: Final = (
    _storage("GET", "/storage/v1/b", "buckets.list"),
    _storage("POST", "/storage/v1/b", "buckets.create"),
    _storage("GET", _B, "buckets.get"),
    _storage("PATCH", _B, "buckets.update"),
    _storage("PUT", _B, "buckets.update"),
    _storage("DELETE", _B, "buckets.delete"),
    _storage("POST", f"{_B}/lockRetentionPolicy", "buckets.update"),
    _storage("GET", f"{_B}/iam/testPermissions", "buckets.get"),
    _storage("GET", f"{_B}/o", "objects.list"),
    _storage("GET", _O, "objects.get"),
    _storage("GET", f"/download{_O}", "objects.get"),
    _storage("PATCH", _O, "objects.update"),
    _storage("PUT", _O, "objects.update"),
    _storage("DELETE", _O, "objects.delete"),
    _storage("POST", f"{_O}/restore", "objects.restore"),
    _storage("POST", f"{_O}/compose", "objects.create"),
    _storage("POST", f"{_O}/rewriteTo/b/{{target}}/o/{{name}}", "objects.create"),
    _storage("POST", f"{_O}/copyTo/b/{{target}}/o/{{name}}", "objects.create"),
    _storage("POST", f"/upload{_B}/o", "objects.create"),
    _sql("GET", "/instances", "instances.list"),
    _sql("POST", "/instances", "instances.create"),
    _sql("GET", _I, "instances.get"),
    _sql("PATCH", _I, "instances.update"),
    _sql("PUT", _I, "instances.update"),
    _sql("DELETE", _I, "instances.delete"),
    _sql("POST", f"{_I}/restart", "instances.restart"),
    _sql("GET", f"{_I}/connectSettings", "instances.get"),
    _sql("POST", f"{_I}:generateEphemeralCert", "instances.connect"),
    _sql("GET", f"{_I}/databases", "databases.list"),
    _sql("POST", f"{_I}/databases", "databases.create"),
    _sql("GET", f"{_I}/databases/{{database}}", "databases.get"),
    _sql("DELETE", f"{_I}/databases/{{database}}", "databases.delete"),
    _sql("GET", f"{_I}/users", "users.list"),
    _sql("GET", f"{_I}/users/{{user}}", "users.get"),
    _sql("POST", f"{_I}/users", "users.create"),
    _sql("PUT", f"{_I}/users", "users.update"),
    _sql("DELETE", f"{_I}/users", "users.delete"),
    _sql("GET", "/operations", "instances.get", anywhere=True),
    _sql("GET", "/operations/{operation}", "instances.get", anywhere=True),
    _kms("POST", f"{_L}/keyRings", "keyRings.create", _L),
    _kms("GET", f"{_L}/keyRings", "keyRings.list", _L),
    _kms("GET", _R, "keyRings.get", _R),
    _kms("POST", f"{_R}/cryptoKeys", "cryptoKeys.create", _R),
    _kms("GET", f"{_R}/cryptoKeys", "cryptoKeys.list", _R),
    _kms("GET", _K, "cryptoKeys.get", _K),
    _kms("PATCH", _K, "cryptoKeys.update", _K),
    _kms("POST", f"{_K}:updatePrimaryVersion", "cryptoKeys.update", _K),
    _kms("POST", f"{_K}:encrypt", "cryptoKeyVersions.useToEncrypt", _K),
    _kms("POST", f"{_V}:encrypt", "cryptoKeyVersions.useToEncrypt", _K),
    _kms("POST", f"{_K}:decrypt", "cryptoKeyVersions.useToDecrypt", _K),
    _kms("POST", f"{_K}/cryptoKeyVersions", "cryptoKeyVersions.create", _K),
    _kms("GET", f"{_K}/cryptoKeyVersions", "cryptoKeyVersions.list", _K),
    _kms("GET", _V, "cryptoKeyVersions.get", _K),
    _kms("PATCH", _V, "cryptoKeyVersions.update", _K),
    _kms("GET", f"{_V}/publicKey", "cryptoKeyVersions.viewPublicKey", _K),
    _kms("POST", f"{_V}:asymmetricSign", "cryptoKeyVersions.useToSign", _K),
    _kms("POST", f"{_V}:destroy", "cryptoKeyVersions.destroy", _K),
    _kms("POST", f"{_V}:restore", "cryptoKeyVersions.restore", _K),
)
_PATTERNS: Final = tuple((call, call.pattern) for call in CALLS)
_VERSION: Final = re.compile(r"^/(?:sql/v1beta4|v1)(?=/)")


def needed(api: str, verb: str, path: str, query: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each (permission, resource) that a request needs; nothing where no call is known.

    Args:
        api: the interface that was asked.
        verb: of HTTP.
        path: as it was sent, with its escapes.
        query: what stands behind it; a list of buckets names its project there.
    """
    held = _VERSION.sub("", path) if api == "sqladmin" else path
    for call, pattern in _PATTERNS:
        found = pattern.fullmatch(held) if (call.api, call.verb) == (api, verb) else None
        if found is None:
            continue
        names = {"project": query.get("project", ""), **found.groupdict()}
        if "target" in names:  # read here, written there
            yield "storage.objects.get", f"buckets/{names['bucket']}"
            yield call.permission, f"buckets/{names['target']}"
        else:
            yield call.permission, call.resource.format(**names)
        return
