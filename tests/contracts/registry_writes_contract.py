"""What every registry must answer to whoever holds a lease: transactions, moves, backups, residue, alarms, evidence."""

from dataclasses import replace
from datetime import timedelta
from operator import methodcaller

import pytest

from tenantctl.model.backup import BackupState, CopyState, Residue, ResidueKind, VerificationLevel
from tenantctl.model.errors import Refused, TenantctlError
from tenantctl.model.journal import broken_links
from tenantctl.model.lifecycle import Event, State
from tenantctl.ports.registry import FencedWrites
from tests.contracts.registry_samples import CLOSING, DYING, LONG_AGO, Office, backup_of


class WritesContract:
    """Each test is given an `office`: a registry, a colleague's view of it, and its clock."""

    def test_a_block_is_written_as_a_whole_or_not_at_all(self, office: Office) -> None:
        """Whatever is raised in it undoes it, and it is not seen before its end."""
        tenant = office.tenant()
        lease = office.lease(tenant)

        def fail_half_way(writes: FencedWrites) -> None:
            writes.move(Event.DATABASE_READY)
            writes.put_backup(backup_of(tenant, writes.now))
            writes.raise_alarm("code", "reason")
            assert writes.tenant.state is State.ACTIVE
            assert office.registry.tenant(tenant.uid).state is State.REQUESTED
            raise KeyError

        with pytest.raises(KeyError):
            office.write(lease, fail_half_way)
        assert office.registry.tenant(tenant.uid).state is State.REQUESTED
        assert list(office.registry.backups(tenant.uid)) == []
        assert list(office.registry.alarms()) == []
        assert office.events(tenant.uid) == ["requested"]
        office.write(lease, lambda writes: writes.journal("after"))
        assert list(broken_links(office.registry.entries(tenant.uid), office.registry.head(tenant.uid))) == []

    def test_a_move_follows_the_table_and_is_journalled(self, office: Office) -> None:
        """With the comment of the table, the evidence given, and the plan it belongs to."""
        tenant = office.tenant()
        with office.registry.fenced(office.lease(tenant), plan_digest="0123456789abcdef") as writes:
            with pytest.raises(Refused):
                writes.move(Event.GRACE_ENDED)
            writes.move(Event.DATABASE_READY, size=12, to="nowhere")
        entry = office.registry.entries(tenant.uid)[-1]
        assert (entry.event, entry.plan_digest) == ("database-ready", "0123456789abcdef")
        assert entry.body == (
            '{"comment":"the database answers and its login opens","from":"requested","size":12,"to":"active"}'
        )

    def test_the_date_of_a_destruction_is_written_with_it(self, office: Office) -> None:
        """And stays through what follows."""
        tenant, lease = office.led_to(*DYING)
        assert tenant.destroyed_at is not None
        assert tenant.created_at <= tenant.destroyed_at <= office.registry.now()
        office.write(lease, lambda writes: writes.move(Event.RESIDUE_LAPSED))
        assert office.registry.tenant(tenant.uid).destroyed_at == tenant.destroyed_at

    def test_destroy_after_only_moves_later(self, office: Office) -> None:
        """A shorter policy, or a retry, changes nothing; a later closing counts from there."""
        tenant, lease = office.led_to(*CLOSING)
        closed = office.registry.now()
        dates = [(closed, closed + timedelta(days=days)) for days in (21, 7, 25)]
        kept = []
        for closed_at, destroy_after in dates:
            with office.registry.fenced(lease) as writes:
                writes.record_closing(closed_at, destroy_after)
            kept.append(office.registry.tenant(tenant.uid).destroy_after)
        assert kept == [dates[0][1], dates[0][1], dates[2][1]]
        later = closed + timedelta(hours=1)
        office.write(lease, lambda writes: writes.record_closing(later, dates[0][1]))
        found = office.registry.tenant(tenant.uid)
        assert (found.logins_closed_at, found.destroy_after) == (later, dates[2][1])

    def test_a_closing_is_doubted_and_its_grace_stands(self, office: Office) -> None:
        """Found open: since when it was closed is forgotten, until the next closing; the end of grace is not."""
        tenant, lease = office.led_to(*CLOSING)
        closed = office.registry.now()
        until = closed + timedelta(days=21)
        office.write(lease, lambda writes: writes.record_closing(closed, until))
        office.write(lease, lambda writes: writes.doubt_closing())
        doubted = office.registry.tenant(tenant.uid)
        assert (doubted.logins_closed_at, doubted.destroy_after) == (None, until)
        office.write(lease, lambda writes: writes.record_closing(closed, closed))
        again = office.registry.tenant(tenant.uid)
        assert (again.logins_closed_at, again.destroy_after) == (closed, until)

    def test_only_who_comes_back_is_let_off(self, office: Office) -> None:
        """Clearing the dates of a tenant that is not active again is a bug, and is not written."""
        tenant, lease = office.led_to(*CLOSING)
        closed = office.registry.now()
        office.write(lease, lambda writes: writes.record_closing(closed, closed + timedelta(days=21)))
        with pytest.raises(ValueError, match="active"):
            office.write(lease, lambda writes: writes.clear_closing())
        assert office.registry.tenant(tenant.uid).logins_closed_at == closed
        with office.registry.fenced(lease) as writes:
            writes.clear_closing()
            writes.move(Event.REINSTATED)
        found = office.registry.tenant(tenant.uid)
        assert (found.state, found.logins_closed_at, found.destroy_after) == (State.ACTIVE, None, None)

    def test_a_backup_is_kept_with_its_copies(self, office: Office) -> None:
        """Every field comes back as it was put, oldest first, copies by region."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        now = office.registry.now()
        second, first = backup_of(tenant, now, number=2, slot="b"), backup_of(tenant, LONG_AGO, number=1, slot="a")
        with office.registry.fenced(lease) as writes:
            writes.put_backup(second)
            writes.put_backup(first)
        assert office.registry.backups(tenant.uid) == [first, second]
        written = tuple(
            replace(copy, state=CopyState.WRITTEN, size=7, crc32c="AAAAAA==", written_at=now, seen_at=now)
            for copy in first.copies
        )
        complete = replace(
            first,
            state=BackupState.COMPLETE,
            completed_at=now,
            verified_at=now,
            verified_level=VerificationLevel.RESTORED,
            tables=3,
            rows=2**40,
            size=2**41,
            sha256="ab" * 32,
            forced_row_security=('public."Ünïcode"', "public.t"),
            copies=written,
        )
        office.write(lease, lambda writes: writes.put_backup(complete))
        lost = replace(written[1], state=CopyState.LOST, repairs=2, held_at=now, hold_asked_at=now)
        office.write(lease, lambda writes: writes.put_copy(lost))
        assert office.registry.backups(tenant.uid) == [replace(complete, copies=(written[0], lost)), second]

    def test_a_slot_has_one_backup_that_counts(self, office: Office) -> None:
        """Begun or complete it has the slot; failed or short it leaves it to another try."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        now = office.registry.now()
        first, second = (backup_of(tenant, now, number=number) for number in (1, 2))
        office.write(lease, lambda writes: writes.put_backup(first))
        for state in (BackupState.BEGUN, BackupState.COMPLETE):
            with pytest.raises(Refused, match="slot"):
                office.write(lease, methodcaller("put_backup", replace(second, state=state)))
        for state in (BackupState.FAILED, BackupState.SHORT):
            with office.registry.fenced(lease) as writes:
                writes.put_backup(replace(first, state=state))
                writes.put_backup(second)
                with pytest.raises(Refused, match="slot"):
                    writes.put_backup(first)
                writes.put_backup(replace(second, state=BackupState.FAILED))
        states = {backup.id: backup.state for backup in office.registry.backups(tenant.uid)}
        assert states == {first.id: BackupState.SHORT, second.id: BackupState.FAILED}

    def test_a_line_that_lapsed_stays(self, office: Office) -> None:
        """Proof of an absence is not overwritten by a late worker."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        now = office.registry.now()
        line = Residue("copy/b1/eu", tenant.uid, ResidueKind.COPY, "bucket/name", LONG_AGO, now)
        office.write(lease, lambda writes: writes.put_residue(line))
        later = replace(line, unreadable_after=now + timedelta(days=2))
        office.write(lease, lambda writes: writes.put_residue(later))
        assert office.registry.residues(tenant.uid)[0] == later
        assert later in office.registry.open_residues(tenant.uid)
        lapsed = replace(later, lapsed_at=now, proof="absent by name")
        office.write(lease, lambda writes: writes.put_residue(lapsed))
        office.write(lease, lambda writes: writes.put_residue(line))
        assert office.registry.residues(tenant.uid)[0] == lapsed
        still_open = [one for one in office.registry.residues(tenant.uid) if one.lapsed_at is None]
        assert still_open
        assert list(office.registry.open_residues(tenant.uid)) == still_open

    def test_an_alarm_is_open_until_it_is_cleared(self, office: Office) -> None:
        """Raised again it keeps its beginning; journalled when opened and when closed, never twice."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        other, other_lease = office.led_to(Event.DATABASE_READY, name="other")
        office.write(lease, lambda writes: writes.raise_alarm("short", "one region of two"))
        since = office.registry.alarms(tenant.uid)[0].since
        office.advance(timedelta(minutes=1))
        office.write(lease, lambda writes: writes.raise_alarm("short", "no region of two"))
        office.write(other_lease, lambda writes: writes.raise_alarm("short", "other"))
        (alarm,) = office.registry.alarms(tenant.uid)
        assert (alarm.code, alarm.reason, alarm.since) == ("short", "no region of two", since)
        assert [alarm.tenant_uid for alarm in office.registry.alarms()] == [tenant.uid, other.uid]
        for _ in range(2):
            office.write(lease, lambda writes: writes.clear_alarm("short"))
        assert office.registry.alarms(tenant.uid) == []
        office.write(lease, lambda writes: writes.raise_alarm("short", "again"))
        (alarm,) = office.registry.alarms(tenant.uid)
        assert alarm.reason == "again"
        assert alarm.since >= since + timedelta(minutes=1)
        raised = [event for event in office.events(tenant.uid) if event.startswith("alarm")]
        assert raised == ["alarm-raised", "alarm-cleared", "alarm-raised"]

    def test_forgetting_blanks_name_and_place(self, office: Office) -> None:
        """The uid, the hosting and the evidence stay."""
        tenant, lease = office.led_to(*DYING)
        _, active_lease = office.led_to(Event.DATABASE_READY, name="other")
        with pytest.raises(ValueError, match="lose their names"):
            office.write(active_lease, lambda writes: writes.blank_names())
        assert office.registry.find("other").name == "other"
        with office.registry.fenced(lease) as writes:
            writes.blank_names()
            writes.move(Event.RESIDUE_LAPSED)
        found = office.registry.tenant(tenant.uid)
        assert (found.name, found.time_zone, found.hosting) == (None, "UTC", tenant.hosting)
        assert office.registry.explanation(tenant.uid) == {}
        assert office.events(tenant.uid)[-1] == "residue-lapsed"
        assert tenant.uid in office.registry.chains()

    def test_one_tenants_rows_are_not_written_under_anothers_lease(self, office: Office) -> None:
        """That would be a write that no fence protects."""
        _, lease = office.led_to(Event.DATABASE_READY)
        other = office.tenant("other")
        now = office.registry.now()
        foreign = backup_of(other, now)
        residue = Residue("x", other.uid, ResidueKind.SCRATCH, "p", now, None)
        for write in (
            lambda writes: writes.put_backup(foreign),
            lambda writes: writes.put_copy(foreign.copies[0]),
            lambda writes: writes.put_residue(residue),
        ):
            with pytest.raises(ValueError, match="under the lease"):
                office.write(lease, write)
        assert list(office.registry.backups(other.uid)) == []

    def test_the_journal_takes_json_and_keeps_it_exactly(self, office: Office) -> None:
        """Whatever the text, its hash is the model's, and the chain holds."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        body = {"ключ": "東京 \x1f \u2028 \"'\\ 100%", "list": [1, 2.5, None, True], "nested": {"b": 1, "a": ""}}
        office.write(lease, lambda writes: writes.journal("odd", **body))
        for bad in ({"when": tenant.created_at}, {"number": float("nan")}):
            with pytest.raises((TypeError, ValueError)) as caught:
                office.write(lease, methodcaller("journal", "bad", **bad))
            assert not isinstance(caught.value, TenantctlError)
        entries, head = office.registry.entries(tenant.uid), office.registry.head(tenant.uid)
        assert [entry.event for entry in entries] == ["requested", "database-ready", "odd"]
        assert [entry.sequence for entry in entries] == [1, 2, 3]
        assert list(broken_links(entries, head)) == []
        assert head is not None
        assert head.hash == entries[-1].hash
