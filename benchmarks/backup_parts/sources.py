"""The databases that are backed up: one big, one small as an ERP with hardly any rows is, and many small ones.

Promises: the same content on every machine and in every run; made in seconds, by the instance itself. The big one's
rows are numbers, times, identifiers and words, so that zstd has as much work with them as with a real customer's.
"""

from collections.abc import Iterator
from typing import Final

import psycopg
from psycopg import sql

BIG_RAW_BYTES_MIN: Final = 750_000_000
SMALL_TABLES: Final = 400
_FILLED_EVERY, _FILLED_ROWS = 40, 3_000  # labels and translations come with an ERP, before its first customer
_POOL_ROWS: Final = 100_000
_BIG: Final = {"event": 23, "line": 12, "document": 5, "message": 3}  # table → how many times the pool's rows
_WORDS: Final = (
    "the customer pays late order of blue parts by sea freight arrived damaged please call back tomorrow Müller GmbH"
    " warehouse 12 40 7000 net invoice disputed again agreed with sales discount none"
)
_POOL: Final = f"""
    CREATE TABLE pool AS
    WITH words AS (SELECT string_to_array('{_WORDS}', ' ') AS w)
    SELECT n, md5(n::text)::uuid AS reference, md5((n * 7)::text) AS code,
        timestamptz '2020-01-01' + (hashint8(n) & 268435455) * interval '1 second' AS at,
        ((hashint8(n + 1) & 16777215) / 100.0)::numeric(12, 2) AS amount,
        (hashint8(n + 2) & 16777215) / 977.0::float8 AS weight,
        (ARRAY['invoice', 'payment', 'reminder', 'contact', 'delivery note', 'credit note'])[1 + n % 6] AS kind,
        (SELECT string_agg(w[1 + ((hashint8(n * 100 + k) & 1023) % array_length(w, 1))], ' ')
         FROM words, generate_series(1, 4 + n % 9) AS k) AS note
    FROM generate_series(1, {_POOL_ROWS}) AS n
"""
_COLUMNS: Final = (
    "id bigint, at timestamptz, kind text, amount numeric(12, 2), reference uuid, note text, paid boolean,"
    " parent int, weight float8, code text"
)
_ROWS: Final = """
    INSERT INTO {table} SELECT n + {times} * 100000, at + {times} * interval '1 hour', kind, amount + {times},
        reference, note, n % 3 = 0, (n * {times}) % 50000, weight + {times}, left(code, 4 + (n + {times}) % 20)
    FROM pool
"""


def fill_big(session: psycopg.Connection) -> None:
    """Four tables, together more than `BIG_RAW_BYTES_MIN` in a dump."""
    session.execute(_POOL.encode())
    for table, times in _BIG.items():
        session.execute(f"CREATE TABLE {table} ({_COLUMNS})".encode())
        for time in range(1, times + 1):
            session.execute(_ROWS.format(table=table, times=time).encode())
    for table in _BIG:
        session.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)".encode())
    session.execute("DROP TABLE pool")
    session.execute("VACUUM ANALYZE")


def fill_small(session: psycopg.Connection) -> None:
    """An ERP as it is installed, without a customer's rows: what takes long is its catalogue."""
    with session.transaction():
        for statement in _small():
            session.execute(statement.encode())
    session.execute("VACUUM ANALYZE")


def _small() -> Iterator[str]:
    for number in range(SMALL_TABLES):
        table = f"{_AREAS[number % len(_AREAS)]}_{_THINGS[number // len(_AREAS) % len(_THINGS)]}_{number}"
        columns = [f"{name}_{number % 7} {kind}" for name, kind in _FIELDS[: 10 + number % 9]]
        yield (
            f"CREATE TABLE {table} (id serial PRIMARY KEY, name varchar NOT NULL, company_id int,"
            f" create_date timestamp DEFAULT now(), active boolean DEFAULT true, {', '.join(columns)})"
        )
        yield f"COMMENT ON TABLE {table} IS '{table.replace('_', ' ').capitalize()}'"
        for name, _ in _FIELDS[: 10 + number % 9]:
            yield f"COMMENT ON COLUMN {table}.{name}_{number % 7} IS '{name.replace('_', ' ').capitalize()}'"
        yield f"CREATE INDEX ON {table} (company_id)"
        if number % 3:
            yield f"CREATE INDEX ON {table} (name, create_date) WHERE active"
        if number:
            yield f"ALTER TABLE {table} ADD FOREIGN KEY (company_id) REFERENCES {_first_table()} ON DELETE SET NULL"
        rows = _FILLED_ROWS if number % _FILLED_EVERY == 0 else number % 5
        yield (
            f"INSERT INTO {table} (name, reference_{number % 7}, note_{number % 7})"
            f" SELECT 'Row ' || n, md5('{number} ' || n), 'Translation of the label ' || n || ' in module ' || n % 40"
            f" FROM generate_series(1, {rows}) AS n"
        )


def _first_table() -> str:
    return f"{_AREAS[0]}_{_THINGS[0]}_0"


_AREAS: Final = (
    "res",
    "account",
    "stock",
    "sale",
    "purchase",
    "hr",
    "mrp",
    "project",
    "crm",
    "website",
    "mail",
    "base",
)
_THINGS: Final = ("partner", "move", "line", "order", "template", "rule", "tag", "stage", "attachment", "setting")
_FIELDS: Final = (
    *(("reference", "varchar"), ("sequence", "int"), ("state", "varchar DEFAULT 'draft'"), ("note", "text")),
    *(("partner_id", "int"), ("currency_id", "int"), ("amount_untaxed", "numeric"), ("amount_total", "numeric")),
    *(("date_due", "date"), ("write_uid", "int"), ("create_uid", "int"), ("write_date", "timestamp")),
    *(("message_main_attachment_id", "int"), ("access_token", "varchar"), ("color", "int"), ("origin", "varchar")),
    *(("priority", "varchar"), ("is_locked", "boolean"), ("display_type", "varchar")),
)


def copy_database(session: psycopg.Connection, source: str, target: str, marker: str) -> None:
    """Make another tenant's database from one that nobody uses; the session is the bootstrap superuser's."""
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY OWNER cloudsqlsuperuser")
    session.execute(statement.format(sql.Identifier(target), sql.Identifier(source)))
    session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(target), sql.Literal(marker)))
