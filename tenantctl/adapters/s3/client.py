"""Amazon's own client for S3, on connections that end in time, and without tries of its own."""

from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.config import Config

from tenantctl.adapters.watch import TimeLimits, guard, is_loopback

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECTIONS_MAX: Final = 32


def s3_client(
    region: str,
    *,
    endpoint: str | None = None,
    credentials: tuple[str, str] | None = None,
    limits: TimeLimits | None = None,
) -> "S3Client":
    """Amazon's client; safe to share between threads.

    Args:
        region: where its buckets are.
        endpoint: the URL of something that speaks like S3; None for S3 itself.
        credentials: a key's name and secret; None for those of the machine or of the environment.
        limits: for each request; `whole_seconds` holds only under a `Watch`.
    """
    limits = limits or TimeLimits()
    key, secret = credentials or (None, None)
    client = boto3.session.Session(aws_access_key_id=key, aws_secret_access_key=secret).client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        config=Config(
            connect_timeout=limits.connect_seconds,
            read_timeout=limits.read_seconds,
            retries={"total_max_attempts": 1},
            max_pool_connections=CONNECTIONS_MAX,
            # Checksums are ours, of the algorithm that the manifests have; boto3 would add others.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"} if endpoint else {},
            proxies={} if is_loopback(endpoint) else None,
        ),
    )
    _watch(client)
    return client


class _Watched:
    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # mixed into connections alone
        guard(self.sock)

    def request(self, *arguments: Any, **options: Any) -> Any:
        if self.sock is not None:  # used again; a new one connects in here
            guard(self.sock)
        return super().request(*arguments, **options)  # type: ignore[misc]


class _WatchedConnection(_Watched, AWSHTTPConnection):  # type: ignore[misc]  # botocore's own mixture is like that
    """In the clear."""


class _WatchedSecureConnection(_Watched, AWSHTTPSConnection):  # type: ignore[misc]
    """Over TLS."""


class _WatchedPool(AWSHTTPConnectionPool):
    ConnectionCls = _WatchedConnection


class _WatchedSecurePool(AWSHTTPSConnectionPool):
    ConnectionCls = _WatchedSecureConnection


def _watch(client: Any) -> None:
    """Have a client's connections, those through a proxy too, be of the classes above."""
    pools = client._endpoint.http_session._pool_classes_by_scheme
    assert set(pools) == {"http", "https"}, "botocore has moved what makes its connections"
    pools.update({"http": _WatchedPool, "https": _WatchedSecurePool})
