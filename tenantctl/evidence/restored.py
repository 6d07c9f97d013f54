"""Whether the registry is what it was: pure rules over its own record and what the vaults show.

A registry that was brought back from a backup believes what was true once: that nobody is held, that a customer did
not come back. It is known by an anchor that it did not make, or by calling itself otherwise than it did. A rule that
cannot know says so, and nothing irreversible is done.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from tenantctl.model.anchor import RegistrySeen
from tenantctl.model.plan import Blocker
from tenantctl.model.policy import AnchorsPolicy
from tenantctl.model.sighting import Present, Unreachable


def restored_because(seen: RegistrySeen) -> str | None:
    """What shows that the registry was brought back and not reconciled since; None where nothing does."""
    unknown = list(seen.unknown())
    if unknown:
        region, name = max(unknown, key=lambda pair: pair[1].number)
        return f"anchor {name.number} of {name.day} lies in {region}, and this registry does not know it"
    newest, done = seen.newest, seen.reconciled
    if newest is None or newest.anchor.registry == seen.identity:
        return None
    if done is not None and (done.registry, done.anchor) == (seen.identity, newest.anchor.digest):
        return None
    return f"{newest.anchor.sentence} is of registry {newest.anchor.registry}, and this one is {seen.identity}"


def untold_because(seen: RegistrySeen, policy: AnchorsPolicy, *, now: datetime) -> str | None:
    """Why it cannot be told whether the registry is older than an anchor; None where it can."""
    answered, newest = seen.answered(), seen.newest
    if not answered:
        return f"no region shows its anchors: {'; '.join(seen.silent())}"
    if newest is None:
        silent = "; ".join(seen.silent())
        return f"the registry knows no anchor, and not every region shows its own: {silent}" if silent else None
    anchor = newest.anchor
    if now - anchor.made_at > timedelta(days=policy.lock_days):
        return None  # its term is over, and its absence says nothing
    if seen.reconciled is not None and seen.reconciled.anchor == anchor.digest:
        return None
    if not any(anchor.name in sight.value for sight in seen.listed.values() if isinstance(sight, Present)):
        return f"{anchor.sentence} was sealed, and is in none of {', '.join(answered)}"
    return None


def registry_blockers(seen: RegistrySeen | Unreachable, policy: AnchorsPolicy, *, now: datetime) -> Iterator[Blocker]:
    """Why nothing irreversible may be done with this registry, if so; always an alarm."""
    if isinstance(seen, Unreachable):
        yield Blocker("registry", f"its anchors were not looked at: {seen.reason}", alarm=True)
    elif (restored := restored_because(seen)) is not None:
        yield Blocker("registry-restored", restored, alarm=True)
    elif (untold := untold_because(seen, policy, now=now)) is not None:
        yield Blocker("registry", untold, alarm=True)


def is_anchored(seen: RegistrySeen) -> bool:
    """Whether the newest entry of the tenant that was asked for stands in an anchor which two regions hold."""
    return seen.head is not None and seen.anchored == seen.head
