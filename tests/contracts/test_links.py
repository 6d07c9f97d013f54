"""Links to exports: signed as Cloud Storage asks for it, by who can sign, and never on a local cloud."""

import hashlib
from datetime import timedelta
from urllib.parse import parse_qsl, quote, urlsplit

import google.auth.credentials
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client
from google.oauth2 import service_account

from tenantctl.adapters.google.credentials import local_credentials
from tenantctl.adapters.google.links import GoogleLinks
from tenantctl.model.errors import Refused

ACCOUNT = "exports@example.iam.gserviceaccount.com"
HOST = "storage.googleapis.com"


def links(credentials: google.auth.credentials.Credentials, *, local: bool = False) -> GoogleLinks:
    anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]  # signing sends nothing
    return GoogleLinks(Client(project="p", credentials=anonymous), credentials, local=local)


def test_a_link_is_signed_for_one_object_and_ends() -> None:
    """With the account's own key, over the request that the link makes, which no other request is."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    info = {"client_email": ACCOUNT, "private_key": pem.decode(), "token_uri": "https://nowhere.example"}
    credentials = service_account.Credentials.from_service_account_info(info)  # type: ignore[no-untyped-call]
    link = urlsplit(links(credentials).signed("bucket", "uid/export/database.dump", valid=timedelta(hours=24)))
    said = dict(parse_qsl(link.query))
    assert (link.hostname, link.path) == (HOST, "/bucket/uid/export/database.dump")
    assert (said["X-Goog-Expires"], said["X-Goog-Algorithm"]) == ("86400", "GOOG4-RSA-SHA256")
    assert said["X-Goog-Credential"].startswith(f"{ACCOUNT}/")
    signature = bytes.fromhex(said.pop("X-Goog-Signature"))
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(said.items()))
    request = f"GET\n{link.path}\n{query}\nhost:{HOST}\n\nhost\nUNSIGNED-PAYLOAD"
    scope = said["X-Goog-Credential"].removeprefix(f"{ACCOUNT}/")
    digest = hashlib.sha256(request.encode()).hexdigest()
    signed = f"GOOG4-RSA-SHA256\n{said['X-Goog-Date']}\n{scope}\n{digest}"
    key.public_key().verify(signature, signed.encode(), padding.PKCS1v15(), hashes.SHA256())


def test_who_cannot_sign_says_so_beforehand() -> None:
    """A person's credentials, and a local cloud, whose store would let anybody in anyway."""
    person = local_credentials("alice@example.com")
    with pytest.raises(Refused, match="a person's"):
        links(person).check()
    with pytest.raises(Refused, match="signs no links"):
        links(person, local=True).check()
