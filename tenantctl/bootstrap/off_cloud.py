"""What a copy off Google's cloud needs: Amazon's client, imported when the first such bucket is asked for.

In production the credentials are those that Amazon's client finds by itself (the environment, its files, a web
identity, the machine's role), and the account that the buckets must belong to is named, since names of buckets are
everybody's. A local cloud has no S3: it takes one on the same machine, if `TENANTCTL_S3_ENDPOINT` names it, and never
sends it anybody's real credentials.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tenantctl.config import Settings
from tenantctl.model.errors import Refused
from tenantctl.model.off_cloud import aws_region
from tenantctl.model.policy import BackupsPolicy

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from tenantctl.ports.vault import Vault

LOCAL_CREDENTIALS: Final = ("local", "local")


def off_cloud_vault(settings: Settings, region: str, *, patience_seconds: float) -> "Vault":
    """The vault for a region such as `aws:eu-central-1`, with patience.

    Raises:
        Refused: Amazon's client is not installed, or the settings name no S3 or no account.
    """
    client = off_cloud_client(settings, region)
    from tenantctl.adapters.retry import Patience, RetryingVault
    from tenantctl.adapters.s3.vault import S3Vault

    return RetryingVault(S3Vault(client, owner=settings.s3_owner), Patience(seconds=patience_seconds))


def off_cloud_client(settings: Settings, region: str) -> "S3Client":
    """Amazon's client for a region such as `aws:eu-central-1`.

    Raises:
        Refused: it is not installed, or the settings name no S3 or no account.
    """
    from tenantctl.adapters.watch import is_loopback

    endpoint = settings.s3_endpoint
    if settings.local and not is_loopback(endpoint):
        why = f": {endpoint} is not on this machine." if endpoint else "."
        hint = "Name something on this machine that speaks like S3: TENANTCTL_S3_ENDPOINT"
        raise Refused(f"A local cloud has no {region}{why}", hint=hint)
    if endpoint is None and settings.s3_owner is None:
        raise Refused(
            f"A copy in {region} needs the account that its bucket belongs to.",
            hint="Name Amazon's account: TENANTCTL_S3_OWNER",
        )
    try:
        from tenantctl.adapters.s3.client import s3_client
    except ModuleNotFoundError as error:
        if error.name not in {"boto3", "botocore"}:
            raise
        raise Refused(
            f"A copy in {region} needs Amazon's client, and it is not installed.", hint="pip install tenantctl[s3]"
        ) from error
    credentials = LOCAL_CREDENTIALS if settings.local else None
    return s3_client(aws_region(region), endpoint=endpoint, credentials=credentials)


def ensure_off_cloud_buckets(
    settings: Settings, prefix: str, regions: Sequence[str], policy: BackupsPolicy
) -> tuple[str, ...]:
    """Make the buckets that these regions off Google's cloud lack, lock them, and return the names of those made.

    Raises:
        Refused: a bucket is there with other terms, S3 refuses, or Amazon's client cannot be had.
        Transient: S3 does not answer; run it again.
    """
    clients = {region: off_cloud_client(settings, region) for region in regions}
    from tenantctl.adapters.s3.estate import ensure_s3_buckets

    return tuple(
        name
        for region, client in clients.items()
        for name in ensure_s3_buckets(client, prefix, region, policy, owner=settings.s3_owner)
    )
