"""What every registry must keep of audits: pages of the ledger, and findings from their first day to their last."""

from dataclasses import replace
from datetime import timedelta

from tenantctl.model.backup import CopyState
from tenantctl.model.finding import Grade, GradedFinding, PlaceAudited
from tenantctl.model.lifecycle import Event
from tests.contracts.registry_samples import DYING, Office, backup_of

HERE, ELSEWHERE = "bucket here", "instance elsewhere"


def finding(subject: str = "o/1", sentence: str = "it is gone", where: str = HERE) -> GradedFinding:
    return GradedFinding("copy-lost", Grade.CRITICAL, where, subject, sentence, "Look for it.")


class AuditsContract:
    """Each test is given an `office`: a registry, a colleague's view of it, and its clock."""

    def test_an_instance_shows_those_that_are_placed_on_it(self, office: Office) -> None:
        """Neither the destroyed nor those on other instances."""
        lives, _ = office.led_to(Event.DATABASE_READY, name="lives")
        office.led_to(*DYING, name="died")
        assert [one.uid for one in office.registry.hosted("ew1-a")] == [lives.uid]
        assert office.registry.hosted("ew1-b") == []

    def test_the_ledger_is_read_a_page_at_a_time_by_the_bytes_of_names(self, office: Office) -> None:
        """From after a name, each line with its backup's class, and nothing that has lapsed."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        made = backup_of(tenant, office.registry.now())
        (first, *_) = made.copies
        names = ["a/B/o", "a/b/o", "a/c/o", "a-/b/o"]
        copies = [
            replace(first, object_name=name, region=f"r{number}", bucket="one") for number, name in enumerate(names)
        ]
        lapsed = replace(copies[2], state=CopyState.LAPSED)
        office.write(lease, lambda writes: writes.put_backup(replace(made, copies=(*copies[:2], lapsed, copies[3]))))
        registry = office.registry
        page = registry.ledger("one", after="", limit=2)
        assert [line.copy.object_name for line in page] == ["a-/b/o", "a/B/o"]
        assert [line.copy.object_name for line in registry.ledger("one", after="a/B/o", limit=9)] == ["a/b/o"]
        assert page[0].retention_class is made.retention_class
        assert page[0].copy == copies[3]
        assert registry.ledger("two", after="", limit=9) == []
        assert set(registry.ledger_buckets()) == {"one"}

    def test_a_copy_is_found_by_its_name_in_whichever_state(self, office: Office) -> None:
        """Also one that lapsed; of another bucket or backup it is none."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        made = backup_of(tenant, office.registry.now())
        lapsed = replace(made.copies[0], state=CopyState.LAPSED)
        office.write(lease, lambda writes: writes.put_backup(replace(made, copies=(lapsed, *made.copies[1:]))))
        found = office.registry.ledger_line(lapsed.bucket, lapsed.object_name)
        assert found is not None
        assert found.copy == lapsed
        assert office.registry.ledger_line("other", lapsed.object_name) is None
        assert office.registry.ledger_line(lapsed.bucket, f"{tenant.uid}/nothing/dump.zst.age") is None
        assert office.registry.ledger_line(lapsed.bucket, "stray") is None

    def test_a_finding_is_open_from_its_first_audit_to_the_first_without_it(self, office: Office) -> None:
        """Its day stays while its words may change; what comes back later begins anew."""
        registry, began = office.registry, office.registry.now()
        changes = registry.record_audit(HERE, [finding(), finding("o/2")])
        assert ([one.subject for one in changes.opened], changes.cleared) == (["o/1", "o/2"], ())
        first = registry.findings()[0]
        assert first.since is not None
        assert first.since >= began
        office.advance(timedelta(hours=1))
        changes = office.colleague.record_audit(HERE, [finding(sentence="it is gone still")])
        assert (changes.opened, [one.subject for one in changes.cleared]) == ((), ["o/2"])
        assert registry.findings() == [replace(first, sentence="it is gone still")]
        assert registry.record_audit(ELSEWHERE, [finding(where=ELSEWHERE)]).cleared == ()
        registry.record_audit(HERE, [])
        assert [one.where for one in registry.findings()] == [ELSEWHERE]
        registry.record_audit(HERE, [finding()])
        again = registry.findings()[0]
        assert again.since is not None
        assert again.since > first.since + timedelta(minutes=59)

    def test_what_could_not_be_looked_at_keeps_its_findings(self, office: Office) -> None:
        """And says since when, until it was looked at again."""
        registry = office.registry
        registry.record_audit(HERE, [finding()])
        (before,) = registry.audits()
        assert before.audited_at is not None
        since = registry.record_unseen(HERE, "no answer")
        office.advance(timedelta(hours=1))
        assert registry.record_unseen(HERE, "still none") == since
        assert registry.audits() == [PlaceAudited(HERE, before.audited_at, since, "still none")]
        assert [one.subject for one in registry.findings()] == ["o/1"]
        registry.record_unseen(ELSEWHERE, "no answer")
        assert [one.audited_at for one in registry.audits()] == [before.audited_at, None]
        registry.record_audit(HERE, [])
        assert registry.audits()[0].unseen_since is None

    def test_of_two_that_would_audit_a_place_one_does(self, office: Office) -> None:
        """Until so much time has passed that the first one must be dead."""
        assert office.registry.begin_audit(HERE, unless_within=timedelta(hours=1))
        assert not office.colleague.begin_audit(HERE, unless_within=timedelta(hours=1))
        assert office.registry.begin_audit(ELSEWHERE, unless_within=timedelta(hours=1))
        office.advance(timedelta(hours=2))
        assert office.colleague.begin_audit(HERE, unless_within=timedelta(hours=1))
