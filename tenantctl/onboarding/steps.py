"""The effects of an arrival, each of which looks before it acts and after."""

from collections.abc import Iterable
from dataclasses import replace

from tenantctl.engine.actions import Work
from tenantctl.model.errors import NoRoom, Refused
from tenantctl.model.facts import DatabaseSeen
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.plan import Blocker, Step
from tenantctl.model.tenant import Tenant
from tenantctl.onboarding.former import alarm_of_formers, former_hostings
from tenantctl.onboarding.waiting import look_at_waiting
from tenantctl.ports.databases import seen_or_wait
from tenantctl.ports.world import World


class Place:
    """Gives a tenant that waited for room its instance in a region, the step's argument."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry says so."""
        return work.world.registry.tenant(work.tenant.uid).is_placed

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """The room must still be there for this one, whoever came meanwhile."""
        seen = look_at_waiting(work.world, work.tenant)
        if seen is None or seen.placement is None or seen.placement.region != step.argument:
            yield Blocker("room-gone", f"{step.argument} has no room for it any more")

    def act(self, work: Work, step: Step) -> None:
        """Writes instance, explanation and residue in one transaction, if the newest request still wants it.

        Raises:
            NoRoom: somebody else was faster.
        """
        seen, registry = look_at_waiting(work.world, work.tenant), work.world.registry
        if seen is None or seen.placement is None:
            raise NoRoom(f"{step.argument} has no room for tenant {work.tenant.label} any more.")
        headroom = work.world.policies.regions.capacity.headroom_percent
        with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            writes.place(seen.placement.region, seen.placement.to_plain(), headroom_percent=headroom)


class CreateRoles:
    """Makes the owner and the login, the login closed."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether both roles are there."""
        hosting = work.tenant.hosting
        roles = seen_or_wait(work.world.databases.look_at_roles(hosting), hosting)
        return roles is not None and {hosting.owner, hosting.login} <= set(roles)

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """The names carry the uid and a generation that was never used before."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Makes what is missing of the two."""
        work.world.databases.create_roles(work.tenant.hosting, connection_limit=work.tenant.connection_limit)


class CreateDatabase:
    """Makes the database with its marker."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether it is there and marked as this tenant's."""
        seen = look_or_wait(work.world, work.tenant)
        return seen is not None and seen.marker == work.tenant.hosting.marker

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """The adapter refuses a database of this name that bears another marker."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Makes it."""
        work.world.databases.create_database(work.tenant.hosting)


class PrepareDatabase:
    """Gives the schema to its owner and creates the extensions that were asked for."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether grants, owner and extensions are as they should be."""
        return work.world.databases.look_prepared(work.tenant.hosting, extensions=work.tenant.extensions)

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Extensions are allowed by the policy of the day on which they are created."""
        refused = sorted(set(work.tenant.extensions) - set(work.world.policies.lifecycle.allowed_extensions))
        if refused:
            yield Blocker("extension-refused", f"the policy does not allow {', '.join(refused)}", alarm=True)

    def act(self, work: Work, step: Step) -> None:
        """Prepares it."""
        work.world.databases.prepare(work.tenant.hosting, extensions=work.tenant.extensions)


class OpenLogins:
    """Lets the customer log in: at the end of an arrival, and at a reinstatement."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the instance shows an open login."""
        seen = seen_or_wait(work.world.databases.look_at_logins(work.tenant.hosting), work.tenant.hosting)
        if seen is None:
            raise Refused(f"The login of tenant {work.tenant.uid} is gone from {work.tenant.hosting.instance}.")
        return seen.can_log_in

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Never once a destruction has begun, and never before the data that it is to have is all there."""
        tenant = work.world.registry.tenant(work.tenant.uid)
        if tenant.state not in {State.REQUESTED, State.MOVING, State.DEACTIVATING, State.DEACTIVATED}:
            yield Blocker("state", f"logins are not opened while {tenant.state}")
        if tenant.awaits_data:
            yield Blocker("not-restored", "logins are not opened before its data is restored")

    def act(self, work: Work, step: Step) -> None:
        """Opens them; the password is what it was."""
        work.world.databases.open_logins(work.tenant.hosting)


class MarkActive:
    """Records that the database answers: a new tenant's, or the next generation of one that was restored elsewhere."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry says so."""
        return work.world.registry.tenant(work.tenant.uid).state is State.ACTIVE

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """The database must be there, marked, and whole if the tenant had one before."""
        tenant = work.world.registry.tenant(work.tenant.uid)
        if tenant.state is State.MOVING and tenant.awaits_data:
            yield Blocker("not-restored", "a tenant is not active before its data is restored")
        seen = look_or_wait(work.world, work.tenant)
        if seen is None or seen.marker != work.tenant.hosting.marker:
            yield Blocker("database-missing", "the instance does not show the database that was created", alarm=True)

    def act(self, work: Work, step: Step) -> None:
        """Moves the tenant on; a database that one restored elsewhere has left behind becomes an alarm."""
        registry, hosting = work.world.registry, work.tenant.hosting
        seen = look_or_wait(work.world, work.tenant)
        formers = former_hostings(work.tenant, registry.residues(work.tenant.uid))
        with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            event = Event.MOVE_ENDED if writes.tenant.state is State.MOVING else Event.DATABASE_READY
            writes.move(event, instance=hosting.instance, region=hosting.region)
            if seen is not None:
                writes.record_size(seen.size)
            if formers:
                alarm_of_formers(writes, formers)


class MarkWithdrawn:
    """Records that a request ended before anything was created."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the registry says so."""
        return work.world.registry.tenant(work.tenant.uid).state is State.FORGOTTEN

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """Nothing may be there; could-not-look raises. One that was never placed can have nothing anywhere."""
        if work.tenant.is_placed and look_or_wait(work.world, work.tenant) is not None:
            yield Blocker("database-present", "the instance shows a database after all")

    def act(self, work: Work, step: Step) -> None:
        """Moves the tenant to its end, its one expected place lapsed and its name blanked."""
        registry = work.world.registry
        residues = registry.residues(work.tenant.uid)
        with registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            for residue in residues:
                if residue.lapsed_at is None:
                    proof = f"instance {work.tenant.hosting.instance} shows nothing of this name"
                    writes.put_residue(replace(residue, lapsed_at=writes.now, proof=proof))
            writes.move(Event.REQUEST_WITHDRAWN)
            writes.blank_names()


def look_or_wait(world: World, tenant: Tenant) -> DatabaseSeen | None:
    """The tenant's database as its instance shows it; None if the instance itself says that it is not there.

    Raises:
        Transient: the instance did not answer.
    """
    return seen_or_wait(world.databases.look(tenant.hosting), tenant.hosting)
