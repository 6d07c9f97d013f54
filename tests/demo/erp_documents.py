"""The ERP's documents: fourteen kinds, each with its lines, events, notes and attributes, of seven fields of work.

An event table is partitioned by year. A kind may follow another: an invoice names its delivery, a delivery its order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.demo.erp_columns import (
    Table,
    amount,
    day,
    detail,
    flag,
    key,
    moment,
    number,
    one_of,
    prose,
    quantity,
    ref,
    title,
)
from tests.demo.erp_masters import ACCOUNT, BIN, COMPANY, COST_CENTRE, CURRENCY, EMPLOYEE, ITEM, PARTNER, PROJECT, TAX

STATUSES: Final = ("draft", "approved", "sent", "done", "cancelled")
_HEADERS: Final = 150


@dataclass(frozen=True)
class Kind:
    """A kind of document; `follows` is the field and name of the kind that it comes out of."""

    field: str
    name: str
    follows: str | None = None


KINDS: Final = (
    Kind("sales", "quotation"),
    Kind("sales", "order", "sales.quotation"),
    Kind("stock", "delivery", "sales.order"),
    Kind("finance", "invoice", "stock.delivery"),
    Kind("purchasing", "request"),
    Kind("purchasing", "order", "purchasing.request"),
    Kind("stock", "receipt", "purchasing.order"),
    Kind("finance", "bill", "stock.receipt"),
    Kind("production", "job", "sales.order"),
    Kind("stock", "transfer"),
    Kind("service", "ticket"),
    Kind("people", "timesheet"),
    Kind("people", "claim"),
    Kind("finance", "journal"),
)
FIELDS: Final = tuple(dict.fromkeys(kind.field for kind in KINDS))


def types() -> Iterator[str]:
    """An enum for each field."""
    options = ", ".join(f"'{status}'" for status in STATUSES)
    for field in FIELDS:
        yield f"CREATE TYPE {field}_status AS ENUM ({options})"


def tables() -> Iterator[Table]:
    """The tables of all kinds, each after those that it refers to."""
    headers: dict[str, Table] = {}
    for kind in KINDS:
        header = _header(kind, headers)
        headers[f"{kind.field}.{kind.name}"] = header
        yield header
        yield _lines(kind, header)
        yield from _events(kind, header)
        yield _notes(kind, header)
        yield _attributes(kind, header)


def finish() -> Iterator[str]:
    """Views over all of it, and a function behind a trigger."""
    yield (
        "CREATE FUNCTION base_touch() RETURNS trigger LANGUAGE plpgsql AS "
        "$touch$ BEGIN NEW.changed_at := statement_timestamp(); RETURN NEW; END $touch$"
    )
    totals = []
    for kind in KINDS:
        name = _name(kind)
        yield f"CREATE TRIGGER touch BEFORE UPDATE ON {name} FOR EACH ROW EXECUTE FUNCTION base_touch()"
        yield (
            f"CREATE VIEW {kind.field}_open_{kind.name} AS SELECT h.*, count(l.id) AS lines, sum(l.value) AS worth"
            f" FROM {name} h LEFT JOIN {_name(kind, '_line')} l ON l.document_id = h.id"
            " WHERE h.status NOT IN ('done', 'cancelled') GROUP BY h.id"
        )
        totals.append(
            f"SELECT '{kind.field}.{kind.name}' AS kind, count(*), sum(worth) FROM {kind.field}_open_{kind.name}"
        )
    yield f"CREATE MATERIALIZED VIEW base_dashboard AS {' UNION ALL '.join(totals)}"
    yield "CREATE UNIQUE INDEX ON base_dashboard (kind)"


def _header(kind: Kind, headers: dict[str, Table]) -> Table:
    before = (ref("follows_id", headers[kind.follows], needed=False),) if kind.follows else ()
    return Table(
        _name(kind),
        _HEADERS,
        (
            key(),
            number(kind.name[:3].upper()),
            one_of("status", f"{kind.field}_status NOT NULL DEFAULT 'draft'", STATUSES),
            *before,
            ref("company_id", COMPANY),
            ref("partner_id", PARTNER),
            ref("currency_id", CURRENCY),
            ref("responsible_id", EMPLOYEE, needed=False),
            ref("project_id", PROJECT, needed=False),
            day("dated"),
            title("subject"),
            moment(),
        ),
        after=(f"CREATE INDEX ON {_name(kind)} (partner_id, dated DESC NULLS LAST) INCLUDE (status)",),
    )


def _lines(kind: Kind, header: Table) -> Table:
    name = _name(kind, "_line")
    return Table(
        name,
        _HEADERS * 4,
        (
            key(),
            ref("document_id", header),
            ref("item_id", ITEM),
            ref("tax_id", TAX, needed=False),
            ref("account_id", ACCOUNT, needed=False),
            ref("cost_centre_id", COST_CENTRE, needed=False),
            ref("bin_id", BIN, needed=False),
            quantity(),
            amount("price"),
        ),
        computed=("value numeric GENERATED ALWAYS AS (round(quantity * price, 2)) STORED",),
        constraints=("CHECK (quantity > 0)",),
        after=(f"CREATE INDEX ON {name} (document_id)",),
    )


def _events(kind: Kind, header: Table) -> Iterator[Table]:
    name = _name(kind, "_event")
    yield Table(
        name,
        _HEADERS * 3,
        (
            ref("document_id", header),
            one_of("became", f"{kind.field}_status NOT NULL", STATUSES),
            ref("employee_id", EMPLOYEE, needed=False),
            day("dated"),
            title("reason"),
        ),
        ending=" PARTITION BY RANGE (dated)",
        after=(f"CREATE INDEX ON {name} (document_id, dated)",),
    )


def partitions() -> Iterator[str]:
    """The partitions of all events: two years with their own bounds, and one for the rest."""
    for kind in KINDS:
        name = _name(kind, "_event")
        for year in (2024, 2025):
            bounds = f"FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
            yield f"CREATE TABLE {name}_{year} PARTITION OF {name} FOR VALUES {bounds}"
        yield f"CREATE TABLE {name}_rest PARTITION OF {name} DEFAULT"


def _notes(kind: Kind, header: Table) -> Table:
    return Table(
        _name(kind, "_note"),
        80,
        (key(), ref("document_id", header), ref("employee_id", EMPLOYEE), prose("note", 5, 80), moment("written_at")),
    )


def _attributes(kind: Kind, header: Table) -> Table:
    name = _name(kind, "_attribute")
    return Table(
        name,
        100,
        (key(), ref("document_id", header), detail(), flag("shown")),
        after=(f"CREATE INDEX ON {name} USING gin (details)",),
    )


def _name(kind: Kind, ending: str = "") -> str:
    return f"{kind.field}_{kind.name}{ending}"
