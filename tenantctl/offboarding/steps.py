"""The effects of leaving and of coming back: closing, marking, reopening."""

from collections.abc import Iterable
from dataclasses import replace

from tenantctl.engine.actions import Work
from tenantctl.model.backup import RetentionClass, VerificationLevel
from tenantctl.model.calendar import rfc3339
from tenantctl.model.decisions import Act
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.facts import LoginsSeen
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.plan import Blocker, Step
from tenantctl.model.tenant import Tenant
from tenantctl.model.trial import TRIAL_ENDED, is_on_trial
from tenantctl.offboarding.admittance import admitted, stopped
from tenantctl.offboarding.grace import destroy_after, never_earlier
from tenantctl.offboarding.notices import of_this_closing
from tenantctl.ports.databases import seen_or_wait
from tenantctl.ports.registry import FencedWrites
from tenantctl.ports.world import World


class MarkDeactivating:
    """Records that a cancellation is in effect, or that a trial has ended."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry says so."""
        return work.world.registry.tenant(work.tenant.uid).state is State.DEACTIVATING

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """The newest request must still be that cancellation, and the region not frozen."""
        yield from newer_intent(work)
        yield from stopped(work, held=False)

    def act(self, work: Work, step: Step) -> None:
        """Moves the tenant on, and counts it."""
        with admitted(work, Act.DEACTIVATE) as writes:
            refuse_newer_intent(work, writes)
            if is_on_trial(work.world.registry.intents(work.tenant.uid)):
                writes.journal(TRIAL_ENDED, intent=work.tenant.intent_id)
            writes.move(Event.CANCELLATION_EFFECTIVE, intent=work.tenant.intent_id)


class RecordOpening:
    """Takes back when the logins were closed, since they were found open; the step's argument is that moment."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether that closing is on record no more."""
        closed_at = work.world.registry.tenant(work.tenant.uid).logins_closed_at
        return closed_at is None or closed_at.isoformat() != step.argument

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """It only ever puts a destruction off."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """The end of grace stands as it is, until the next closing moves it later."""
        with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            writes.doubt_closing()
            writes.journal("logins-found-open", closed_at=step.argument)


class CloseLogins:
    """Refuses log-ins and ends sessions."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the instance shows a closed login without sessions."""
        seen = look_at_logins_or_wait(work.world, work.tenant)
        return not seen.can_log_in and seen.sessions == 0

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """The newest request must still be a cancellation; a closed tenant is kept closed whatever is frozen."""
        yield from newer_intent(work)
        if work.tenant.state is not State.DEACTIVATED:
            yield from stopped(work, held=False)

    def act(self, work: Work, step: Step) -> None:
        """Closes them."""
        work.world.databases.close_logins(work.tenant.hosting)


class RecordClosing:
    """Writes when the logins were seen closed, and the end of grace with it.

    The step's argument is the closing that was on record before, if any.
    """

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether a closing is on record that is not the one before."""
        closed_at = work.world.registry.tenant(work.tenant.uid).logins_closed_at
        return closed_at is not None and closed_at.isoformat() != step.argument

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """The instance must show the logins closed, now."""
        seen = look_at_logins_or_wait(work.world, work.tenant)
        if seen.can_log_in or seen.sessions:
            yield Blocker("logins-open", f"the login is open, or used by {seen.sessions} sessions", alarm=True)

    def act(self, work: Work, step: Step) -> None:
        """Writes both moments in one transaction."""
        policy = work.world.policies.lifecycle
        with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            until = destroy_after(writes.now, writes.tenant.time_zone, policy)
            until = never_earlier(writes.tenant.destroy_after, until)
            writes.record_closing(writes.now, until)
            writes.journal("logins-closed", closed_at=rfc3339(writes.now), destroy_after=rfc3339(until))


class MarkDeactivated:
    """Records that the tenant is closed and its final backup proved."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry says so."""
        return work.world.registry.tenant(work.tenant.uid).state is State.DEACTIVATED

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """A final backup begun after the closing must be verified, and nobody may want the tenant back."""
        yield from newer_intent(work)
        closed_at = work.world.registry.tenant(work.tenant.uid).logins_closed_at
        if closed_at is None or not any(
            backup.retention_class is RetentionClass.FINAL
            and backup.begun_at >= closed_at
            and backup.verified_level is VerificationLevel.RESTORED
            for backup in work.world.registry.backups(work.tenant.uid)
        ):
            yield Blocker("final-backup", "no final backup of this closing is verified by a restore", alarm=True)

    def act(self, work: Work, step: Step) -> None:
        """Moves the tenant on; if that is later than the closing, grace counts from here."""
        policy = work.world.policies.lifecycle
        with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            refuse_newer_intent(work, writes)
            closed_at = writes.tenant.logins_closed_at
            assert closed_at is not None, "the guard has seen it"
            from_here = destroy_after(writes.now, writes.tenant.time_zone, policy)
            until = never_earlier(writes.tenant.destroy_after, from_here)
            writes.record_closing(closed_at, until)
            writes.move(Event.FINAL_BACKUP_VERIFIED, destroy_after=rfc3339(until))


