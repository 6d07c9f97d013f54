"""What a certificate says of a tenant, and all that it must not say."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tenantctl.adapters import decision_rules
from tenantctl.backups.audit import judge
from tenantctl.custody.certificate_document import Latest, written_moment
from tenantctl.custody.certificate_facts import (
    HOLD_PLACED,
    HOLD_RELEASED,
    QUOTED,
    certify,
    may_be_quoted,
    refuse_uncertifiable,
)
from tenantctl.custody.certificate_verification import faults
from tenantctl.model.backup import Copy, CopyState, ResidueKind
from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import LIVING, State
from tenantctl.model.sighting import Gone
from tests.rooms import certificate_samples as samples
from tests.rooms.certificate_samples import ISSUER, TENANT, UID, on, record

SECRET = "case-4711-of-the-court"
PLACED = (on(20), "hold-placed", {"hold": 1})
RELEASED = (on(21), "hold-released", {"hold": 1})


def text_of(certificate: Any) -> str:
    return json.dumps(certificate.model_dump(mode="json"), ensure_ascii=False)


# When


@pytest.mark.parametrize("state", sorted(LIVING))
def test_the_living_are_not_certified(state: State) -> None:
    with pytest.raises(Refused) as caught:
        certify(replace(record(), tenant=replace(TENANT, state=state)), now=on(30), issuer=ISSUER)
    assert f"Tenant acme is {state}" in caught.value.sentence
    assert "once it is destroyed, which is not before 2026-12-16 12:00 UTC" in caught.value.hint
    with pytest.raises(Refused) as caught:
        refuse_uncertifiable(replace(TENANT, state=state, destroy_after=None))
    assert "once it is destroyed, and again" in caught.value.hint


def test_a_destruction_that_was_not_seen_to_end_is_not_certified() -> None:
    with pytest.raises(Refused, match="its end has not been seen"):
        refuse_uncertifiable(replace(TENANT, state=State.DESTROYING, destroyed_at=None))


def test_who_never_had_a_database_has_nothing_to_certify() -> None:
    with pytest.raises(Refused, match="never had a database"):
        refuse_uncertifiable(replace(TENANT, state=State.FORGOTTEN, name=None, destroyed_at=None))


def test_no_certificate_rests_on_a_broken_journal() -> None:
    whole = record()
    edited = replace(whole.entries[3], body="{}")
    for entries in ([*whole.entries[:3], edited, *whole.entries[4:]], whole.entries[:-1], whole.entries[1:]):
        with pytest.raises(Refused, match="broken journal"):
            certify(replace(whole, entries=entries), now=on(30), issuer=ISSUER)


# What


def test_it_says_what_was_seen_and_what_remains() -> None:
    said = samples.destroyed()
    assert (said.state, said.counts.places, said.counts.gone, said.counts.remaining) == ("destroyed", 7, 2, 5)
    database = said.places[0]
    assert (database.state, database.proof, database.region) == ("gone", samples.GONE, samples.HOME)
    (quote,) = [quote for quote in said.journal.quoted if quote.sequence == database.entry]
    assert (quote.event, quote.actor) == ("database-gone", samples.WORKER)
    assert said.latest is not None
    assert (said.latest.kind, said.latest.date) == ("final", written_moment(on(341)))
    assert list(faults(said)) == []


def test_at_the_end_every_place_is_gone_and_every_proof_is_quoted() -> None:
    said = samples.forgotten()
    assert (said.state, said.latest, said.counts.remaining) == ("forgotten", None, 0)
    assert said.life.forgotten_at == written_moment(on(350))
    assert {place.kind for place in said.places if place.entry is None} == {"scratch"}
    assert {place.region for place in said.places} == {samples.HOME, samples.PARTNER, None}
    assert {region.id for region in said.regions} == {samples.HOME, samples.PARTNER}


def test_a_date_that_has_passed_unseen_is_no_proof() -> None:
    """The window has passed, and nobody has looked yet: it is not said to be gone, nor when it will be."""
    said = certify(record(), now=on(32), issuer=ISSUER)
    (window,) = [place for place in said.places if place.kind == "instance-backups"]
    assert window.latest is not None
    assert (window.state, window.latest.kind, window.latest.date) == ("remains", "not-before", written_moment(on(32)))
    assert said.latest is not None
    assert (said.latest.kind, said.latest.date) == ("not-before", written_moment(on(341)))
    assert list(faults(said)) == []


def test_a_database_that_was_left_in_a_lost_region_is_told_apart() -> None:
    """Each by its own proof; while nobody could look, it remains, and no last date can be named."""
    proof = "instance tenants-0 reported t_0 absent at 2026-12-20T12:00:00Z"
    former = samples.residue(ResidueKind.DATABASE, f"database/{UID}/0", "tenants-0/t_0", None, made=0)
    before = record()
    unseen = certify(replace(before, residues=[*before.residues, former]), now=on(30), issuer=ISSUER)
    assert unseen.places[-1].latest == Latest(date=written_moment(on(30)), kind="not-before")
    assert unseen.latest is not None
    assert unseen.latest.kind == "not-before"
    assert list(faults(unseen)) == []
    seen = record(more=[(on(22), "former-database-gone", {"evidence": proof})])
    lapsed = replace(former, lapsed_at=on(22), proof=proof)
    gone = certify(replace(seen, residues=[*seen.residues, lapsed]), now=on(30), issuer=ISSUER)
    events = {quote.sequence: quote.event for quote in gone.journal.quoted}
    databases = [place for place in gone.places if place.kind == "database"]
    assert [events[place.entry or 0] for place in databases] == ["database-gone", "former-database-gone"]
    assert list(faults(gone)) == []


def test_a_copy_that_was_made_again_is_told_apart() -> None:
    """Its first making was lost, its second lapsed; off Google's cloud too. Each has its own entry."""
    region = "aws:us-east-2"
    lines = [
        (on(5), "copy-lost", {"backup": samples.BACKUP, "region": region, "evidence": "absent too early"}),
        (on(20), "copy-lapsed", {"backup": samples.BACKUP, "region": region, "evidence": "absent in time"}),
    ]
    name = f"copy/{samples.BACKUP}/{region}"
    copies = [
        samples.residue(ResidueKind.COPY, name, "s3://x/y", 19, (5, "absent too early")),
        samples.residue(ResidueKind.COPY, f"{name}/1", "s3://x/y", 19, (20, "absent in time")),
    ]
    before = record(more=lines)
    said = certify(replace(before, residues=[*before.residues, *copies]), now=on(30), issuer=ISSUER)
    events = {quote.sequence: quote.event for quote in said.journal.quoted}
    assert [(events[one.entry or 0], one.region) for one in said.places[-2:]] == [
        ("copy-lost", region),
        ("copy-lapsed", region),
    ]
    assert list(faults(said)) == []


