"""Signed links (version 4) of Cloud Storage: by a service account's own key, or by IAM for the one that we run as."""

from datetime import timedelta
from typing import Any

from google.auth.credentials import Credentials, Signing
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.cloud.storage import Client

from tenantctl.model.errors import Refused, Transient


class GoogleLinks:
    """The port `Links`.

    Args:
        client: as `vault.storage_client` makes it.
        credentials: who signs.
        local: whether this is a local cloud, whose store does not check signatures.
    """

    def __init__(self, client: Client, credentials: Credentials, *, local: bool) -> None:
        self._client, self._credentials, self._local = client, credentials, local

    def check(self) -> None:
        """See the port."""
        if self._local:
            raise Refused(
                "A local cloud signs no links: its store does not check signatures.",
                hint="Leave --link-valid out; whoever reaches this machine reads the object without one.",
            )
        if not isinstance(self._credentials, Signing) and not hasattr(self._credentials, "service_account_email"):
            raise Refused(
                "Links are signed by a service account, and these credentials are a person's.",
                hint="Run it as a service account: gcloud auth application-default login --impersonate-service-account",
            )

    def signed(self, bucket: str, name: str, *, valid: timedelta) -> str:
        """See the port."""
        self.check()
        who: Any = self._credentials
        options: dict[str, Any] = {"credentials": who}
        try:
            if not isinstance(who, Signing):
                who.refresh(Request())
                options |= {"service_account_email": who.service_account_email, "access_token": who.token}
            link: str = (
                self._client.bucket(bucket)
                .blob(name)
                .generate_signed_url(version="v4", expiration=valid, method="GET", **options)
            )
        except GoogleAuthError as error:
            raise Transient(f"The link could not be signed: {error}", hint="Try again later.") from error
        return link
