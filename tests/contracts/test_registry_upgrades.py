"""The schema moves on while workers work, with its data, and nobody works on a schema that they do not know."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import Engine, text

from tenantctl.adapters.postgres.migrations import current, head, pending, upgrade, works_with
from tenantctl.adapters.postgres.migrations.foundation import lay
from tenantctl.adapters.postgres.registry import PostgresRegistry
from tenantctl.adapters.postgres.registry_engine import answering, registry_engine
from tenantctl.adapters.postgres.registry_schema import (
    SchemaSeen,
    known_revision,
    look_at_schema,
    misfit,
    refuse_unknown_schema,
)
from tenantctl.adapters.retry import Patience
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.journal import broken_links
from tests.contracts.postgres import ALICE, MIGRATOR, TEMPLATE, PostgresCluster, postgres_cluster

REVISIONS = [one.revision for one in pending(None)]
IMPATIENT = Patience(seconds=0.0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    with postgres_cluster(members=[ALICE]) as running:
        yield running


@pytest.fixture
def place(cluster: PostgresCluster) -> Iterator["Place"]:
    place = Place(cluster)
    yield place
    place.close()


class Place:
    """Databases of one test, and engines on them."""

    def __init__(self, cluster: PostgresCluster) -> None:
        self.cluster = cluster
        self._engines: list[Engine] = []
        self._databases: list[str] = []

    def database(self, name: str, *, template: str = "template1") -> str:
        self.cluster.create_database(name, template=template)
        self._databases.append(name)
        return name

    def engine(self, login: str, database: str, *, checked: bool = False) -> Engine:
        engine = registry_engine(lambda: self.cluster.connect(login, database))
        if checked:
            refuse_unknown_schema(engine)
        self._engines.append(engine)
        return engine

    def at(self, revision: str) -> Engine:
        """A registry that was laid up to a revision, as its migrator."""
        engine = self.engine(MIGRATOR, self.database(f"at_{revision}"))
        upgrade(engine, to=revision)
        return engine

    def set_as(self, engine: Engine, revision: str, comment: str | None) -> None:
        """A registry that says of itself what another program's migrations would have it say."""
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL ROLE registry_owner"))
            connection.execute(text("UPDATE registry.alembic_version SET version_num = :it"), {"it": revision})
            said = "NULL" if comment is None else f"'{comment}'"
            connection.exec_driver_sql(f"COMMENT ON TABLE registry.alembic_version IS {said}")

    def close(self) -> None:
        for engine in self._engines:
            engine.dispose()
        with self.cluster.superuser() as session:
            for name in self._databases:
                session.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


TENANT = """
INSERT INTO instances (name, region, role, databases_max) VALUES ('a', 'r1', 'tenants', 50) ON CONFLICT DO NOTHING;
INSERT INTO tenants (uid, name, state, wanted, intent_id, intent_effective_at, time_zone, region, instance, generation,
    connection_limit, extensions, due_at)
VALUES ('UID', 'UID', 'active', 'living', 1, now(), 'UTC', 'r1', 'a', 1, 5, '{}', now());
INSERT INTO intents (tenant_uid, id, kind, cause, instructing_party, effective_at)
VALUES ('UID', 1, 'create', 'c', 'p', now());
INSERT INTO placements (tenant_uid, generation, explanation) VALUES ('UID', 1, '{"kept_in": "BE"}');
INSERT INTO backups (id, tenant_uid, slot, retention_class, state, begun_at, forced_row_security)
VALUES ('b-UID', 'UID', '1', 'daily', 'begun', now(), '{}');
INSERT INTO journal (tenant_uid, event, plan_digest, body) VALUES ('UID', 'requested', '', '{}');
"""


def add_tenant(engine: Engine, uid: str) -> None:
    """A tenant with all that the first revision already knew of one."""
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL ROLE registry_owner"))
        connection.execution_options(no_parameters=True).exec_driver_sql(TENANT.replace("UID", uid))


def test_every_revision_leads_to_the_newest_with_its_data(place: Place) -> None:
    """At each revision a tenant comes, and goes along with every later one: each is a transaction of its own."""
    chain = place.engine(MIGRATOR, place.database("chain"))
    for revision in REVISIONS:
        assert upgrade(chain, to=revision) == [revision]
        assert look_at_schema(chain) == SchemaSeen(revision, works_with(revision))
        add_tenant(chain, f"since{revision}")
    registry = PostgresRegistry(place.engine(ALICE, "chain", checked=True))
    uids = [f"since{one}" for one in REVISIONS]
    assert sorted(tenant.uid for tenant in registry.tenants()) == uids
    assert all(registry.tenant(uid).kept_in == "BE" for uid in uids if uid < "since0008")
    assert [list(broken_links(registry.entries(uid), registry.head(uid))) for uid in uids] == [[]] * len(uids)


