"""An ERP's database, made from a seed: some 130 tables with data, and all that real schemas are full of.

Enums, domains, composite types, foreign keys (trees and circles among them), partitions of each kind, generated and
identity columns, views, sequences, functions, triggers, odd names, long texts, JSON, large objects.

Promises: the same seed gives the same database; it is made by an ordinary role, in a database that has `EXTENSIONS`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import psycopg

from tests.demo import erp_documents, erp_masters, erp_oddities
from tests.demo.erp_columns import Table

EXTENSIONS: Final = erp_oddities.EXTENSIONS


@dataclass(frozen=True)
class Erp:
    """A whole schema: statements before the loading, the tables to load in this order, statements after it."""

    seed: int
    before: tuple[str, ...]
    tables: tuple[Table, ...]
    after: tuple[str, ...]

    @property
    def rows(self) -> int:
        """How many rows are loaded."""
        return sum(table.rows for table in self.tables)


def generate(seed: int) -> Erp:
    """The ERP of this seed; the schema is the same for all, the content is not."""
    tables = (*erp_masters.MASTERS, *erp_documents.tables(), *erp_oddities.TABLES)
    return Erp(
        seed,
        before=(
            *erp_masters.TYPES,
            *erp_documents.types(),
            *erp_oddities.TYPES,
            *(table.create() for table in tables),
            *erp_documents.partitions(),
            *erp_oddities.PREPARE,
        ),
        tables=tables,
        after=tuple(_after(tables)),
    )


def load(session: psycopg.Connection, erp: Erp) -> None:
    """Makes and fills the schema in one transaction of the session."""
    with session.transaction():
        for statement in erp.before:
            session.execute(statement.encode())
        for table in erp.tables:
            columns = ", ".join(column.name for column in table.columns)
            with session.cursor().copy(f"COPY {table.name} ({columns}) FROM STDIN".encode()) as copy:
                for row in table.content(erp.seed):
                    copy.write_row(row)
        for statement in erp.after:
            session.execute(statement.encode())


def _after(tables: tuple[Table, ...]) -> Iterator[str]:
    for table in tables:
        yield from table.after
    yield from erp_masters.FINISH
    yield from erp_documents.finish()
    yield from erp_oddities.FINISH
