"""Calls of Google's described APIs: each with a transport of its own that ends in time, and failures in our words."""

from typing import Any

import googleapiclient.errors
from google.auth.credentials import Credentials

from tenantctl.adapters.google.answers import body_in, explained, explaining
from tenantctl.adapters.google.transport import TimeLimits, watched_http
from tenantctl.model.errors import Transient


def called(request: Any, doing: str, *, credentials: Credentials, endpoint: str | None, limits: TimeLimits) -> Any:
    """The answer to a request, a table.

    Args:
        request: as the client built it.
        doing: what it is for, in a sentence's words.
        credentials: who is calling.
        endpoint: the URL of a local cloud's API; None in production.
        limits: for this call.

    Raises:
        Transient: it does not answer, or its answer is none.
        Refused: it says no; NotFound where it says that there is no such thing.
    """
    try:
        with explaining(doing), watched_http(credentials, endpoint, limits) as http:
            answer = request.execute(http=http, num_retries=0)
    except googleapiclient.errors.HttpError as error:
        raise explained(int(error.resp.status), body_in(error.content), doing) from error
    except googleapiclient.errors.Error as error:
        raise Transient(f"Google could not be asked to {doing}: {error}") from error
    if not isinstance(answer, dict):
        raise Transient(f"The API's answer is none, when asked to {doing}.")
    return answer
