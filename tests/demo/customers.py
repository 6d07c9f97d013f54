"""The customers of the demo: they log in with their own passwords, from outside, through the Cloud SQL connector.

Nothing here knows the program: a customer has what `connect-info` and `rotate-password` printed, and no more.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self, cast

import psycopg
from google.cloud.sql.connector import Connector

from tests.demo.identity import Identity

_TABLES: Final = """
    SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1
"""
_PGBENCH: Final = (
    # The tables and rules of `pgbench -i -I dtGp`, at a scale of {scale}.
    "CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))",
    "CREATE TABLE pgbench_tellers (tid int NOT NULL, bid int, tbalance int, filler char(84)) WITH (fillfactor = 100)",
    "CREATE TABLE pgbench_accounts (aid int NOT NULL, bid int, abalance int, filler char(84)) WITH (fillfactor = 100)",
    "CREATE TABLE pgbench_branches (bid int NOT NULL, bbalance int, filler char(88)) WITH (fillfactor = 100)",
    "INSERT INTO pgbench_branches (bid, bbalance) SELECT n, 0 FROM generate_series(1, {scale}) n",
    (
        "INSERT INTO pgbench_tellers (tid, bid, tbalance)"
        " SELECT n, (n - 1) / 10 + 1, 0 FROM generate_series(1, {scale} * 10) n"
    ),
    (
        "INSERT INTO pgbench_accounts (aid, bid, abalance, filler)"
        " SELECT n, (n - 1) / 100000 + 1, 0, '' FROM generate_series(1, {scale} * 100000) n"
    ),
    "ALTER TABLE pgbench_branches ADD PRIMARY KEY (bid)",
    "ALTER TABLE pgbench_tellers ADD PRIMARY KEY (tid)",
    "ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid)",
)
_SHOP: Final = (
    "CREATE TYPE genre AS ENUM ('roman', 'poëzie', 'strip')",
    "CREATE TABLE book (isbn text PRIMARY KEY, title text NOT NULL, genre genre NOT NULL, price numeric(6,2))",
    (
        "CREATE TABLE sale (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, isbn text NOT NULL REFERENCES book,"
        " sold_at timestamptz NOT NULL, copies int NOT NULL CHECK (copies > 0))"
    ),
    (
        "INSERT INTO book SELECT '978-' || n, 'Boek ' || n || ' — één', (enum_range(NULL::genre))[n % 3 + 1],"
        " n % 50 + 0.95 FROM generate_series(1, 500) n"
    ),
    (
        "INSERT INTO sale (isbn, sold_at, copies) SELECT '978-' || (n * 7919 % 500 + 1),"
        " timestamptz '2026-01-01' + n * interval '1 hour', n % 3 + 1 FROM generate_series(1, 5000) n"
    ),
)


@dataclass(frozen=True)
class Login:
    """What a customer was told: the instance's connection name, database, user, and the password."""

    instance: str
    database: str
    user: str
    password: str


@dataclass(frozen=True)
class Content:
    """What a customer finds in its database: how many tables and rows, and a checksum over all of it."""

    tables: int
    rows: int
    checksum: str

    def __str__(self) -> str:
        return f"{self.tables} tables, {self.rows:,} rows, checksum {self.checksum[:12]}"


class Customers:
    """The programs of the customers; their sessions end with the block."""

    def __init__(self, sqladmin_endpoint: str) -> None:
        self._connector = Connector(
            credentials=Identity("a-customer@example.com"),
            sqladmin_api_endpoint=sqladmin_endpoint,
            refresh_strategy="lazy",
            timeout=30,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connector.close()

    def log_in(self, login: Login) -> psycopg.Connection[Any]:
        """A session of the customer's.

        Raises:
            psycopg.OperationalError: the server lets it not in.
        """
        session = self._connector.connect(
            login.instance, "psycopg", user=login.user, password=login.password, db=login.database, autocommit=True
        )
        return cast("psycopg.Connection[Any]", session)

    @contextlib.contextmanager
    def session(self, login: Login) -> Iterator[psycopg.Connection[Any]]:
        """A session for the length of a block."""
        with contextlib.closing(self.log_in(login)) as session:
            yield session

    def refusal(self, login: Login) -> str | None:
        """What the server says to one who wants to log in; None if it lets him in."""
        try:
            with self.session(login):
                return None
        except psycopg.OperationalError as error:
            return fatal_words(error)

    def content(self, login: Login) -> Content:
        """All that the customer finds in its database."""
        with self.session(login) as session:
            return content_of(session)


def fatal_words(error: psycopg.Error) -> str:
    """What the server itself said when it ended or refused a session.

    Raises:
        psycopg.Error: it was not the server that spoke, so nothing is known.
    """
    said = " ".join(str(error).split())
    if "FATAL:" not in said and "terminating connection" not in said:
        raise error
    return said.rpartition("FATAL:")[2].strip()


def content_of(session: psycopg.Connection[Any]) -> Content:
    """Counts and sums up every table, by the customer's own means; a large object counts as a row of one more table."""
    names = [name for (name,) in session.execute(_TABLES)]
    parts = [
        f"SELECT '{number}' AS place, count(*) AS rows,"
        f" md5(coalesce(string_agg(md5(t::text), '' ORDER BY md5(t::text)), '')) AS sum FROM ONLY {name} AS t"
        for number, name in enumerate(names)
    ]
    parts.append(
        "SELECT 'large', count(*), md5(coalesce(string_agg(md5(lo_get(oid)), '' ORDER BY oid), ''))"
        " FROM pg_largeobject_metadata"
    )
    found = session.execute(" UNION ALL ".join(parts).encode()).fetchall()
    rows = sum(count for _, count, _ in found)
    tables = len(names) + any(place == "large" and count for place, count, _ in found)
    row = session.execute("SELECT md5(%s)", ["".join(sorted(f"{place}{md5}" for place, _, md5 in found))]).fetchone()
    assert row is not None, "md5 gives a row"
    return Content(tables, rows, str(row[0]))


def load_pgbench(session: psycopg.Connection[Any], scale: int) -> None:
    """Makes and fills the tables of pgbench by its own rules."""
    with session.transaction():
        for statement in _PGBENCH:
            session.execute(statement.format(scale=scale).encode())


def trade(session: psycopg.Connection[Any], transactions: int) -> None:
    """Runs pgbench's transaction so often, each on rows of its own choice."""
    for number in range(1, transactions + 1):
        account, delta = number * 7919 % 100_000 + 1, number % 5000 - 2500
        with session.transaction():
            session.execute("UPDATE pgbench_accounts SET abalance = abalance + %s WHERE aid = %s", [delta, account])
            session.execute("UPDATE pgbench_tellers SET tbalance = tbalance + %s WHERE tid = 1", [delta])
            session.execute("UPDATE pgbench_branches SET bbalance = bbalance + %s WHERE bid = 1", [delta])
            session.execute(
                "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, %s, %s, CURRENT_TIMESTAMP)",
                [account, delta],
            )


def load_shop(session: psycopg.Connection[Any]) -> None:
    """Makes and fills a small shop."""
    with session.transaction():
        for statement in _SHOP:
            session.execute(statement.encode())
