"""Checks a certificate of destruction without tenantctl.

Call it so: python verify.py CERTIFICATE.json PUBLIC-KEY.pem

Needs Python 3.11 or newer and the package cryptography. Ends with 0 if the certificate holds, else with 1 and why not.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key


def check(content: bytes, pem: bytes) -> dict[str, Any]:
    """The certificate in the file; ValueError says what is wrong with it."""
    try:
        document = json.loads(content)
        certificate, signature = document["certificate"], document["signature"]
        version, key_name, value = certificate["version"], signature["key"], bytes.fromhex(signature["value"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("it cannot be read as a certificate: it is none, or not whole") from error
    if version != 1:
        raise ValueError(f"it is of version {version}, and this reads version 1")
    if (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode() != content:
        raise ValueError("it was changed: it is not laid out as it was written")
    key = load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey) or hashlib.sha256(key.public_bytes_raw()).hexdigest() != key_name:
        raise ValueError(f"it is signed with another key: {key_name}")
    canonical = json.dumps(certificate, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    message = f"tenantctl certificate of destruction, version 1\n{hashlib.sha256(canonical).hexdigest()}"
    try:
        key.verify(value, message.encode())
    except InvalidSignature as error:
        raise ValueError("it was changed after it was signed") from error
    check_content(certificate)
    return certificate


def check_content(certificate: dict[str, Any]) -> None:
    """That what is signed agrees with itself: the journal's hashes, and each place with the entry that it names."""
    before: dict[str, Any] = {"sequence": 0, "hash": "0" * 64}
    for entry in certificate["journal"]["quoted"]:
        fields = (entry["previous"], certificate["tenant"]["uid"], str(entry["sequence"]), entry["at"], entry["actor"])
        text = "\x1f".join((*fields, entry["event"], entry["plan_digest"], entry["body"]))
        if hashlib.sha256(text.encode()).hexdigest() != entry["hash"]:
            raise ValueError(f"journal entry {entry['sequence']} does not have the hash that its content gives")
        if entry["sequence"] == before["sequence"] + 1 and entry["previous"] != before["hash"]:
            raise ValueError(f"journal entry {entry['sequence']} does not continue the one before it")
        before = entry
    quoted = {entry["sequence"] for entry in certificate["journal"]["quoted"]}
    places = certificate["places"]
    left = [place for place in places if place["state"] != "gone"]
    if any(place["entry"] is not None and place["entry"] not in quoted for place in places):
        raise ValueError("a place refers to a journal entry that is not quoted")
    if [certificate["counts"]["places"], certificate["counts"]["remaining"]] != [len(places), len(left)]:
        raise ValueError("it counts other places than it lists")
    if not any(place["kind"] == "database" and place["entry"] for place in places):
        raise ValueError("of no database an entry says that it is gone")
    if certificate["state"] == "forgotten" and left:
        raise ValueError("it lists what remains, and says that nothing does")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        found = check(Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]).read_bytes())
    except (OSError, ValueError) as error:
        sys.exit(f"The certificate does not hold: {error}.")
    counts, latest = found["counts"], found["latest"]
    print(f"The certificate of {found['tenant']['uid']} holds: {found['state']}, issued at {found['issued_at']}.")
    left = "Nothing remains." if latest is None else f"The rest may be read until {latest['date']} ({latest['kind']})."
    print(f"{counts['places'] - counts['remaining']} of {counts['places']} places are gone. {left}")
