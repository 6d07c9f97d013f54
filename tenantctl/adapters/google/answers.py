"""What the answers of Google's APIs mean in the program's own terms.

Whatever may pass by itself (5xx, 408, 429, an operation in progress, a broken connection, an answer that is no JSON)
is Transient; TurnedAway where the API says that it did not even begin. A 404 counts as NotFound only when the API
itself says so in its own error document: a proxy's page or another server at the same address says nothing about what
exists. Everything else is Refused, in the API's own words.
"""

import contextlib
import http.client
import json
from collections.abc import Iterator
from typing import Any, Final

import google.auth.exceptions
import requests
import urllib3.exceptions
from google.api_core.exceptions import GoogleAPICallError

from tenantctl.adapters.api_errors import NO_ANSWER, count_api_error
from tenantctl.model.errors import NotFound, Refused, TenantctlError, Transient, TurnedAway

_PASSING_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})
_PASSING_REASONS: Final = frozenset({"operationInProgress", "rateLimitExceeded", "userRateLimitExceeded"})
_BROKEN: Final = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    google.auth.exceptions.TransportError,
    http.client.HTTPException,
    OSError,  # refused, reset, timed out: on sockets, where nothing above wraps it
    json.JSONDecodeError,
)


class AlreadyThere(Refused):
    """The thing to be made exists, or is retained: a precondition or the store's lock said so."""


def explained(status: int, document: Any, doing: str) -> TenantctlError:
    """The error that an answer with `status` means.

    Args:
        status: the HTTP status.
        document: the answer's body as JSON, None if it was none.
        doing: what was asked for, as it stands in a sentence: "look at gs://a/b".
    """
    count_api_error(status)
    error = document.get("error") if isinstance(document, dict) else None
    error = error if isinstance(error, dict) else {}
    details = error.get("errors")
    first = details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else {}
    reason, message = str(first.get("reason", "")), str(error.get("message") or first.get("message") or "no reason")
    said = f"{status} {reason}".strip()
    if status in _PASSING_STATUSES or reason in _PASSING_REASONS:
        turned_away = status == 429 or reason in _PASSING_REASONS
        kind = TurnedAway if turned_away else Transient
        return kind(f"Google could not {doing} now: {message} ({said}).", hint="Try again later.")
    if not error:
        sentence = f"Something answered {status} that does not speak like Google's API when asked to {doing}."
        return Transient(sentence, hint="Look at the endpoint, and at proxies between here and there.")
    if status == 404:
        return NotFound(f"There is nothing to {doing}: {message} ({said}).")
    if status == 412 or reason in ("retentionPolicyNotMet", "alreadyExists", "instanceAlreadyExists"):
        return AlreadyThere(f"Google refused to {doing}, because it is there: {message} ({said}).")
    hint = "Grant this account the role that it needs." if status in (401, 403) else ""
    return Refused(f"Google refused to {doing}: {message} ({said}).", hint=hint)


@contextlib.contextmanager
def explaining(doing: str) -> Iterator[None]:
    """Turn what Google's clients raise in the block into the program's own errors.

    Raises:
        Transient: it may go through later.
        NotFound: the API says that the thing is not there.
        AlreadyThere: the API says that the thing is there.
        Refused: the API says no.
    """
    try:
        yield
    except TenantctlError:
        raise
    except google.auth.exceptions.RefreshError as error:
        if error.retryable:
            raise Transient(f"Google did not renew our credentials when asked to {doing}: {error}") from error
        sentence = f"Google does not accept our credentials when asked to {doing}: {error}"
        raise Refused(sentence, hint="Try: gcloud auth application-default login") from error
    except GoogleAPICallError as error:
        raise explained(int(error.code or 0), body_of(error.response), doing) from error
    except _BROKEN as error:
        count_api_error(NO_ANSWER)
        sentence = f"Google could not be asked to {doing}: {_innermost(error)}."
        raise Transient(sentence, hint="Try again later.") from error


def body_of(response: Any) -> Any:
    """A response's body as JSON; None if it is none, or if there is no response."""
    return None if response is None else body_in(response.content)


def body_in(content: bytes) -> Any:
    """JSON; None if it is none."""
    try:
        return json.loads(content)
    except ValueError:
        return None


def _innermost(error: BaseException) -> str:
    """The plainest words for a broken connection: those of the innermost of the errors that wrap each other."""
    seen = {id(error)}
    while True:
        inner = error.__cause__ or error.__context__ or getattr(error, "reason", None)
        if not isinstance(inner, BaseException) or id(inner) in seen:
            return str(error) or type(error).__name__
        seen.add(id(inner))
        error = inner
