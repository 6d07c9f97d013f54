"""Who is calling: OIDC tokens of service accounts, verified, and the role that each of them has.

A token must be signed by a key of the issuer's, be for this service, be in its time, and name a service account that
stands on the list with the role that the route asks for. Whatever is missing, the call is denied and counted.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from google.auth import jwt
from google.auth.exceptions import GoogleAuthError

from tenantctl.model.errors import Refused, Transient

ISSUERS: Final = frozenset({"https://accounts.google.com", "accounts.google.com"})
CLOCK_SKEW_SECONDS: Final = 10
FETCHED_AGAIN_AFTER_SECONDS: Final = 60.0  # at the earliest: a token with an unknown key does not make us ask each time
REMEMBERED_SECONDS: Final = 300.0  # a key that the issuer takes back lets nobody in for longer than that
REMEMBERED_MAX: Final = 256


class Role(StrEnum):
    """What a caller may do."""

    BILLING = "billing"  # send events, ask how a tenant stands
    NOTICES = "notices"  # report that a notice was delivered
    READER = "reader"  # ask how a tenant stands, and what was counted


class Denied(Exception):
    """A call that is not let in; `reason` is one of a few words, `status` 401 or 403."""

    def __init__(self, reason: str, *, status: int = 401) -> None:
        super().__init__(reason)
        self.reason, self.status = reason, status


@dataclass(frozen=True)
class IssuedKeys:
    """The issuer's certificates by key id, as PEM, and for how long they may be kept."""

    by_id: Mapping[str, str]
    seconds: float


class KeyRing:
    """The issuer's keys, asked for again when they are old, or when a token names one that is not known.

    Args:
        fetch: asks the issuer.
        clock: seconds that only ever grow.
    """

    def __init__(self, fetch: Callable[[], IssuedKeys], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._keys: IssuedKeys | None = None
        self._fetched_at = 0.0

    def keys(self, key_id: str) -> Mapping[str, str]:
        """The keys that are known, this one among them if the issuer has it.

        Raises:
            Transient: none were ever had, and the issuer does not answer.
        """
        with self._lock:
            known, age = self._keys, self._clock() - self._fetched_at
            if known is None:
                known = self._fetched()
            elif age > known.seconds or (key_id not in known.by_id and age > FETCHED_AGAIN_AFTER_SECONDS):
                with suppress(Transient):  # what was had before goes on for as long as the issuer is silent
                    known = self._fetched()
            return known.by_id

    def _fetched(self) -> IssuedKeys:
        self._keys = self._fetch()
        self._fetched_at = self._clock()
        return self._keys


class Gate:
    """Lets in whom the list names, and counts whom it does not.

    Args:
        audience: whom tokens must be for: this service's own URL.
        callers: service account → its roles.
        ring: the issuer's keys.
    """

    def __init__(self, audience: str, callers: Mapping[str, frozenset[Role]], ring: KeyRing) -> None:
        if not audience or not callers:
            raise Refused("The service needs an audience and a list of callers.")
        self._audience, self._callers, self._ring = audience, callers, ring
        self._lock = threading.Lock()
        self._denied: Counter[str] = Counter()
        self._remembered: dict[str, tuple[Mapping[str, Any], float]] = {}

    def admit(self, authorization: str | None, *roles: Role) -> str:
        """The service account that calls, if it has one of these roles.

        Raises:
            Denied: it is not let in, for this reason; counted.
            Transient: nobody can say whether it may be.
        """
        try:
            return self._admitted(authorization, roles)
        except Denied as denial:
            with self._lock:
                self._denied[denial.reason] += 1
            raise

    @property
    def denied(self) -> Mapping[str, int]:
        """How many calls were denied, by reason."""
        with self._lock:
            return dict(self._denied)

    def _admitted(self, authorization: str | None, roles: tuple[Role, ...]) -> str:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Denied("no-token")
        claims = self._verified(token)
        if claims.get("iss") not in ISSUERS:
            raise Denied("wrong-issuer")
        if claims.get("aud") != self._audience:
            raise Denied("wrong-audience")
        caller = claims.get("email")
        if claims.get("email_verified") is not True or not isinstance(caller, str) or caller not in self._callers:
            raise Denied("not-on-the-list", status=403)
        if not self._callers[caller] & set(roles):
            raise Denied("wrong-role", status=403)
        return caller

    def _verified(self, token: str) -> Mapping[str, Any]:
        """What a token says; one that was found good is remembered for a while: callers send theirs for an hour."""
        now = time.time()
        with self._lock:
            claims, until = self._remembered.get(token, ({}, 0.0))
        if now < until:
            return claims
        claims = self._verified_anew(token)
        expires = claims.get("exp")
        if isinstance(expires, int):
            with self._lock:
                if len(self._remembered) >= REMEMBERED_MAX:
                    self._remembered.clear()
                self._remembered[token] = (claims, min(expires, now + REMEMBERED_SECONDS))
        return claims

    def _verified_anew(self, token: str) -> Mapping[str, Any]:
        """What a token says, once its signature and its time are found good."""
        try:
            header = jwt.decode_header(token)  # type: ignore[no-untyped-call]
            key_id = str(header.get("kid") or "")
        except (GoogleAuthError, ValueError, AttributeError) as error:
            raise Denied("no-jwt") from error
        if header.get("alg") != "RS256":
            raise Denied("wrong-algorithm")
        keys = self._ring.keys(key_id)
        if key_id not in keys:
            raise Denied("unknown-key")
        try:
            only = {key_id: keys[key_id]}
            said = jwt.decode(token, certs=only, clock_skew_in_seconds=CLOCK_SKEW_SECONDS)  # type: ignore[no-untyped-call]
        except (GoogleAuthError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise Denied("out-of-time" if "expired" in str(error) or "early" in str(error) else "forged") from error
        return said if isinstance(said, Mapping) else {}