# What the program of revision 0012 said; this one no longer works on that.
CLAIM_OF_0012 = text(
    "UPDATE registry.tenants SET lease_owner = 'worker', lease_epoch = lease_epoch + 1, lease_intent_id = intent_id,"
    " wake_at = NULL, lease_until = registry.tenantctl_now() + interval '5 minutes',"
    " due_at = registry.tenantctl_now() + interval '5 minutes'"
    " WHERE uid = (SELECT uid FROM registry.tenants WHERE uid = 'busy' AND due_duty = ''"
    " AND due_at <= registry.tenantctl_now() FOR UPDATE SKIP LOCKED)"
)
RENEW_OF_0012 = text(
    "UPDATE registry.tenants SET lease_until = registry.tenantctl_now() + interval '5 minutes',"
    " due_at = registry.tenantctl_now() + interval '5 minutes' WHERE uid = 'busy' AND lease_owner = 'worker'"
)
RELEASE_OF_0012 = text(
    "UPDATE registry.tenants SET due_at = registry.tenantctl_now(), due_duty = '', wake_at = NULL, lease_owner = NULL,"
    " lease_until = NULL, lease_intent_id = NULL WHERE uid = 'busy' AND lease_owner = 'worker'"
)


def test_a_worker_goes_on_while_the_schema_moves(place: Place) -> None:
    """One of the program of that time: it claims, renews and lets go all the time, as the tables of tenants change."""
    migrating = place.at("0012")
    add_tenant(migrating, "busy")
    engine = place.engine(ALICE, "at_0012")
    claims, trouble, moved = [0], [], threading.Event()

    def work() -> None:
        try:
            while not moved.is_set() or not claims[0]:
                for statement in CLAIM_OF_0012, RENEW_OF_0012, RELEASE_OF_0012:
                    with answering(), engine.begin() as connection:
                        assert connection.execute(statement).rowcount == 1
                claims[0] += 1
        except Exception as error:  # noqa: BLE001 - told to the test
            trouble.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        upgrade(migrating)
    finally:
        moved.set()
        worker.join()
    assert not trouble
    assert claims[0] >= 1
    assert current(migrating) == head()


def test_an_upgrade_does_not_stand_in_a_workers_way(place: Place) -> None:
    """Where a transaction has the table, the upgrade lets go and says so; nothing of it was done; later it goes."""
    migrating = place.at("0012")
    add_tenant(migrating, "busy")
    with place.cluster.connect(ALICE, "at_0012") as session:
        session.execute("UPDATE registry.tenants SET due_at = due_at")
        with pytest.raises(Transient, match="0013 found no moment"):
            upgrade(migrating, patience=IMPATIENT)
        assert current(migrating) == "0012"
        session.execute("UPDATE registry.tenants SET due_at = due_at")
    assert upgrade(migrating, to="0013", patience=IMPATIENT) == ["0013"]


WRITE = "UPDATE registry.backups SET size = coalesce(size, 0) + 1 WHERE tenant_uid = 'busy'"
ARE_WHOLE = "SELECT bool_and(indisvalid), count(*) FROM pg_index WHERE indrelid = 'registry.backups'::regclass"


def test_nobody_waits_for_an_index(place: Place) -> None:
    """It waits for whoever is writing, and others write meanwhile."""
    migrating = place.at("0016")
    add_tenant(migrating, "busy")
    add_tenant(migrating, "other")
    with place.cluster.connect(ALICE, "at_0016") as writing, ThreadPoolExecutor(1) as migrator:
        writing.execute(WRITE.encode())
        upgrading = migrator.submit(upgrade, migrating)
        wait_until_building(place, "at_0016")
        with place.cluster.connect(ALICE, "at_0016") as meanwhile:
            meanwhile.execute("SET lock_timeout = '1ms'")
            assert meanwhile.execute(WRITE.replace("busy", "other").encode()).rowcount == 1
        assert not upgrading.done()
        writing.commit()
        assert upgrading.result(60)[0] == "0017"


def test_an_index_that_was_left_half_built_is_built_again(place: Place) -> None:
    """A migrator that died leaves one that nothing uses, and that would stand in its own way."""
    migrating = place.at("0016")
    add_tenant(migrating, "busy")
    with place.cluster.connect(ALICE, "at_0016") as writing, place.cluster.superuser("at_0016") as dying:
        writing.execute(WRITE.encode())
        dying.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            dying.execute("CREATE INDEX CONCURRENTLY backups_begun ON registry.backups (tenant_uid)")
        assert dying.execute(ARE_WHOLE).fetchone() == (False, 4)
        writing.rollback()
        upgrade(migrating)
        assert dying.execute(ARE_WHOLE).fetchone() == (True, 6)


