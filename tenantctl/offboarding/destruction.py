"""The irreversible effects: marked first, dropped by marker, and confirmed by the instance itself."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from tenantctl.backups.planning import waits_for_a_date
from tenantctl.engine.actions import Work
from tenantctl.evidence.anchoring import registry_seen
from tenantctl.model.backup import Residue, ResidueKind
from tenantctl.model.calendar import rfc3339
from tenantctl.model.decisions import Act, ProposalKind
from tenantctl.model.errors import Transient
from tenantctl.model.facts import Facts
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.plan import Blocker, Step
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.model.tenant import Wanted
from tenantctl.offboarding.admittance import admitted, stopped
from tenantctl.offboarding.safeguards import destruction_blockers
from tenantctl.offboarding.steps import refuse_newer_intent
from tenantctl.ports.databases import seen_or_wait


class MarkDestroying:
    """The point of no return: every safeguard is asked once more, on facts read now."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry says so."""
        return work.world.registry.tenant(work.tenant.uid).state in {State.DESTROYING, State.DESTROYED}

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """All safeguards, with the instance looked at again."""
        world, uid = work.world, work.tenant.uid
        facts = Facts(
            tenant=world.registry.tenant(uid),
            backups=tuple(world.registry.backups(uid)),
            residues=tuple(world.registry.open_residues(uid)),
            database=world.databases.look(work.tenant.hosting),
            logins=world.databases.look_at_logins(work.tenant.hosting),
            registry=registry_seen(world),
            subscription=world.subscriptions.look(uid),
            standing=world.decisions.standing(uid, work.tenant.hosting.region, Act.DESTROY),
        )
        return tuple(destruction_blockers(facts, world.policies, now=world.registry.now()))

    def act(self, work: Work, step: Step) -> None:
        """Moves the tenant on, if nothing about it has changed since.

        Raises:
            Transient: a newer request came in, or grace has moved; the next plan obeys it.
        """
        waivers = [
            one.digest
            for one in work.world.decisions.proposals(work.tenant.uid)
            if one.kind is ProposalKind.WAIVER and one.is_approved(now=work.world.registry.now())
        ]
        with admitted(work, Act.DESTROY) as writes:
            refuse_newer_intent(work, writes)
            tenant = writes.tenant
            if tenant.destroy_after is None or tenant.destroy_after != work.tenant.destroy_after:
                raise Transient("Grace was counted anew; planning again.")
            if writes.now < tenant.destroy_after:
                raise Transient("Grace is not over by the registry's own clock.")
            for digest in waivers:
                writes.spend(digest)
            writes.move(Event.GRACE_ENDED, destroy_after=rfc3339(tenant.destroy_after), reason=step.reason)


class MarkErasing:
    """The point of no return of an erasure; the step's argument is the digest that two people approved."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry says so."""
        return work.world.registry.tenant(work.tenant.uid).wanted is Wanted.ERASED

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Neither frozen nor held, and the database in the place is this tenant's own."""
        yield from stopped(work)
        match work.world.databases.look(work.tenant.hosting):
            case Present(seen) if seen.marker == work.tenant.hosting.marker:
                pass
            case Present(seen):
                yield Blocker("marker", f"the database says: {seen.marker or 'nothing'}", alarm=True)
            case Gone():
                yield Blocker("marker", "the instance does not show the database", alarm=True)
            case Unreachable(reason):
                yield Blocker("marker", f"could not look: {reason}", alarm=True)

    def act(self, work: Work, step: Step) -> None:
        """Makes use of the approval, counts the act, and moves the tenant on; the cap does not stop it.

        Raises:
            Transient: a freeze or a hold came meanwhile.
            Refused: the approval does not stand any more.
        """
        with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            if writes.freezes() or writes.holds():
                raise Transient("A freeze or a legal hold came meanwhile; planning again.")
            writes.spend(step.argument)
            writes.count_act(Act.DESTROY)
            writes.want_erased()
            writes.move(Event.ERASURE_APPROVED, approved=step.argument, reason=step.reason)


