"""What every registry must keep of moves: one at a time, in a generation of its own, with both places on record."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import Event
from tenantctl.model.move import open_move
from tenantctl.model.tenant import Instance, InstanceRole, InstanceState
from tests.contracts.registry_samples import Office

ELSEWHERE = "europe-west4"
ASKED: dict[str, Any] = {
    "cause": "closer",
    "instructing_party": "customer",
    "not_before": None,
    "verifier": "SCRAM-SHA-256$x",
}


class MovesContract:
    """Each test is given an `office`: a registry, a colleague's view of it, and its clock."""

    def test_a_move_by_dump_says_why_and_for_how_long(self, office: Office) -> None:
        """What the customer was told, and agreed to, stands with it and in the journal; since when it is out, too."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        office.registry.add_instance(Instance("ew4-a", ELSEWHERE, InstanceRole.TENANTS, 5))
        told: dict[str, Any] = {"dumped_because": "large objects", "expected_seconds": 90, "accepted_seconds": 120}
        with office.registry.fenced(lease) as writes:
            move = writes.begin_move(ELSEWHERE, **ASKED, **told)
            assert move.dumped_by is None
        with office.registry.fenced(lease) as writes:
            writes.put_move(replace(move, fenced_at=writes.now))
        known = open_move(office.colleague.moves(tenant.uid))
        assert known is not None
        assert {name: getattr(known, name) for name in told} == told
        assert known.fenced_at is not None
        assert known.dumped_by == known.fenced_at + timedelta(seconds=120)
        said = next(one for one in office.registry.entries(tenant.uid) if one.event == "move-requested")
        assert told.items() <= json.loads(said.body).items()

    def test_a_move_has_its_place_on_record_before_there_is_anything(self, office: Office) -> None:
        """The tenant stays where it is, the generation to come has its line, and the journal no secret."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        office.registry.add_instance(Instance("ew4-a", ELSEWHERE, InstanceRole.TENANTS, 5))
        with office.registry.fenced(lease) as writes:
            move = writes.begin_move(ELSEWHERE, **ASKED)
            writes.move(Event.MOVE_STARTED)
        assert office.registry.moves(tenant.uid) == [move]
        assert open_move(office.colleague.moves(tenant.uid)) == move
        assert (move.source, move.target.instance, move.generation) == (tenant.hosting, "ew4-a", 2)
        assert office.registry.tenant(tenant.uid).hosting == tenant.hosting
        counts = {one.name: one.databases for one in office.registry.instances()}
        assert (counts[tenant.hosting.instance], counts["ew4-a"]) == (1, 1)  # its room there is kept
        lines = {line.id: line.lapsed_at for line in office.registry.residues(tenant.uid)}
        assert lines == {f"database/{tenant.uid}/1": None, f"database/{tenant.uid}/2": None}
        said = [entry for entry in office.registry.entries(tenant.uid) if entry.event == "move-requested"]
        assert json.loads(said[0].body)["region"] == ELSEWHERE
        assert "SCRAM" not in said[0].body

    def test_a_tenant_moves_to_one_place_at_a_time(self, office: Office) -> None:
        """A second is refused until the first has ended, and then has a generation of its own."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        office.registry.add_instance(Instance("ew4-a", ELSEWHERE, InstanceRole.TENANTS, 5))
        with office.registry.fenced(lease) as writes:
            first = writes.begin_move(ELSEWHERE, **ASKED)
        with pytest.raises(Refused, match="moving already"), office.registry.fenced(lease) as writes:
            writes.begin_move(ELSEWHERE, **ASKED)
        ended = replace(first, undo_because="changed its mind", verifier=None)
        with office.registry.fenced(lease) as writes:
            writes.put_move(replace(ended, ended_at=writes.now))
            second = writes.begin_move(ELSEWHERE, **ASKED)
        assert second.generation == 3
        assert [one.undo_because for one in office.registry.moves(tenant.uid)] == ["changed its mind", None]

    def test_a_cut_over_places_the_tenant_anew(self, office: Office) -> None:
        """Place, explanation, time and event in one transaction; capacity is counted where it is now."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        office.registry.add_instance(Instance("ew4-a", ELSEWHERE, InstanceRole.TENANTS, 5))
        with office.registry.fenced(lease) as writes:
            move = writes.begin_move(ELSEWHERE, **ASKED)
        with office.registry.fenced(lease) as writes:
            writes.cut_over(replace(move, verifier=None), {"region": ELSEWHERE})
            assert writes.tenant.hosting == move.target
        now = office.registry.tenant(tenant.uid)
        assert now.hosting == move.target
        known = open_move(office.registry.moves(tenant.uid))
        assert known is not None
        assert (known.cut_over_at is not None, known.verifier) == (True, None)
        assert office.registry.explanation(tenant.uid) == {"region": ELSEWHERE}
        assert office.events(tenant.uid)[-1] == "cut-over"
        assert {one.name: one.databases for one in office.registry.instances()}["ew4-a"] == 1

    def test_a_tenant_that_leaves_its_instance_may_stay_in_its_region(self, office: Office) -> None:
        """It never goes to the one that it leaves, however empty that is."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        home = tenant.hosting
        for one in office.registry.instances():
            if one.region == home.region and one.name != home.instance:
                office.registry.set_instance_state(one.name, InstanceState.DRAINING)
        with pytest.raises(Refused), office.registry.fenced(lease) as writes:
            writes.begin_move(home.region, **ASKED)
        office.registry.add_instance(Instance("beside", home.region, InstanceRole.TENANTS, 5))
        with office.registry.fenced(lease) as writes:
            assert writes.begin_move(home.region, **ASKED).instance == "beside"

    def test_a_full_region_takes_nobody(self, office: Office) -> None:
        """And nothing of the move was written."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        office.registry.add_instance(Instance("ew4-full", ELSEWHERE, InstanceRole.TENANTS, 0))
        with pytest.raises(Refused), office.registry.fenced(lease) as writes:
            writes.begin_move(ELSEWHERE, **ASKED)
        assert office.registry.moves(tenant.uid) == []