def test_of_two_migrators_each_revision_is_applied_by_one(place: Place) -> None:
    """Also where one of them is building an index, for which the other must not be waited."""
    migrating = [place.at("0014"), place.engine(MIGRATOR, "at_0014")]
    with ThreadPoolExecutor(2) as migrators:
        applied = [one for done in migrators.map(upgrade, migrating) for one in done]
    assert sorted(applied) == [one for one in REVISIONS if one > "0014"]


def wait_until_building(place: Place, database: str) -> None:
    """Waits until an index is being built there, and waits for somebody itself."""
    pause = threading.Event()
    with place.cluster.superuser(database) as session:
        question = "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%'"
        while session.execute(question).fetchone() == (0,):
            pause.wait(0.01)


def test_it_waits_for_less_long_than_a_worker_does(place: Place) -> None:
    """So whoever queues behind it gets its turn before it gives up."""
    engine = place.engine(MIGRATOR, place.database("waits"))
    question = text("SELECT extract(epoch FROM current_setting('lock_timeout')::interval)")
    with engine.connect() as connection:
        workers = connection.scalar(question)
        lay(connection)
        ours = connection.scalar(question)
        connection.rollback()
    assert 0 < ours < workers


def test_there_is_no_way_back_and_none_beyond(place: Place) -> None:
    """A revision that was passed, or that nobody knows, is refused before anything is locked."""
    engine = place.at("0002")
    with pytest.raises(Refused, match="no way back to 0001"):
        upgrade(engine, to="0001")
    with pytest.raises(NotFound, match="9999"):
        upgrade(engine, to="9999")
    place.set_as(engine, "9998", None)
    with pytest.raises(Refused, match="This program is older"):
        upgrade(engine)
    assert current(engine) == "9998"


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (SchemaSeen(known_revision()), None),
        (SchemaSeen("9999", known_revision()), None),
        (SchemaSeen("9999", "0001"), None),
        (SchemaSeen("9999", "9998"), "This program is older"),
        (SchemaSeen("9999"), "This program is older"),
        (SchemaSeen("0001"), "older than this program"),
        (SchemaSeen("0001", "0001"), "older than this program"),
        (SchemaSeen(None), "never laid"),
    ],
)
def test_who_fits(seen: SchemaSeen, says: str | None) -> None:
    """The same revision, and newer ones that say that they still work with this program."""
    refusal = misfit(seen, known_revision())
    assert (refusal is None) == (says is None)
    if refusal is not None and says is not None:
        assert says in refusal.sentence
        assert refusal.hint
        assert refusal.exit_code == 3


def test_a_worker_refuses_a_schema_that_it_does_not_know(place: Place) -> None:
    """Older and newer alike, by the connection that it makes; where the newer one says so, it works."""
    old = place.at("0012")
    with pytest.raises(Refused, match="is at 0012, and"):
        PostgresRegistry(place.engine(ALICE, "at_0012", checked=True)).tenants()
    empty = place.engine(ALICE, place.database("bare"), checked=True)
    with pytest.raises(Refused, match="not set up") as caught:
        PostgresRegistry(empty).tenants()
    assert "tenantctl db upgrade" in caught.value.hint
    upgrade(old)
    running = PostgresRegistry(place.engine(ALICE, "at_0012", checked=True))
    assert running.tenants() == []
    place.set_as(old, "9999", f'{{"works_with": "{known_revision()}"}}')
    assert PostgresRegistry(place.engine(ALICE, "at_0012", checked=True)).tenants() == []
    place.set_as(old, "9999", '{"works_with": "9999"}')
    with pytest.raises(Refused, match="works with programs that know 9999 or newer"):
        PostgresRegistry(place.engine(ALICE, "at_0012", checked=True)).tenants()
    assert running.tenants() == []  # what works goes on until its next new connection
    running.close()
    with pytest.raises(Refused, match="This program is older"):
        running.tenants()


def test_the_template_says_with_whom_it_works(cluster: PostgresCluster) -> None:
    """A registry that was laid by this program is one for this program."""
    engine = registry_engine(lambda: cluster.connect(ALICE, TEMPLATE))
    assert look_at_schema(engine) == SchemaSeen(known_revision(), works_with(head()))
    assert known_revision() == head()
    engine.dispose()