class DropDatabase:
    """Drops the database that bears this tenant's marker."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the instance itself says that it is not there."""
        return seen_or_wait(work.world.databases.look(work.tenant.hosting), work.tenant.hosting) is None

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Only a tenant whose destruction is on record; the adapter compares the marker in the same session."""
        yield from _only_while_destroying(work)
        yield from stopped(work)

    def act(self, work: Work, step: Step) -> None:
        """Drops it for good, once the registry has said again that nothing came meanwhile: who slept drops nothing.

        Raises:
            LeaseLost: somebody else has the tenant, or a freeze or a hold came meanwhile.
        """
        work.heartbeat.renew()
        work.world.databases.drop_database(work.tenant.hosting)


class DropRoles:
    """Drops the tenant's two roles."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the instance itself says that neither is there."""
        return seen_or_wait(work.world.databases.look_at_roles(work.tenant.hosting), work.tenant.hosting) is None

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Only a tenant whose destruction is on record."""
        yield from _only_while_destroying(work)
        yield from stopped(work)

    def act(self, work: Work, step: Step) -> None:
        """Drops them."""
        work.world.databases.drop_roles(work.tenant.hosting)


class MarkDestroyed:
    """Records what the instance says, and what of the tenant can still be read elsewhere, until when."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry says so."""
        return work.world.registry.tenant(work.tenant.uid).state is State.DESTROYED

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """The instance must answer, and show neither database nor roles."""
        databases, hosting = work.world.databases, work.tenant.hosting
        for what, sight in (("database", databases.look(hosting)), ("role", databases.look_at_roles(hosting))):
            match sight:
                case Present():
                    yield Blocker("still-there", f"the instance still shows a {what} of this tenant", alarm=True)
                case Unreachable(reason):
                    yield Blocker("instance-unreachable", f"could not look: {reason}", alarm=True)
                case Gone():
                    pass

    def act(self, work: Work, step: Step) -> None:
        """Moves the tenant on; what the instance's own backups hold becomes the next place to count."""
        registry, hosting = work.world.registry, work.tenant.hosting
        window = timedelta(days=work.world.policies.lifecycle.instance_backup_days)
        this_database = f"database/{hosting.uid}/{hosting.generation}"  # one in a lost region is another line
        residues = registry.residues(work.tenant.uid)
        with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            proof = f"instance {hosting.instance} reported database and roles absent at {rfc3339(writes.now)}"
            for residue in residues:
                if residue.id == this_database and residue.lapsed_at is None:
                    gone = replace(residue, unreadable_after=writes.now, lapsed_at=writes.now, proof=proof)
                    writes.put_residue(gone)
            writes.put_residue(
                Residue(
                    id=f"instance-backups/{hosting.instance}/{hosting.generation}",
                    tenant_uid=work.tenant.uid,
                    kind=ResidueKind.INSTANCE_BACKUPS,
                    place=f"backups and point-in-time logs of {hosting.instance}",
                    made_at=work.tenant.created_at,
                    unreadable_after=writes.now + window,
                )
            )
            writes.move(Event.DATABASE_GONE, evidence=proof)


class BlankNames:
    """Removes name and place from the registry once nothing else of the tenant remains."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the name is gone."""
        return work.world.registry.tenant(work.tenant.uid).name is None

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Every other place must have lapsed, or be waiting for nothing but its date; and no hold is open."""
        yield from _held(work)
        for residue in work.world.registry.open_residues(work.tenant.uid):
            if not waits_for_a_date(residue):
                yield Blocker("residue", f"{residue.place} has not lapsed")

    def act(self, work: Work, step: Step) -> None:
        """Blanks them; the registry's own backups hold them a little longer, which is counted.

        Alarms that are still open are closed, so that what they say is blanked too.
        """
        window = timedelta(days=work.world.policies.lifecycle.registry_backup_days)
        alarms = work.world.registry.alarms(work.tenant.uid)
        with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            writes.put_residue(
                Residue(
                    id="registry-backups",
                    tenant_uid=work.tenant.uid,
                    kind=ResidueKind.REGISTRY_BACKUPS,
                    place="backups and point-in-time logs of the registry",
                    made_at=writes.now,
                    unreadable_after=writes.now + window,
                )
            )
            for alarm in alarms:
                writes.clear_alarm(alarm.code)
            writes.blank_names()
            writes.journal("names-blanked", unreadable_after=rfc3339(writes.now + window))


class MarkForgotten:
    """Records that nothing of the tenant can be read anywhere."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry says so."""
        return work.world.registry.tenant(work.tenant.uid).state is State.FORGOTTEN

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Every place must have lapsed, and no hold is open."""
        yield from _held(work)
        for residue in work.world.registry.open_residues(work.tenant.uid):
            yield Blocker("residue", f"{residue.place} has not lapsed")

    def act(self, work: Work, step: Step) -> None:
        """Moves the tenant to its end, with the count of places that were proved."""
        registry = work.world.registry
        proved = len(registry.residues(work.tenant.uid))
        with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            writes.move(Event.RESIDUE_LAPSED, places=proved)


def _held(work: Work) -> Iterable[Blocker]:
    if work.world.decisions.holds(work.tenant.uid):
        yield Blocker("hold", "the tenant is under a legal hold: it is not forgotten")


def _only_while_destroying(work: Work) -> Iterable[Blocker]:
    state = work.world.registry.tenant(work.tenant.uid).state
    if state is not State.DESTROYING:
        yield Blocker("state", f"nothing is dropped while the tenant is {state}", alarm=True)
