"""Makes the local cloud that a benchmark of backups runs on, fills its databases, and removes it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg

from benchmarks.backup_parts.place import FLEET, REGIONS, SOURCE, TARGET, Place, bucket_of, hosting_of
from benchmarks.backup_parts.sources import copy_database, fill_big, fill_small
from tenantctl.adapters.google.credentials import local_credentials
from tenantctl.adapters.google.estate import BucketPlan, ensure_bucket
from tenantctl.adapters.google.vault import storage_client
from tenantctl.adapters.postgres.databases import PostgresDatabases
from tenantctl.localcloud.template import ADMIN_DATABASE, ADMIN_ROLE
from tenantctl.model.policy import Term
from tenantctl.model.tenant import new_uid
from tests.localcloud.clouds import OPERATOR, throw_away_cloud


@contextmanager
def benchmark_place(*, with_big: bool) -> Iterator[Place]:
    """Make it, fill the databases, and remove everything at the end of the block."""
    with throw_away_cloud({SOURCE: REGIONS[0], TARGET: REGIONS[0]}) as cloud:
        client = storage_client(cloud.project, local_credentials(OPERATOR), cloud.endpoints["storage"])
        for region in REGIONS:
            ensure_bucket(client, BucketPlan(bucket_of(region), region, Term(lock_days=2, age_days=3)))
        assert cloud.file.sockets is not None
        place = Place(
            project=cloud.project,
            sqladmin=cloud.endpoints["sqladmin"],
            storage=cloud.endpoints["storage"],
            sockets=cloud.file.sockets,
            folder=str(cloud.folder.path),
            big=new_uid(),
            small=new_uid(),
            fleet=tuple(new_uid() for _ in range(FLEET)),
        )
        with _careless(place):
            _fill(place, with_big=with_big)
        yield place


def _fill(place: Place, *, with_big: bool) -> None:
    with closing(place.sessions()) as sessions, closing(PostgresDatabases(sessions)) as databases:
        wanted = [(place.small, fill_small)] + ([(place.big, fill_big)] if with_big else [])
        for uid, fill in wanted:
            hosting = hosting_of(uid)
            databases.create_roles(hosting, connection_limit=5)
            databases.create_database(hosting)
            databases.prepare(hosting, extensions=())
            settings = {"max_parallel_workers_per_gather": "0", "role": hosting.owner}
            with closing(sessions.connect(SOURCE, hosting.database, settings=settings)) as session:
                fill(session)
        databases.close()  # a database that somebody is in cannot be copied
        small = hosting_of(place.small)
        with superuser(place.sockets, SOURCE) as session:
            for uid in place.fleet:
                hosting = hosting_of(uid)
                databases.create_roles(hosting, connection_limit=5)
                copy_database(session, small.database, hosting.database, hosting.marker)


@contextmanager
def _careless(place: Place) -> Iterator[None]:
    """The instance does not wait for its disk while it is filled, which each copy of a database would make it do."""
    with superuser(place.sockets, SOURCE) as session:
        session.execute("ALTER SYSTEM SET fsync = off")
        session.execute("SELECT pg_reload_conf()")
        yield
        session.execute("ALTER SYSTEM RESET fsync")
        session.execute("SELECT pg_reload_conf()")
        session.execute("CHECKPOINT")


@contextmanager
def superuser(sockets: str, instance: str) -> Iterator[psycopg.Connection]:
    """A session of the bootstrap superuser on the server's own socket, behind the cloud's back."""
    with closing(psycopg.connect(superuser_address(sockets, instance), autocommit=True)) as session:
        yield session


def superuser_address(sockets: str, instance: str, database: str = ADMIN_DATABASE) -> str:
    """Where the bootstrap superuser finds an instance's server: as libpq takes it.

    Raises:
        LookupError: no server of this name listens there.
    """
    for path in sorted(Path(sockets).glob(".s.PGSQL.*")):
        if path.suffix == ".lock":
            continue
        address = f"host={sockets} port={path.suffix[1:]} user={ADMIN_ROLE}"
        with closing(psycopg.connect(f"{address} dbname={ADMIN_DATABASE}", autocommit=True)) as session:
            if session.execute("SHOW cluster_name").fetchone() == (instance,):
                return f"{address} dbname={database}"
    raise LookupError(instance)
