"""The making of a backup: written down before the first byte, complete after the last manifest."""

from collections.abc import Collection, Iterable, Mapping

from tenantctl.backups.age import Identity
from tenantctl.backups.attempt import adopt, begin, complete, fail
from tenantctl.backups.completeness import is_being_completed
from tenantctl.backups.destinations import choose_destinations, regions_left
from tenantctl.backups.manifest import Manifest
from tenantctl.backups.stream import Streamed, Target, stream
from tenantctl.engine.actions import Work
from tenantctl.model.backup import Backup, BackupState, RetentionClass
from tenantctl.model.calendar import ONE_DAY
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.plan import Blocker, Step
from tenantctl.model.sighting import Present
from tenantctl.ports.databases import Dump
from tenantctl.ports.vault import ObjectSeen


class BackUp:
    """Makes the backup of one slot (the step's subject) in one class (its argument)."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether a backup has the slot that is complete, or will be: what one still lacks is made from its copies."""
        registry, policy = work.world.registry, work.world.policies.backups
        residues, now, closed = registry.open_residues(work.tenant.uid), registry.now(), regions_left(work)
        return any(
            backup.slot == step.subject
            and (
                backup.state is BackupState.COMPLETE
                or is_being_completed(backup, residues, policy, now=now, closed_regions=closed)
            )
            for backup in registry.backups(work.tenant.uid)
        )

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """A backup may always be made; the act refuses a bucket that is not as the policy says."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Settles what a crash left open, and dumps anew unless that was this slot's backup.

        An attempt of which no vault that answers has a manifest is given up, so that
        one that does not answer keeps nobody from the next backup.

        Raises:
            Transient: the database, or every vault, did not answer.
            Refused: a bucket's terms are not the policy's, or a table cannot be dumped.
        """
        given_up: list[Backup] = []
        for left in work.world.registry.backups(work.tenant.uid):
            if left.state is not BackupState.BEGUN:
                continue
            if not adopt(work, left):
                given_up.append(left)
            elif left.slot == step.subject:
                return
        identity = Identity.generate()
        destinations = choose_destinations(work, RetentionClass(step.argument), identity)
        for left in given_up:
            fail(work, left)
        if len(destinations.wrapped) < work.world.policies.backups.copies_min and _tried_of_late(work, step.subject):
            raise Transient(
                f"A backup that is short of copies exists already; {'; '.join(destinations.silent.values())}"
            )
        forced, size = _forced_row_security(work, step), _size(work)
        backup, ready = begin(work, step, identity, destinations, forced, size=size)
        if backup.forced_row_security:
            work.world.databases.set_forced_row_security(work.tenant.hosting, backup.forced_row_security, forced=False)
        try:
            manifest, streamed = _dump(work, backup, ready)
        except (Transient, Refused):
            fail(work, backup)
            raise
        complete(work, backup, manifest, _described(work, backup, manifest, streamed))


def _described(work: Work, backup: Backup, manifest: Manifest, streamed: Streamed) -> Mapping[str, ObjectSeen]:
    """The sealed copies that have their manifest beside them: without it, a copy is no backup yet.

    Raises:
        Transient: no copy has it.
    """
    content, described, trouble = manifest.to_bytes(), dict[str, ObjectSeen](), list[str]()
    for copy in backup.copies:
        if copy.region in streamed.sealed:
            try:
                work.world.vault.put(copy.bucket, copy.manifest_name, content)
                described[copy.region] = streamed.sealed[copy.region]
            except (Transient, Refused) as error:
                trouble.append(f"{copy.region}: {error.sentence}")
    if not described:
        raise Transient(f"No manifest of backup {backup.id} could be written: {'; '.join(trouble)}")
    return described


def _dump(work: Work, backup: Backup, ready: Collection[str]) -> tuple[Manifest, Streamed]:
    recipient = backup.recipient
    assert recipient is not None, "it was begun with one"
    targets = [Target(copy.region, copy.bucket, copy.object_name) for copy in backup.copies if copy.region in ready]
    with work.world.databases.dump(work.tenant.hosting) as dump:

        def confirm() -> None:
            """The tables were read to the end, and the registry says that the tenant is still ours."""
            assert dump.tables is not None, "it raises, or has them"
            work.heartbeat.renew()

        streamed = stream(
            dump, work.world.vault, targets, recipient=recipient, check=work.heartbeat.check, confirm=confirm
        )
        if not streamed.sealed:
            raise Transient(f"No copy could be written: {'; '.join(streamed.failed.values())}")
        return _manifest(work, backup, streamed, dump), streamed


def _manifest(work: Work, backup: Backup, streamed: Streamed, dump: Dump) -> Manifest:
    return Manifest(
        backup_id=backup.id,
        tenant_uid=backup.tenant_uid,
        generation=work.tenant.hosting.generation,
        slot=backup.slot,
        retention_class=backup.retention_class,
        begun_at=backup.begun_at,
        server_version=dump.server_version,
        size=streamed.size,
        raw_size=streamed.raw_size,
        sha256=streamed.sha256,
        crc32c=streamed.crc32c,
        recipient=backup.recipient,
        forced_row_security=backup.forced_row_security,
        tables=dump.tables,
    )


def _size(work: Work) -> int | None:
    """How many bytes the database has, by which the room on its instance is counted; None if that is not seen."""
    match work.world.databases.look(work.tenant.hosting):
        case Present(seen):
            return seen.size
        case _:
            return None


def _tried_of_late(work: Work, slot: str) -> bool:
    """Whether a slot got a backup within the last day that is short of copies.

    It gets no other one until then, unless that will have all its copies: a region
    that is down for days must not fill the other's buckets.
    """
    registry = work.world.registry
    since = registry.now() - ONE_DAY
    return any(
        one.slot == slot and one.state is BackupState.SHORT and one.begun_at > since
        for one in registry.backups(work.tenant.uid)
    )


def _forced_row_security(work: Work, step: Step) -> tuple[str, ...]:
    """The tables whose forced row security must be lifted for a final backup.

    Those that an earlier one has lifted and no reinstatement has set again since
    are among them, so that the manifest of each names them all.

    Raises:
        Refused: some of a working customer's tables force it; `pg_dump` would fail on them.
    """
    forced = set(work.world.databases.forced_row_security(work.tenant.hosting))
    if step.argument != RetentionClass.FINAL:
        if forced:
            raise Refused(
                f"No backup can be made of tables that force row security on their owner: {', '.join(sorted(forced))}.",
                hint="Ask the customer to run ALTER TABLE … NO FORCE ROW LEVEL SECURITY on them.",
            )
        return ()
    for backup in work.world.registry.backups(work.tenant.uid):
        forced.update(backup.forced_row_security)
    return tuple(sorted(forced))
