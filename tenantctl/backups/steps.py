"""The making of a backup: written down before the first byte, complete after the last manifest."""

from collections.abc import Iterable, Sequence

from tenantctl.backups.attempt import adopt_or_fail, begin, complete, fail
from tenantctl.backups.manifest import Manifest
from tenantctl.backups.stream import Streamed, Target, stream
from tenantctl.backups.terms import bucket_faults, copy_regions
from tenantctl.engine.actions import Work
from tenantctl.model.backup import Backup, BackupState, RetentionClass, bucket_name
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.plan import Blocker, Step
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.ports.databases import Dump


class BackUp:
    """Makes the backup of one slot (the step's subject) in one class (its argument)."""

    journals_itself = False

    def is_done(self, work: Work, step: Step) -> bool:
        """Whether a complete backup has the slot."""
        return any(
            backup.slot == step.subject and backup.state is BackupState.COMPLETE
            for backup in work.world.registry.backups(work.tenant.uid)
        )

    def guard(self, work: Work, step: Step) -> Iterable[Blocker]:
        """A backup may always be made; the act refuses a bucket that is not as the policy says."""
        return ()

    def act(self, work: Work, step: Step) -> None:
        """Settles what a crash left open, and dumps anew unless that was this slot's backup.

        Raises:
            Transient: the database, or too many vaults, did not answer.
            Refused: a bucket's terms are not the policy's, or a table cannot be dumped.
        """
        for left in work.world.registry.backups(work.tenant.uid):
            if left.state is BackupState.BEGUN and adopt_or_fail(work, left) and left.slot == step.subject:
                return
        regions = _usable_regions(work, RetentionClass(step.argument), step.subject)
        backup = begin(work, step, regions, _forced_row_security(work, step))
        if backup.forced_row_security:
            work.world.databases.set_forced_row_security(work.tenant.hosting, backup.forced_row_security, forced=False)
        try:
            manifest, streamed = _dump(work, backup)
        except (Transient, Refused):
            fail(work, backup)
            raise
        content = manifest.to_bytes()
        for copy in backup.copies:
            if copy.region in streamed.sealed:
                work.world.vault.put(copy.bucket, copy.manifest_name, content)
        complete(work, backup, manifest, streamed.sealed)


def _dump(work: Work, backup: Backup) -> tuple[Manifest, Streamed]:
    recipient = backup.recipient
    assert recipient is not None, "it was begun with one"
    targets = [Target(copy.region, copy.bucket, copy.object_name) for copy in backup.copies]
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


def _usable_regions(work: Work, retention_class: RetentionClass, slot: str) -> Sequence[str]:
    """The regions to write to: as many as the policy asks for, those first that come first.

    A slot gets one backup that is short of copies, so that a region that is down for
    days neither leaves its tenants without any copy nor fills the other's buckets.

    Raises:
        Transient: too few buckets answer, and this slot already has its short backup.
        Refused: a bucket's terms are not the policy's.
    """
    world, policy = work.world, work.world.policies.backups
    term = policy.classes[retention_class]
    usable: list[str] = []
    trouble: list[str] = []
    for region in copy_regions(world.policies.regions.regions, work.tenant.hosting.region):
        bucket = bucket_name(world.bucket_prefix, region, retention_class, term.age_days)
        match world.vault.look_at_bucket(bucket):
            case Present(seen):
                if faults := tuple(bucket_faults(seen, region, term)):
                    sentence = f"Bucket {bucket} gets no backup: it {' and '.join(faults)}."
                    raise Refused(sentence, hint="Compare all buckets with policies/backups.yaml: tenantctl doctor")
                usable.append(region)
            case Gone():
                trouble.append(f"bucket {bucket} does not exist")
            case Unreachable(reason):
                trouble.append(f"bucket {bucket} does not answer: {reason}")
        if len(usable) == policy.copies_min:
            return usable
    backups = world.registry.backups(work.tenant.uid)
    has_short = any(backup.slot == slot and backup.state is BackupState.SHORT for backup in backups)
    if has_short or not usable:
        raise Transient(f"A backup needs buckets in {policy.copies_min} regions; {'; '.join(trouble)}.")
    return usable


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
