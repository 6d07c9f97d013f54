"""The ERP's master data: who is dealt with, what is dealt in, and the lists that all documents refer to."""

from typing import Final

from tests.demo.erp_columns import (
    Column,
    Table,
    amount,
    day,
    detail,
    flag,
    key,
    moment,
    number,
    one_of,
    parent,
    prose,
    quantity,
    ref,
    title,
)

TYPES: Final = (
    "CREATE DOMAIN base_amount AS numeric(14,2)",
    "CREATE DOMAIN base_percentage AS numeric(5,2) CHECK (VALUE BETWEEN 0 AND 100)",
    "CREATE DOMAIN base_email AS text CHECK (VALUE ~ '^[^@]+@[^@]+$')",
    "CREATE TYPE base_partner_kind AS ENUM ('customer', 'supplier', 'both', 'Prospect — kalt', 'it''s over')",
    "CREATE TYPE base_address AS (street text, postcode text, town text)",
    "CREATE SEQUENCE base_numbering START 1000 INCREMENT 7 CACHE 10",
    "CREATE SEQUENCE base_countdown START -1 INCREMENT -3 MINVALUE -1000 MAXVALUE -1 CYCLE",
)

_PERCENTAGE: Final = one_of("rate", "base_percentage NOT NULL", (0, 6, 9, 21, "5.50"))
_EMAIL: Final = Column("email", "base_email", lambda draw: f"person{draw.row}@example.com")
_HOME: Final = Column(
    "address",
    "base_address",
    lambda draw: f'("{draw.random.randint(1, 99)} rue d\'Été, ""bis""",{draw.random.randint(1000, 9999)},Liège)',
)
_PHONES: Final = Column(
    "phones", "text[] NOT NULL", lambda draw: f'{{"+32 4 {draw.random.randint(10**6, 10**7)}",NULL,"a, \\"b\\""}}'
)


def _list(name: str, rows: int, *columns: Column) -> Table:
    return Table(f"base_{name}", rows, (key(), number(name[:3].upper()), title(), *columns, moment()))


COUNTRY: Final = _list("country", 60, flag("member"))
CURRENCY: Final = _list("currency", 20, one_of("decimals", "smallint NOT NULL", (0, 2, 3)))
UNIT: Final = _list("unit", 30)
TAX: Final = _list("tax", 12, _PERCENTAGE, ref("country_id", COUNTRY))
PAYMENT_TERM: Final = _list("payment_term", 10, one_of("days", "integer NOT NULL CHECK (days >= 0)", (0, 14, 30, 60)))
DELIVERY_TERM: Final = _list("delivery_term", 10)
BANK: Final = _list("bank", 25, ref("country_id", COUNTRY))
ACCOUNT: Final = _list("account", 200, parent("parent_id", "base_account"), flag("summed"))
COST_CENTRE: Final = _list("cost_centre", 60, parent("parent_id", "base_cost_centre"))
COMPANY: Final = _list("company", 5, ref("country_id", COUNTRY), ref("currency_id", CURRENCY), _HOME)
SITE: Final = _list("site", 15, ref("company_id", COMPANY), _HOME)
DEPARTMENT: Final = _list("department", 40, ref("site_id", SITE), parent("parent_id", "base_department"))
EMPLOYEE: Final = _list(
    "employee", 250, ref("department_id", DEPARTMENT), parent("reports_to_id", "base_employee"), _EMAIL, _PHONES
)
SKILL: Final = _list("skill", 40)
PARTNER: Final = _list(
    "partner",
    500,
    one_of("kind", "base_partner_kind NOT NULL", ("customer", "supplier", "both", "Prospect — kalt", "it's over")),
    ref("country_id", COUNTRY),
    ref("payment_term_id", PAYMENT_TERM, needed=False),
    _HOME,
    detail(),
)
ITEM_GROUP: Final = _list("item_group", 50, parent("parent_id", "base_item_group"))
ITEM: Final = _list(
    "item", 800, ref("group_id", ITEM_GROUP), ref("unit_id", UNIT), ref("tax_id", TAX), amount("price"), detail()
)
WAREHOUSE: Final = _list("warehouse", 8, ref("site_id", SITE))
BIN: Final = _list("bin", 300, ref("warehouse_id", WAREHOUSE))
PROJECT: Final = _list("project", 40, ref("partner_id", PARTNER), ref("leader_id", EMPLOYEE, needed=False))

