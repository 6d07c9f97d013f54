"""Billing itself, asked over HTTP whether a tenant is still paid for; what it said last is held against its answer."""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.oauth2.id_token import fetch_id_token

from tenantctl.adapters.google.answers import body_of
from tenantctl.model.billing import SubscriptionSeen
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.ports.billing import Subscriptions

TIMEOUT_SECONDS: Final = (3.0, 10.0)
PLACEHOLDER: Final = "{tenant}"


class AskedSubscriptions:
    """The port `Subscriptions`, by `GET url`: 200 with `{"lasts": true|false}`, or 404 where billing knows no such one.

    Where billing's last events and its answer differ in whether there is any subscription, nobody knows.

    Args:
        url: with `{tenant}` in it, over https; on a local cloud http to this machine will do.
        told: what billing said last.
        token: makes the token that we call with, for billing's address; None calls without.
    """

    def __init__(self, url: str, told: Subscriptions, token: Callable[[str], str] | None) -> None:
        parts = urlsplit(url)
        if PLACEHOLDER not in url or parts.scheme not in {"https", "http"}:
            raise Refused(f"{url!r} cannot be asked for a tenant.", hint=f"Write it with {PLACEHOLDER} in it.")
        if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "localhost"}:
            raise Refused(f"{url!r} would be asked in the clear.", hint="Use https.")
        self._url, self._told, self._token = url, told, token
        self._audience = f"{parts.scheme}://{parts.netloc}"

    def look(self, tenant_uid: str) -> Sighting[SubscriptionSeen]:
        """What billing answers."""
        told = self._told.look(tenant_uid)
        if isinstance(told, Present) and told.value.lasts:
            return told  # whoever resumed it was heard: that it lasts needs no second word
        try:
            asked = self._asked(tenant_uid)
        except Transient as error:
            return Unreachable(error.sentence)
        if isinstance(asked, Gone) and not isinstance(told, Gone):
            return Unreachable("billing knows no such tenant, of which it has told us")
        return asked

    def _asked(self, tenant_uid: str) -> Sighting[SubscriptionSeen]:
        headers = {"Authorization": f"Bearer {self._token(self._audience)}"} if self._token else {}
        try:
            answer = requests.get(
                self._url.replace(PLACEHOLDER, tenant_uid),
                headers=headers,
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            return Unreachable(f"billing does not answer: {type(error).__name__}")
        said: Any = body_of(answer)
        match answer.status_code, said:
            case 200, {"lasts": bool(lasts)}:
                return Present(SubscriptionSeen(lasts, f"billing says that it {'lasts' if lasts else 'has ended'}"))
            case 404, dict():
                return Gone()
        return Unreachable(f"billing answered {answer.status_code}, which says nothing")


def id_token(audience: str) -> str:
    """A token of who we are, for this audience.

    Raises:
        Transient: Google gives none now.
    """
    try:
        return str(fetch_id_token(Request(), audience))  # type: ignore[no-untyped-call]
    except GoogleAuthError as error:
        raise Transient(f"There is no token to ask billing with: {error}") from error
