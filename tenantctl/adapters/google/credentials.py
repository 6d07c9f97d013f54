"""Who we are towards Google's APIs: the service account of this duty in production, an IAM login on a local cloud.

No other code chooses credentials, so that a program that was set up for a local cloud cannot pick up the real ones
that lie on an operator's machine.
"""

from typing import Final, cast

import google.auth
import google.oauth2.credentials
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError

from tenantctl.model.errors import Refused

SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
LOCAL_TOKEN_PREFIX: Final = "local:"  # noqa: S105 - what follows is an address, and no secret


def local_credentials(email: str) -> Credentials:
    """Credentials of the IAM login `email` on a local cloud; they open nothing else.

    Raises:
        Refused: `email` is none.
    """
    if "@" not in email or email != email.strip():
        raise Refused(
            f"{email!r} is no IAM login of a local cloud.", hint="Write it like an address: someone@local.example"
        )
    token = LOCAL_TOKEN_PREFIX + email
    return cast("Credentials", google.oauth2.credentials.Credentials(token=token))  # type: ignore[no-untyped-call]


def production_credentials() -> Credentials:
    """Application default credentials: the attached service account, or what `gcloud auth` left on a machine.

    Raises:
        Refused: there are none.
    """
    try:
        credentials, _ = google.auth.default(scopes=SCOPES)
    except GoogleAuthError as error:
        raise Refused(
            f"There are no Google credentials: {error}",
            hint="Run as a service account, or try: gcloud auth application-default login",
        ) from error
    return credentials
