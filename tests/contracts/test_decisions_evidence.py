"""What PostgreSQL itself refuses of decisions: none is forged, edited or taken back, and what is held or frozen stays.

Each test acts in SQL, past the program, as a person with a login could.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest

from tenantctl.model.decisions import Act, NewProposal, ProposalKind
from tenantctl.model.lifecycle import Event
from tenantctl.model.tenant import Tenant
from tests.contracts.postgres import ALICE, BOB, MIGRATOR, RegistryDatabase, postgres_cluster
from tests.contracts.registry_samples import CLOSING, REGION, Office

NOT_ALLOWED = psycopg.errors.InsufficientPrivilege
NOT_POSSIBLE = psycopg.errors.IntegrityConstraintViolation
SUPERUSER = "the superuser"
DAY = timedelta(days=1)

# As a member of registry_app: refused by privilege.
APPLICATION_MAY_NOT = (
    "UPDATE approvals SET actor = 'bob@example.com'",
    "INSERT INTO approvals (digest, actor) SELECT digest, 'bob@example.com' FROM proposals",
    "INSERT INTO approvals (digest, at) SELECT digest, now() FROM proposals",
    "DELETE FROM approvals",
    "UPDATE proposals SET content = '{}'",
    "UPDATE proposals SET expires_at = 'infinity'",
    "DELETE FROM proposals",
    "UPDATE freezes SET placed_by = 'bob@example.com'",
    "UPDATE freezes SET ended_by = 'bob@example.com'",
    "DELETE FROM freezes",
    "UPDATE holds SET case_reference = 'another'",
    "UPDATE holds SET review_by = 'infinity'",
    "DELETE FROM holds",
    "INSERT INTO acts (tenant_uid, act, region, at) SELECT uid, 'destroy', region, '-infinity' FROM tenants",
    "UPDATE acts SET at = '-infinity'",
    "DELETE FROM acts",
    "UPDATE notices SET delivered_by = 'bob@example.com'",
    "UPDATE notices SET destroy_after = 'infinity'",
    "DELETE FROM notices",
    "TRUNCATE freezes, holds, approvals, proposals, acts, notices",
)
# As the owner of the tables, or a superuser: refused by triggers.
NOBODY_MAY = (
    "UPDATE approvals SET actor = 'bob@example.com'",
    "DELETE FROM approvals",
    "DELETE FROM proposals",
    "UPDATE freezes SET reason = 'another'",
    "DELETE FROM freezes",
    "UPDATE holds SET review_by = 'infinity'",
    "DELETE FROM holds",
    "UPDATE acts SET at = '-infinity'",
    "DELETE FROM acts",
    "TRUNCATE acts",
    "UPDATE tenants SET state = 'destroying' WHERE name = 'held'",
    "UPDATE tenants SET state = 'destroying' WHERE name = 'frozen'",
)


@dataclass(frozen=True)
class Archive:
    """A registry with one of each decision, and its database."""

    office: Office
    database: RegistryDatabase

    def session(self, login: str) -> "psycopg.Connection[object]":
        """A bare session."""
        return self.database.superuser_session() if login == SUPERUSER else self.database.session(login)


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with postgres_cluster() as cluster, cluster.registry_database() as database:
        office = database.office()
        held, frozen = in_grace(office, "held"), in_grace(office, "frozen")
        office.decisions.place_hold(held.uid, "AZ 12/26", office.registry.now() + DAY)
        office.decisions.freeze(REGION, "the audit is odd")
        content = {"blocker": "notice"}
        made = office.decisions.propose(
            NewProposal(ProposalKind.WAIVER, frozen.uid, content, office.registry.now() + DAY)
        )
        office.decisions.approve(made.digest)
        yield Archive(office, database)


def in_grace(office: Office, name: str) -> Tenant:
    """A deactivated tenant with a notice and an act on record."""
    tenant, lease = office.led_to(*CLOSING, Event.FINAL_BACKUP_VERIFIED, name=name)
    with office.registry.fenced(lease) as writes:
        writes.record_closing(writes.now, writes.now)
        writes.count_act(Act.DEACTIVATE)
        writes.put_notice("deactivated", closing=writes.now, destroy_after=writes.now)
    return tenant


@pytest.mark.parametrize("statement", APPLICATION_MAY_NOT)
def test_the_application_may_not(archive: Archive, statement: str) -> None:
    with archive.session(ALICE) as session, pytest.raises(NOT_ALLOWED):
        session.execute(statement.encode())


@pytest.mark.parametrize("login", [MIGRATOR, SUPERUSER])
@pytest.mark.parametrize("statement", NOBODY_MAY)
def test_not_even_the_owner_takes_a_decision_back(archive: Archive, login: str, statement: str) -> None:
    with archive.session(login) as session, pytest.raises(NOT_POSSIBLE):
        session.execute(statement.encode())


@pytest.mark.parametrize("name", ["held", "frozen"])
def test_the_database_destroys_nothing_that_is_held_or_frozen(archive: Archive, name: str) -> None:
    """Whatever the program thinks."""
    with archive.session(ALICE) as session, pytest.raises(NOT_POSSIBLE, match=r"hold|frozen"):
        session.execute("UPDATE tenants SET state = 'destroying' WHERE name = %s", [name])


def test_an_approval_is_its_sessions_user(archive: Archive) -> None:
    """Whoever sets another role is still who he logged in as; nobody says yes twice."""
    (proposal,) = archive.office.decisions.proposals()
    with archive.session(ALICE) as session, pytest.raises(psycopg.errors.UniqueViolation):
        session.execute("INSERT INTO approvals (digest) VALUES (%s)", [proposal.digest])
    with archive.session(BOB) as session:
        session.execute("INSERT INTO approvals (digest) VALUES (%s)", [proposal.digest])
    people = [one.actor for one in archive.office.decisions.proposal(proposal.digest).approvals]
    assert people == [ALICE, BOB]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE freezes SET ended_because = NULL",
        "UPDATE holds SET ended_because = ''",
        "UPDATE proposals SET spent_at = NULL",
        "INSERT INTO holds (tenant_uid, case_reference, review_by) SELECT uid, '', now() FROM tenants",
        "INSERT INTO freezes (scope, reason) VALUES ('all', '')",
        "INSERT INTO acts (tenant_uid, act, region) SELECT uid, 'erase', region FROM tenants",
        "INSERT INTO proposals (digest, kind, content, expires_at) VALUES ('x', 'batch', '{}', now())",
        "INSERT INTO proposals (digest, kind, content, expires_at) VALUES (repeat('0', 16), 'other', '{}', now())",
    ],
)
def test_what_cannot_be_is_not_written(archive: Archive, statement: str) -> None:
    with archive.session(ALICE) as session, pytest.raises(psycopg.errors.IntegrityError):
        session.execute(statement.encode())