_RATE: Final = Table(
    "base_exchange_rate",
    2000,
    (
        key(),
        ref("currency_id", CURRENCY),
        day("valid_from"),
        Column("rate", "numeric NOT NULL", lambda draw: f"{draw.random.random():.18f}"),
        Column("exact", "double precision NOT NULL", lambda draw: draw.random.random() * 1e-300),
    ),
)
_EMPLOYEE_SKILL: Final = Table(
    "base_employee_skill",
    250,
    (
        Column("employee_id", f"bigint NOT NULL REFERENCES {EMPLOYEE.name}", lambda draw: draw.row),
        ref("skill_id", SKILL),
        one_of("level", "integer", (1, 2, 3, None)),
    ),
    constraints=("PRIMARY KEY (employee_id, skill_id)",),
)
_STOCK: Final = Table(
    "base_stock",
    800,
    (
        Column("item_id", f"bigint NOT NULL REFERENCES {ITEM.name}", lambda draw: draw.row),
        ref("bin_id", BIN),
        quantity("held"),
        quantity("reserved"),
    ),
    constraints=("PRIMARY KEY (item_id, bin_id)",),
    computed=("free numeric GENERATED ALWAYS AS (held - reserved) STORED",),
)
_PART: Final = Table("base_part", 1500, (key(), ref("whole_id", ITEM), ref("item_id", ITEM), quantity()))
_ITEM_TEXT: Final = Table(
    "base_item_text",
    400,
    (
        Column("item_id", f"bigint PRIMARY KEY REFERENCES {ITEM.name}", lambda draw: draw.row),
        one_of("language", "char(5) NOT NULL", ("nl", "fr", "de-AT", "el")),
        prose("description", 5, 60),
        Column(
            "picture",
            "bytea",
            lambda draw: "\\x" + draw.random.randbytes(draw.random.randrange(0, 2000)).hex(),
        ),
    ),
    after=(
        (
            "ALTER TABLE base_item_text ADD COLUMN found_by tsvector"
            " GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, coalesce(description, ''))) STORED"
        ),
        "CREATE INDEX ON base_item_text USING gin (found_by)",
    ),
)
_SETTING: Final = Table(
    "base_setting", 80, (Column("key", "text PRIMARY KEY", lambda draw: f"setting.{draw.row}"), detail("value"))
)
_CONTACT: Final = Table(
    "base_contact", 700, (key(), ref("partner_id", PARTNER), title(), _EMAIL, _PHONES, flag("main"))
)
_PARTNER_BANK: Final = Table(
    "base_partner_bank", 400, (key(), ref("partner_id", PARTNER), ref("bank_id", BANK), number("IBAN"))
)

MASTERS: Final = (
    COUNTRY,
    CURRENCY,
    UNIT,
    TAX,
    PAYMENT_TERM,
    DELIVERY_TERM,
    BANK,
    ACCOUNT,
    COST_CENTRE,
    COMPANY,
    SITE,
    DEPARTMENT,
    EMPLOYEE,
    SKILL,
    PARTNER,
    ITEM_GROUP,
    ITEM,
    WAREHOUSE,
    BIN,
    PROJECT,
    _RATE,
    _EMPLOYEE_SKILL,
    _STOCK,
    _PART,
    _ITEM_TEXT,
    _SETTING,
    _CONTACT,
    _PARTNER_BANK,
)

FINISH: Final = (
    "SELECT setval('base_numbering', 4242)",
    "SELECT nextval('base_countdown')",
    "CREATE INDEX ON base_partner (lower(name)) WHERE kind <> 'supplier'",
    "CREATE INDEX ON base_partner USING gin (details jsonb_path_ops)",
    "CREATE INDEX ON base_exchange_rate USING brin (valid_from)",
    "CREATE STATISTICS base_item_prices ON group_id, tax_id FROM base_item",
    "COMMENT ON TABLE base_partner IS 'Whom we deal with; \"both\" is what it says — ''quoted'' \\ and 🚚'",
    "COMMENT ON COLUMN base_partner.kind IS 'see base_partner_kind'",
)
