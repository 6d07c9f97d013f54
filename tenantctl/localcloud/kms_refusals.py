"""The refusals of the local Cloud KMS, in the shape that Google's newer APIs give them: code, status, message, details.

Clients tell them apart by code and status; where a version is not fit for use, the details name it.
"""

from typing import Any, Final

_CODES: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "UNIMPLEMENTED": 501,
}
_VIOLATIONS: Final = {
    "DISABLED": "KEY_DISABLED",
    "DESTROY_SCHEDULED": "KEY_DESTROY_SCHEDULED",
    "DESTROYED": "KEY_DESTROYED",
}


class KmsRefusal(Exception):
    """A request that is answered with an error.

    Attributes:
        word: Google's status, such as `NOT_FOUND`.
        message: one sentence.
        details: what the answer says beyond that.
    """

    def __init__(self, word: str, message: str, details: tuple[dict[str, Any], ...] = ()) -> None:
        super().__init__(message)
        self.word, self.message, self.details = word, message, details

    @property
    def status(self) -> int:
        """The HTTP status."""
        return _CODES[self.word]

    def document(self) -> dict[str, Any]:
        """The answer's body."""
        error: dict[str, Any] = {"code": self.status, "message": self.message, "status": self.word}
        if self.details:
            error["details"] = list(self.details)
        return {"error": error}


def invalid(message: str) -> KmsRefusal:
    """The request makes no sense as it stands."""
    return KmsRefusal("INVALID_ARGUMENT", message)


def missing(name: str) -> KmsRefusal:
    """There is no such ring, key or version."""
    kind = {"keyRings": "KeyRing", "cryptoKeys": "CryptoKey", "cryptoKeyVersions": "CryptoKeyVersion"}
    return KmsRefusal("NOT_FOUND", f"{kind[name.split('/')[-2]]} {name} not found.")


def exists(name: str) -> KmsRefusal:
    """What is to be made is there; in Cloud KMS it stays there for ever."""
    kind = {"keyRings": "KeyRing", "cryptoKeys": "CryptoKey"}
    return KmsRefusal("ALREADY_EXISTS", f"{kind[name.split('/')[-2]]} {name} already exists.")


def unfit(name: str, state: str) -> KmsRefusal:
    """A version is not in a state in which it can be used."""
    detail = {
        "@type": "type.googleapis.com/google.rpc.PreconditionFailure",
        "violations": [{"type": _VIOLATIONS.get(state, "KEY_NOT_ENABLED"), "subject": name}],
    }
    return KmsRefusal("FAILED_PRECONDITION", f"{name} is not enabled, current state is: {state}.", (detail,))


def unsuited(name: str, purpose: str) -> KmsRefusal:
    """The key is for something else."""
    return KmsRefusal("INVALID_ARGUMENT", f"{name} has the purpose {purpose}, for which this is not.")


def wrong_state(name: str, state: str, doing: str) -> KmsRefusal:
    """What was asked for is not to be had in this state."""
    return KmsRefusal("FAILED_PRECONDITION", f"{name} cannot be {doing}, current state is: {state}.")


def not_emulated(what: str) -> KmsRefusal:
    """The real service can do it and the local cloud cannot."""
    return KmsRefusal("UNIMPLEMENTED", f"The local cloud does not emulate {what}.")
