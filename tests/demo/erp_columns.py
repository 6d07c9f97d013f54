"""Columns and tables whose content is drawn from a seed: the small language that the ERP is written in.

Promises: the same seed gives the same rows, on every machine; a table refers only to rows that exist.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final

Value = str | int | float | Decimal | date | datetime | bool | None
Row = tuple[Value, ...]

FIRST_DAY: Final = date(2024, 1, 1)
DAYS: Final = 1000
# What real texts hold: other scripts, combining marks, emoji, and everything that a careless dump would not survive.
_SAID: Final = """
order delivery invoice urgent pallet Stück Größe naïve façade łódź Ελλάδα Київ 東京 발주 مرحبا שלום ñandú Ångström œuvre
½ €12,50 100% O'Brien "quoted" back\\slash \\N \\. {brace} semi;colon --comment /*note*/ $1 $$ %s 🚚 👩‍🔧 e\u0301
NULL null true 0 -1 1e309 <b>&amp;</b> ,comma|pipe
"""
WORDS: Final = (*_SAID.split(), "tab\there", "line\nbreak", "carriage\rreturn", " ", "")


@dataclass(frozen=True)
class Draw:
    """What a value is drawn from: the table's own random numbers, and the row's number from 1."""

    random: Random
    row: int


@dataclass(frozen=True)
class Column:
    """A column: its name, quoted where needed, its type with what constrains it, and how its values are drawn."""

    name: str
    sql: str
    value: Callable[[Draw], Value]


@dataclass(frozen=True)
class Table:
    """A table with its rows.

    `name` is quoted and has its schema; `ending` is what follows the closing parenthesis, such as a partitioning;
    `computed` columns have no values to load; `after` is done once all tables are loaded.
    """

    name: str
    rows: int
    columns: Sequence[Column]
    constraints: Sequence[str] = ()
    computed: Sequence[str] = ()
    ending: str = ""
    after: Sequence[str] = ()

    def create(self) -> str:
        """The statement that makes the table, still without its indexes."""
        parts = [f"{column.name} {column.sql}" for column in self.columns]
        return f"CREATE TABLE {self.name} ({', '.join([*parts, *self.computed, *self.constraints])}){self.ending}"

    def content(self, seed: int) -> Iterator[Row]:
        """The rows, each with a value for each of `columns`; the same ones for the same seed."""
        random = Random(f"{seed}/{self.name}")
        for number in range(1, self.rows + 1):
            draw = Draw(random, number)
            yield tuple(column.value(draw) for column in self.columns)


def key() -> Column:
    """The primary key: the row's number."""
    return Column("id", "bigint PRIMARY KEY", lambda draw: draw.row)


def number(prefix: str) -> Column:
    """A document's or master's number, unique and readable."""
    return Column("number", "text NOT NULL UNIQUE", lambda draw: f"{prefix}-{draw.row:06d}")


def ref(name: str, target: Table, *, needed: bool = True) -> Column:
    """A foreign key to `target`, empty in one row of eight unless it is needed."""

    def value(draw: Draw) -> Value:
        if not needed and draw.random.random() < 0.125:
            return None
        return draw.random.randint(1, target.rows)

    return Column(name, f"bigint {'NOT NULL ' if needed else ''}REFERENCES {target.name}", value)


def parent(name: str, own_table: str) -> Column:
    """A foreign key to an earlier row of the same table: a tree."""

    def value(draw: Draw) -> Value:
        return draw.random.randint(1, draw.row - 1) if draw.row > 3 else None

    return Column(name, f"bigint REFERENCES {own_table}", value)


def title(name: str = "name") -> Column:
    """A few words."""
    return Column(name, "text NOT NULL", lambda draw: words(draw.random, 1, 4))


def prose(name: str, shortest: int, longest: int) -> Column:
    """A text of so many words; one in forty is some hundred times as long, and is stored out of line."""

    def value(draw: Draw) -> Value:
        times = 100 if draw.row % 40 == 0 else 1
        return words(draw.random, shortest * times, longest * times)

    return Column(name, "text", value)


def amount(name: str) -> Column:
    """An amount of money of either sign."""
    return Column(name, "base_amount NOT NULL", lambda draw: Decimal(draw.random.randint(-500_000, 9_999_999)) / 100)


def quantity(name: str = "quantity") -> Column:
    """A quantity above zero, with three decimals."""
    return Column(name, "numeric(12,3) NOT NULL", lambda draw: Decimal(draw.random.randint(1, 999_999)) / 1000)


def day(name: str, constraint: str = "NOT NULL") -> Column:
    """A day within the thousand days that the ERP has been used."""
    return Column(name, f"date {constraint}", lambda draw: FIRST_DAY + timedelta(days=draw.random.randrange(DAYS)))


def moment(name: str = "changed_at") -> Column:
    """A moment, to the microsecond."""
    start = datetime.combine(FIRST_DAY, datetime.min.time(), UTC)
    return Column(
        name,
        "timestamptz NOT NULL",
        lambda draw: start + timedelta(microseconds=draw.random.randrange(DAYS * 86_400_000_000)),
    )


def flag(name: str) -> Column:
    """Yes or no."""
    return Column(name, "boolean NOT NULL", lambda draw: draw.random.random() < 0.5)


def one_of(name: str, sql: str, options: Sequence[Value]) -> Column:
    """One of a few values, such as those of an enum."""
    return Column(name, sql, lambda draw: draw.random.choice(options))


def detail(name: str = "details") -> Column:
    """A nested JSON document."""

    def value(draw: Draw) -> Value:
        random = draw.random
        content = {
            words(random, 1, 1): words(random, 0, 6),
            "tags": [words(random, 1, 1) for _ in range(random.randrange(4))],
            "nested": {"number": random.randrange(10**12), "ratio": random.random(), "none": None, "": [[], {}]},
        }
        return json.dumps(content, ensure_ascii=random.random() < 0.5)

    return Column(name, "jsonb NOT NULL", value)


def words(random: Random, fewest: int, most: int) -> str:
    """So many words of `WORDS`."""
    return " ".join(random.choices(WORDS, k=random.randint(fewest, most)))