class PutNotice:
    """Puts a notice to the customer into the outbox; the step's subject is its kind."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the outbox of this closing has it."""
        known = of_this_closing(work.tenant, work.world.decisions.notices(work.tenant.uid))
        return any(notice.kind == step.subject for notice in known)

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Nobody is told of a destruction that nobody wants any more."""
        return newer_intent(work)

    def act(self, work: Work, step: Step) -> None:
        """Puts it, with the date of which it speaks."""
        with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            refuse_newer_intent(work, writes)
            closing, until = writes.tenant.logins_closed_at, writes.tenant.destroy_after
            assert closing is not None, "planning has seen it"
            assert until is not None, "it is written with the closing"
            writes.put_notice(step.subject, closing=closing, destroy_after=until)


class ProposeBatch:
    """Freezes what is due for an act (the step's subject) in a region (its argument) into a batch for two people."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether a batch is open."""
        return work.world.decisions.batch(Act(step.subject), step.argument) is not None

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Asking is always allowed."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Writes it; it names each member by uid."""
        work.world.decisions.propose_batch(Act(step.subject), step.argument)


class RestoreRowSecurity:
    """Sets the forced row security again that was lifted for the final backup."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether each of them forces it again; no customer could drop one while the logins were closed."""
        return set(_lifted(work)) <= set(work.world.databases.forced_row_security(work.tenant.hosting))

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """What the customer had is always given back."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Sets it."""
        work.world.databases.set_forced_row_security(work.tenant.hosting, _lifted(work), forced=True)


class MarkReinstated:
    """Records that the customer is back."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry says so."""
        return work.world.registry.tenant(work.tenant.uid).state is State.ACTIVE

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """The login must be seen open, and the newest request still be the one that the tenant came back by.

        That may be a cancellation for a later day, which was made of a tenant that was to come back.
        """
        yield from newer_intent(work)
        if not look_at_logins_or_wait(work.world, work.tenant).can_log_in:
            yield Blocker("logins-closed", "the login is still closed", alarm=True)

    def act(self, work: Work, step: Step) -> None:
        """Moves the tenant back; a later cancellation starts with a new closing, a new grace, and nothing owed."""
        backups = work.world.registry.backups(work.tenant.uid)
        with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            refuse_newer_intent(work, writes)
            for backup in backups:
                if backup.forced_row_security:
                    writes.put_backup(replace(backup, forced_row_security=()))
            writes.move(Event.REINSTATED, intent=work.tenant.intent_id)
            writes.clear_closing()


def newer_intent(work: Work) -> Iterable[Blocker]:
    """A blocker if the newest request is another than the plan was made for."""
    tenant = work.world.registry.tenant(work.tenant.uid)
    if tenant.intent_id != work.tenant.intent_id:
        yield Blocker("intent", f"a newer request wants the tenant {tenant.wanted}")


def refuse_newer_intent(work: Work, writes: FencedWrites) -> None:
    """The same inside the transaction, where nothing can come between.

    Raises:
        Transient: a newer request came in; the next plan obeys it.
    """
    if writes.tenant.intent_id != work.tenant.intent_id:
        raise Transient("A newer request came in; planning again.")


def look_at_logins_or_wait(world: World, tenant: Tenant) -> LoginsSeen:
    """The tenant's login as its instance shows it.

    Raises:
        Transient: the instance did not answer.
        Refused: the login is gone.
    """
    seen = seen_or_wait(world.databases.look_at_logins(tenant.hosting), tenant.hosting)
    if seen is None:
        raise Refused(f"The login of tenant {tenant.uid} is gone from {tenant.hosting.instance}.")
    return seen


def _lifted(work: Work) -> tuple[str, ...]:
    backups = work.world.registry.backups(work.tenant.uid)
    return tuple(sorted({table for backup in backups for table in backup.forced_row_security}))
