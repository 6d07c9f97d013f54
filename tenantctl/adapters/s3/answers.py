"""What the answers of S3 mean in the program's own terms.

Whatever may pass by itself (5xx, 408, 429, a conflict with another writer, bytes that arrived changed, a broken
connection, an answer that is no XML) is Transient. Something counts as NotFound only when S3 itself says so in its own
error document: a bare 404, which is all that a HEAD gets, says nothing about what exists, nor does a proxy's page.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any, Final

import urllib3.exceptions
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError

from tenantctl.model.errors import NotFound, Refused, TenantctlError, Transient

_PASSING_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})
_PASSING_CODES: Final = frozenset(
    {
        *("BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "IncompleteBody"),
        *("ConditionalRequestConflict", "OperationAborted"),
        *("InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"),
    }
)
_MISSING_CODES: Final = frozenset(
    {
        *("NoSuchBucket", "NoSuchKey", "NoSuchVersion", "NoSuchUpload"),
        *("NoSuchLifecycleConfiguration", "ObjectLockConfigurationNotFoundError"),
    }
)
_CODE: Final = re.compile(r"[A-Z][A-Za-z0-9.]+")
_BROKEN: Final = (HTTPClientError, IncompleteReadError, ResponseParserError, urllib3.exceptions.HTTPError, OSError)


class AlreadyThere(Refused):
    """The object to be written exists."""


def explained(answer: Any, doing: str) -> TenantctlError:
    """The error that S3's answer means.

    Args:
        answer: as botocore parsed it.
        doing: what was asked for, as it stands in a sentence: "look at s3://a/b".
    """
    error = answer.get("Error", {})
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, message = str(error.get("Code", "")), str(error.get("Message") or "no reason")
    said = f"{status} {code}"
    if status in _PASSING_STATUSES or code in _PASSING_CODES:
        return Transient(f"S3 could not {doing} now: {message} ({said}).", hint="Try again later.")
    if code == "PreconditionFailed" or status == 412:
        return AlreadyThere(f"S3 refused to {doing}: it exists, and a vault's objects are written once.")
    if status == 404 and code in _MISSING_CODES:
        return NotFound(f"There is nothing to {doing}: {message} ({said}).")
    if status == 404 or not _CODE.fullmatch(code):
        sentence = f"Something answered {status} that does not speak like S3 when asked to {doing}."
        return Transient(sentence, hint="Look at the endpoint, and at proxies between here and there.")
    hint = "Grant this identity what docs/off-cloud.md lists." if status in (401, 403) else ""
    return Refused(f"S3 refused to {doing}: {message} ({said}).", hint=hint)


@contextlib.contextmanager
def explaining(doing: str) -> Iterator[None]:
    """Turn what boto3 raises in the block into the program's own errors.

    Raises:
        Transient: it may go through later.
        NotFound: S3 says that the thing is not there.
        AlreadyThere: S3 says that the object is there.
        Refused: S3 says no, or there is no identity to ask as.
    """
    try:
        yield
    except ClientError as error:
        raise explained(error.response, doing) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise Refused(f"There is no identity to {doing} as: {error}", hint="See docs/off-cloud.md.") from error
    except _BROKEN as error:
        raise Transient(f"S3 could not be asked to {doing}: {_plainest(error)}.", hint="Try again later.") from error
    except BotoCoreError as error:
        raise Refused(f"S3 cannot be asked to {doing}: {error}") from error


def _plainest(error: BaseException) -> str:
    """The words of the innermost of the errors that wrap each other."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        wrapped = getattr(error, "kwargs", {}).get("error") if isinstance(error, BotoCoreError) else None
        inner = error.__cause__ or error.__context__ or wrapped
        if isinstance(inner, BaseException):
            error = inner
    return str(error) or type(error).__name__