# What it must not say


def test_the_events_of_a_hold_are_those_that_the_registry_writes() -> None:
    assert (HOLD_PLACED, HOLD_RELEASED) == (decision_rules.HOLD_PLACED, decision_rules.HOLD_RELEASED)


def test_under_a_hold_it_says_not_before_and_not_why() -> None:
    held = certify(record(more=[PLACED]), now=on(30), issuer=ISSUER)
    kinds = {place.kind: place.latest.kind for place in held.places if place.latest}
    assert kinds == {"copy": "not-before", "key": "not-before", "instance-backups": "final"}
    assert held.latest is not None
    assert held.latest.kind == "not-before"
    assert "hold" not in text_of(held).lower().replace(ISSUER.lower(), "")
    assert "legal" not in text_of(held).lower()
    assert list(faults(held)) == []


def test_what_a_store_may_still_keep_has_no_final_date() -> None:
    """A hold that was released counts until the store was seen to let go."""
    kept = record(more=[PLACED, RELEASED])
    backup = kept.backups[0]
    copy = Copy(
        backup_id=backup.id,
        tenant_uid=backup.tenant_uid,
        region="us-south1",
        bucket="b",
        object_name="u/b/dump.zst.age",
        state=CopyState.WRITTEN,
        intended_at=on(1),
        lapses_at=on(40),
        unreadable_after=on(44),
        hold_asked_at=on(21),
    )
    asked = certify(replace(kept, backups=[replace(backup, copies=(copy,))]), now=on(30), issuer=ISSUER)
    assert {place.latest.kind for place in asked.places if place.kind == "copy" and place.latest} == {"not-before"}
    gone = judge(replace(copy, held_at=on(21)), Gone(), now=on(60))
    assert gone.state is CopyState.LOST
    assert "hold" not in gone.sentence
    assert "held" not in gone.sentence


