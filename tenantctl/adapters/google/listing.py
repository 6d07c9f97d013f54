"""Lists of a bucket's objects, page by page: each page is one request that ends in time."""

from collections.abc import Iterator

from google.cloud.storage import Blob, Client

from tenantctl.adapters.google.answers import explaining
from tenantctl.adapters.google.transport import TimeLimits, Watch


def listed(
    client: Client, limits: TimeLimits, bucket: str, prefix: str = "", *, after: str = "", count: int | None = None
) -> Iterator[Blob]:
    """The objects below a prefix, by the bytes of their names.

    Args:
        client: as `vault.storage_client` makes it.
        limits: for each page.
        bucket: where.
        prefix: how their names begin.
        after: of a list that goes on, the name that it went to; that one is not in it.
        count: how many at most; None for all.

    Raises:
        NotFound: there is no such bucket.
        Transient: the store does not answer.
        Refused: it does not let us.
    """
    most = None if count is None else count + 1  # the one that it begins with may be there still
    pages = client.list_blobs(
        bucket, prefix=prefix, start_offset=after or None, max_results=most, timeout=limits.for_requests, retry=None
    ).pages
    left = count
    while left != 0:
        with explaining(f"list gs://{bucket}/{prefix}"), Watch(limits.whole_seconds):
            page = next(pages, None)
        if page is None:
            return
        for blob in page:
            if blob.name == after or left == 0:
                continue
            left = None if left is None else left - 1
            yield blob
