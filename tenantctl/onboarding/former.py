"""The database that a tenant had in a region that was lost, and that may come back with the region.

It is never written to again, and never dropped by the program: what the customer wrote after the backup is in it alone.
Its place stays in the residue inventory. As soon as its instance answers it is closed, so that nobody works in two
databases at once; and once the instance itself says that it is gone, its line has lapsed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from tenantctl.engine.actions import Work
from tenantctl.model.backup import Residue, ResidueKind
from tenantctl.model.calendar import rfc3339
from tenantctl.model.errors import NotFound
from tenantctl.model.facts import FormerSeen
from tenantctl.model.plan import Blocker, Step
from tenantctl.model.tenant import Hosting, Tenant
from tenantctl.ports.databases import seen_or_wait
from tenantctl.ports.registry import FencedWrites
from tenantctl.ports.world import World

FORMER_DATABASE: Final = "former-database"


def former_hostings(tenant: Tenant, residues: Iterable[Residue]) -> Sequence[tuple[str, Hosting]]:
    """Where the tenant's databases of earlier generations lie that were never seen to be gone, by their lines."""
    found = []
    for residue in residues:
        if residue.kind is ResidueKind.DATABASE and residue.lapsed_at is None:
            _, uid, generation = residue.id.split("/")
            if int(generation) != tenant.hosting.generation:
                instance, _, _ = residue.place.partition("/")
                found.append((residue.id, Hosting(uid, instance, "", int(generation))))
    return found


def look_at_formers(world: World, tenant: Tenant, residues: Iterable[Residue]) -> tuple[FormerSeen, ...]:
    """What the instances show of the databases of earlier generations; one that does not answer is a fact."""
    databases = world.databases
    return tuple(
        FormerSeen(residue_id, hosting, databases.look(hosting), databases.look_at_logins(hosting))
        for residue_id, hosting in former_hostings(tenant, residues)
    )


def alarm_of_formers(writes: FencedWrites, formers: Sequence[tuple[str, Hosting]]) -> None:
    """Opens the alarm of a tenant that was restored elsewhere, and has left these behind."""
    places = ", ".join(f"{hosting.instance}/{hosting.database}" for _, hosting in formers)
    where = writes.tenant.hosting.region
    writes.raise_alarm(
        FORMER_DATABASE, f"restored in {where}, and {places} may still be there, with what was written since"
    )


class CloseFormer:
    """Closes the login of the former database whose line is the step's subject."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether the instance shows it closed and without sessions, or gone."""
        hosting = _former(work, step)
        seen = seen_or_wait(work.world.databases.look_at_logins(hosting), hosting)
        return seen is None or (not seen.can_log_in and seen.sessions == 0)

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """A login of an earlier generation is nobody's way to the tenant's data any more."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Closes it; the adapter compares the marker."""
        work.world.databases.close_logins(_former(work, step))


class ProveFormerGone:
    """Writes down that the instance itself shows the former database no more."""

    journals_itself = True

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether its line has lapsed, and is no open one."""
        return all(residue.id != step.subject for residue in _residues(work))

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """The instance must say so now; could-not-look raises."""
        hosting = _former(work, step)
        if seen_or_wait(work.world.databases.look(hosting), hosting) is not None:
            yield Blocker("former-present", f"instance {hosting.instance} shows {hosting.database} after all")

    def act(self, work: Work, step: Step) -> None:
        """Ends its line; what the instance's own backups hold of it becomes the next place to count."""
        hosting, residues = _former(work, step), _residues(work)
        line = next(residue for residue in residues if residue.id == step.subject)
        others = [one_id for one_id, _ in former_hostings(work.tenant, residues) if one_id != line.id]
        window = timedelta(days=work.world.policies.lifecycle.instance_backup_days)
        with work.world.registry.fenced(work.lease, plan_digest=work.plan.digest) as writes:
            proof = f"instance {hosting.instance} reported {hosting.database} absent at {rfc3339(writes.now)}"
            writes.put_residue(replace(line, unreadable_after=writes.now, lapsed_at=writes.now, proof=proof))
            writes.put_residue(
                Residue(
                    id=f"instance-backups/{hosting.instance}/{hosting.generation}",
                    tenant_uid=line.tenant_uid,
                    kind=ResidueKind.INSTANCE_BACKUPS,
                    place=f"backups and point-in-time logs of {hosting.instance}",
                    made_at=line.made_at,
                    unreadable_after=writes.now + window,
                )
            )
            if not others:
                writes.clear_alarm(FORMER_DATABASE)
            writes.journal("former-database-gone", evidence=proof)


def _residues(work: Work) -> Sequence[Residue]:
    return work.world.registry.open_residues(work.tenant.uid)


def _former(work: Work, step: Step) -> Hosting:
    for residue_id, hosting in former_hostings(work.world.registry.tenant(work.tenant.uid), _residues(work)):
        if residue_id == step.subject:
            return hosting
    raise NotFound(f"Tenant {work.tenant.uid} has no former database {step.subject}.")