def test_after_a_hold_nothing_of_it_is_left() -> None:
    """All that differs from a tenant that never was under one is the length and the hashes of its chain."""
    released = certify(record(more=[PLACED, RELEASED]), now=on(30), issuer=ISSUER).model_dump()
    never = samples.destroyed().model_dump()
    for said in (released, never):
        del said["journal"]
        for place in said["places"]:
            del place["entry"]
    assert released == never


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ("hold-placed", {"case": SECRET}),
        ("hold-released", {"case": SECRET}),
        ("backup-exported", {"backup": "b", "ground": "legal-order", "reference": SECRET}),
        ("erasure-approved", {"basis": "law", "reference": SECRET}),
        ("cancel-requested", {"intent": 2, "cause": SECRET}),
        ("grace-ended", {"reason": SECRET}),
        ("alarm-raised", {"code": SECRET}),
        ("step-done", {"do": "x", "subject": "y", "reason": SECRET, "argument": ""}),
        ("certificate-issued", {"sha256": SECRET}),
        ("an event of next year", {"x": SECRET}),
        ("place-lapsed", {"place": "x", "kind": "copy", "proof": "gone", "case": SECRET}),
        ("backup-complete", {"backup": "b", "held_for": SECRET}),
    ],
)
def test_what_else_is_in_the_chain_stays_there(event: str, body: Mapping[str, Any]) -> None:
    """Also what a known event says beyond what is listed for it."""
    said = certify(record(more=[(on(20), event, body)]), now=on(30), issuer=ISSUER)
    assert SECRET not in text_of(said)
    assert said.journal.length == samples.destroyed().journal.length + 1
    assert said.counts == samples.destroyed().counts


def test_only_what_a_worker_writes_is_quoted() -> None:
    """Requests and approvals are people's, and are nowhere in the list of what may be quoted."""
    people = {"requested", "cancel-requested", "reinstate-requested", "erasure-approved", "grace-ended"}
    assert not people & set(QUOTED)
    assert [entry.event for entry in record().entries if not may_be_quoted(entry)] == [
        "requested",
        "cancel-requested",
        "backup-begun",
        "grace-ended",
    ]


# By which name


def test_the_name_is_the_one_on_record() -> None:
    assert samples.destroyed().tenant.name == "acme"
    assert samples.destroyed().tenant.name_source == "record"
    same = certify(record(), now=on(30), issuer=ISSUER, stated_name="acme")
    assert same.tenant == samples.destroyed().tenant
    with pytest.raises(Refused, match="'acme' on record"):
        certify(record(), now=on(30), issuer=ISSUER, stated_name="another")


def test_at_the_end_it_is_the_uid_alone_unless_somebody_states_a_name() -> None:
    assert samples.forgotten().tenant.model_dump() == {"uid": UID, "name": None, "name_source": "none"}
    assert "acme" not in text_of(samples.forgotten()).replace("gs://acme-", "")
    stated = samples.forgotten("Acme, Inc.").tenant
    assert (stated.name, stated.name_source) == ("Acme, Inc.", "stated")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x00b", "a\u202eb", "x" * 201])
def test_a_name_is_a_line_of_text(name: str) -> None:
    with pytest.raises(Refused, match="cannot be the name"):
        samples.forgotten(name)
    with pytest.raises(Refused, match="cannot be the issuer"):
        certify(record(), now=on(30), issuer=name)


def test_a_second_later_it_is_another_certificate() -> None:
    later = certify(record(), now=on(30) + timedelta(seconds=1), issuer=ISSUER)
    assert samples.content(later) != samples.content(samples.destroyed())
