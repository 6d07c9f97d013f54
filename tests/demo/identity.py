"""Who calls the local cloud: an identity that it takes at its word, in the form that Google's clients want."""

from datetime import UTC, datetime, timedelta

from google.auth.credentials import Credentials


class Identity(Credentials):
    """The credentials of an email address on the local cloud."""

    def __init__(self, email: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.token = f"local:{email}"

    def refresh(self, request: object) -> None:
        """Says until when the token holds; the connector asks for that."""
        self.expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
