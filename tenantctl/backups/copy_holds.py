"""Holds on the copies themselves: put on and taken off by each store, and believed only at the store's own word.

Before a store is asked it is written down that it was; a copy counts as held once
its store showed object and manifest held, and as let go once it showed neither. So
no crash leaves an object held that nobody lets go, or said to be held that is not.
A store that does not answer is asked again later, and keeps no other copy from
being held meanwhile; planning alarms about what is left.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from tenantctl.backups.attempt import residue_of
from tenantctl.backups.holding import copies_to_hold, copies_to_release, to_ask
from tenantctl.backups.keys import SHREDDING_MAX, key_residue
from tenantctl.engine.actions import Work
from tenantctl.model.backup import Backup, Copy
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.plan import Blocker, Step
from tenantctl.ports.registry import FencedWrites
from tenantctl.ports.vault import ObjectSeen

Ask = Callable[[str, str], ObjectSeen]  # bucket and name, as the vault's `hold` and `release`


class HoldCopies:
    """Has every copy held that exists and is not, each by its own store, with the manifest beside it."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether each copy was seen held; where a store was asked a moment ago and could not, it is asked later."""
        return not _asked(work, copies_to_hold)

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """A hold may always be put on what is under one; the act makes sure that it is."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Asks each store, and writes down what it showed.

        Raises:
            Transient: the last hold was released meanwhile.
        """
        copies, registry = _asked(work, copies_to_hold), work.world.registry
        with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            if not writes.holds():
                raise Transient("The last legal hold was released meanwhile; planning again.")
            copies = [replace(copy, hold_asked_at=writes.now) for copy in copies]
            for copy in copies:
                writes.put_copy(copy)
        stores = _Stores(work, work.world.vault.hold, held=True)
        held: list[Copy] = []
        for copy in copies:
            if stores.ask(copy):
                held.append(copy)
                with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
                    writes.put_copy(replace(copy, held_at=writes.now))
        with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            for copy in copies:
                if copy not in held:
                    writes.put_copy(replace(copy, hold_asked_at=writes.now))
            writes.journal("copies-held", copies=_names(held), not_held=stores.trouble)


class ReleaseCopies:
    """Has every copy let go that may be held; its term goes on, and its date moves later if that has passed."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether each copy was seen let go; where a store was asked a moment ago and could not, it is asked later."""
        return not _asked(work, copies_to_release)

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Nothing is let go while a hold is open."""
        if work.world.decisions.holds(work.tenant.uid):
            yield Blocker("hold", "the tenant is under a legal hold")

    def act(self, work: Work, step: Step) -> None:
        """Asks each store, and writes down what it showed; before each copy it is seen that no hold came meanwhile.

        Raises:
            Transient: a hold was placed meanwhile; what was let go is held again by the next plan.
        """
        registry = work.world.registry
        stores = _Stores(work, work.world.vault.release, held=False)
        released, left = list[Copy](), list[Copy]()
        for held in _asked(work, copies_to_release):
            with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
                if writes.holds():
                    raise Transient("A legal hold was placed meanwhile; planning again.")
                copy = replace(held, held_at=None, hold_asked_at=writes.now)
                writes.put_copy(copy)
            if not stores.ask(copy):
                left.append(copy)
                continue
            with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
                _go_on(work, writes, copy)
            released.append(copy)
        with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            for copy in left:
                writes.put_copy(replace(copy, hold_asked_at=writes.now))
            writes.journal("copies-released", copies=_names(released), not_released=stores.trouble)


class _Stores:
    """The stores of one tenant's copies; one that does not answer is asked once, and not for each of its copies."""

    def __init__(self, work: Work, put: Ask, *, held: bool) -> None:
        self.trouble: dict[str, str] = {}
        self._work, self._put, self._held = work, put, held
        self._silent: dict[str, str] = {}

    def ask(self, copy: Copy) -> bool:
        """Whether the store shows object and manifest as they should be, or, of what is let go, that they are gone."""
        self._work.heartbeat.check()
        if copy.region in self._silent:
            self.trouble[_name(copy)] = self._silent[copy.region]
            return False
        for name in (copy.object_name, copy.manifest_name):
            try:
                as_asked = self._put(copy.bucket, name).held is self._held
            except NotFound as gone:
                as_asked = not self._held
                sentence = gone.sentence
            except (Transient, Refused) as error:
                as_asked, sentence = False, error.sentence
                if isinstance(error, Transient):
                    self._silent[copy.region] = sentence
            else:
                sentence = f"its store shows {name} {'not held' if self._held else 'still held'}"
            if not as_asked:
                self.trouble[_name(copy)] = sentence
                return False
        return True


def _go_on(work: Work, writes: FencedWrites, copy: Copy) -> None:
    """Writes down that a copy was let go, and the dates after which it and its key cannot be read, if these moved."""
    policy = work.world.policies.backups
    until = max(copy.unreadable_after, writes.now + timedelta(days=policy.lifecycle_lag_days))
    copy = replace(copy, hold_asked_at=None, unreadable_after=until)
    writes.put_copy(copy)
    places = {residue.id: residue for residue in work.world.registry.residues(copy.tenant_uid)}
    if copy.residue_id in places:
        writes.put_residue(residue_of(copy))
    if copy.wrapped_key is not None:
        kept = key_residue(copy, policy)
        latest = writes.now + SHREDDING_MAX + timedelta(days=policy.key_residue_days)
        assert kept.unreadable_after is not None, "a key is shredded on a day that is known"
        writes.put_residue(replace(kept, unreadable_after=max(kept.unreadable_after, latest)))


def _asked(work: Work, which: Callable[[Sequence[Backup]], Sequence[Copy]]) -> Sequence[Copy]:
    registry = work.world.registry
    return to_ask(which(registry.backups(work.tenant.uid)), now=registry.now())


def _names(copies: Iterable[Copy]) -> list[str]:
    return [_name(copy) for copy in copies]


def _name(copy: Copy) -> str:
    return f"{copy.backup_id}/{copy.region}"
