"""What every registry must keep of restores: where a database comes from, when it was whole, and where it lies anew."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.model.backup import BackupState
from tenantctl.model.errors import NotFound, Refused
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.tenant import Instance, InstanceRole, Origin
from tests.contracts.registry_samples import Office, backup_of, new_tenant

ELSEWHERE = "europe-west4"


class RestoresContract:
    """Each test is given an `office`: a registry, a colleague's view of it, and its clock."""

    def test_a_tenant_says_from_which_backup_it_is_restored(self, office: Office) -> None:
        """And with its request stands why; whether its data is there is written later, once."""
        source, lease = office.led_to(Event.DATABASE_READY)
        office.write(lease, lambda writes: writes.put_backup(backup_of(source, writes.now)))
        origin = Origin(f"{source.uid}-1", source.uid)
        asked = new_tenant("acme-again", restored_from=origin, evidence={"ground": "incident", "reference": "INC-1"})
        made = office.registry.request_tenant(asked)
        assert (made.restored_from, made.restored_at, made.awaits_data) == (origin, None, True)
        body = json.loads(office.registry.entries(made.uid)[0].body)
        assert (body["ground"], body["reference"], body["generation"]) == ("incident", "INC-1", 1)
        office.write(office.lease(made), lambda writes: writes.record_restored())
        whole = office.registry.tenant(made.uid)
        assert whole.restored_at is not None
        assert not whole.awaits_data
        assert not office.registry.tenant(source.uid).awaits_data

    def test_a_tenant_placed_anew_has_both_places_on_record(self, office: Office) -> None:
        """The next generation on the emptiest instance there; the line of the one before stays open."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        for name, limit in (("ew4-a", 5), ("ew4-full", 0)):
            office.registry.add_instance(Instance(name, ELSEWHERE, InstanceRole.TENANTS, limit))
        origin = Origin(f"{tenant.uid}-1", tenant.uid)
        with office.registry.fenced(lease, plan_digest="0123456789abcdef") as writes:
            writes.put_backup(backup_of(tenant, writes.now))
            writes.move(Event.MOVE_STARTED)
            writes.rehost(ELSEWHERE, origin, {"region": ELSEWHERE})
            assert writes.tenant.hosting.generation == 2
        now = office.registry.tenant(tenant.uid)
        assert (now.state, now.restored_from, now.awaits_data) == (State.MOVING, origin, True)
        assert now.hosting == replace(tenant.hosting, instance="ew4-a", region=ELSEWHERE, generation=2)
        lines = {line.id: line for line in office.registry.residues(tenant.uid) if line.id.startswith("database/")}
        assert [line.lapsed_at for line in lines.values()] == [None, None]
        assert lines[f"database/{tenant.uid}/2"].place == f"ew4-a/{now.hosting.database}"
        assert office.registry.explanation(tenant.uid) == {"region": ELSEWHERE}
        assert office.events(tenant.uid)[-2:] == ["move-started", "rehosted"]
        counts = {instance.name: instance.databases for instance in office.registry.instances()}
        assert (counts["ew1-a"], counts["ew4-a"]) == (0, 1)

    def test_a_second_restore_waits_for_its_own_data(self, office: Office) -> None:
        """That an earlier generation was whole says nothing of this one."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        office.registry.add_instance(Instance("ew4-a", ELSEWHERE, InstanceRole.TENANTS, 5))
        office.write(lease, lambda writes: writes.put_backup(backup_of(tenant, writes.now)))
        for generation in (2, 3):
            with office.registry.fenced(lease) as writes:
                writes.rehost(ELSEWHERE, Origin(f"{tenant.uid}-1", tenant.uid), {})
            assert office.registry.tenant(tenant.uid).awaits_data
            assert office.registry.tenant(tenant.uid).hosting.generation == generation
            office.write(lease, lambda writes: writes.record_restored())
            assert not office.registry.tenant(tenant.uid).awaits_data

    def test_nothing_is_placed_where_there_is_no_room(self, office: Office) -> None:
        """And nothing of the transaction is written."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        origin = Origin(f"{tenant.uid}-1", tenant.uid)
        for instances, says in (
            ((), "no instance"),
            ((Instance("ew4-a", ELSEWHERE, InstanceRole.TENANTS, 0),), "full"),
        ):
            for instance in instances:
                office.registry.add_instance(instance)
            with pytest.raises(Refused, match=says), office.registry.fenced(lease) as writes:
                writes.rehost(ELSEWHERE, origin, {})
        assert office.registry.tenant(tenant.uid) == tenant

    def test_a_backup_is_found_by_its_id(self, office: Office) -> None:
        """Whose it is, whatever became of the tenant since."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        other = office.tenant("other")
        office.write(lease, lambda writes: writes.put_backup(backup_of(tenant, writes.now)))
        failed = replace(
            backup_of(tenant, office.registry.now() - timedelta(days=1), number=2), state=BackupState.FAILED
        )
        office.write(lease, lambda writes: writes.put_backup(failed))
        for number in (1, 2):
            assert office.registry.owner_of(f"{tenant.uid}-{number}").uid == tenant.uid
        for nobodys in (f"{other.uid}-1", "", tenant.uid):
            with pytest.raises(NotFound):
                office.registry.owner_of(nobodys)
