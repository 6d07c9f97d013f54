"""What is to be done about backups at rest, and when, from nothing but their sum. Pure."""

from datetime import datetime, timedelta

from tenantctl.backups.planning import TOGETHER
from tenantctl.model.look import AtRest
from tenantctl.model.policy import BackupsPolicy


def upkeep_at_rest(rest: AtRest, policy: BackupsPolicy) -> datetime:
    """The first moment from which there will be upkeep of backups at rest: what `upkeep_moments` says of them."""
    sight = min(rest.seen_at + policy.look_at_copies_every, rest.lapses_at) + TOGETHER
    return sight if rest.key_lapses_at is None else min(sight, rest.key_lapses_at)


def is_rest_over(rest: AtRest, policy: BackupsPolicy, *, now: datetime) -> bool:
    """Whether anything is to be done about backups at rest: a copy to look at or to read back, a key to shred."""
    read_back = rest.read_at + timedelta(days=policy.verification.read_back_every_days)
    return now >= min(upkeep_at_rest(rest, policy), read_back)
