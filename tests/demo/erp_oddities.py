"""The corners of the ERP: names that must be quoted, and whatever a dump and a restore have been known to lose."""

from typing import Final

from tests.demo.erp_columns import Column, Table, day, key, moment, one_of, ref, title, words
from tests.demo.erp_masters import EMPLOYEE

_LONGEST: Final = "x" * 63

TYPES: Final = (
    'CREATE DOMAIN "short list" AS integer[] CHECK (cardinality(VALUE) <= 5)',
    "CREATE TYPE odd_span AS RANGE (subtype = numeric)",
)

_ODD_NAMES: Final = Table(
    '"Ordre ""N°"" 7.select"',
    50,
    (
        Column('"select"', "integer PRIMARY KEY", lambda draw: draw.row),
        Column('" leading and trailing "', "text", lambda draw: words(draw.random, 0, 3)),
        Column('"100%"', "text", lambda draw: None if draw.row % 2 else ""),
        Column('"naïve \\ ☃"', "text", lambda draw: words(draw.random, 1, 2)),
        Column('"with ""quotes"" and.dots"', "text", lambda draw: "\\N" if draw.row % 3 else "\\."),
        Column(f'"{_LONGEST}"', "integer", lambda draw: draw.row),
    ),
)
_EXTREMES: Final = Table(
    "odd_extremes",
    3,
    (
        key(),
        one_of("n", "numeric", ("NaN", "-Infinity", "1" + "0" * 200 + ".0000001")),
        one_of("f", "double precision", ("-0", "NaN", "5e-324", "1.7976931348623157e308")),
        one_of("d", "date", ("infinity", "4713-01-01 BC", "5874897-12-31")),
        one_of("t", "timestamptz", ("-infinity", "294276-12-31 23:59:59.999999+00")),
        one_of("i", "interval", ("-1 mons +2 days -00:00:00.000001", "178000000 years")),
        one_of("b", "bytea", ("", "\\x00", "\\x5c4e0a00ff")),
        one_of("bits", "bit varying", ("", "1010001")),
        one_of("net", "inet", ("::ffff:1.2.3.4/64", "10.0.0.0/8")),
        one_of("ids", "uuid", ("00000000-0000-0000-0000-000000000000",)),
        one_of("j", "json", ('{"a": 1,   "a": 2}', '"\\u00e9"')),
        one_of("spans", "int4multirange", ("{}", "{[1,3),[5,)}")),
        one_of("r", "odd_span", ("empty", "(,3.5]")),
        one_of("few", '"short list"', ("{}", "{1,NULL,3}")),
        one_of("grid", "text[][]", ('{{a,"b c"},{NULL,"\\"\\\\"}}',)),
    ),
)
_IDENTITY: Final = Table(
    "odd_identity",
    30,
    (
        Column("id", "bigint GENERATED ALWAYS AS IDENTITY (START 500 INCREMENT 5) PRIMARY KEY", lambda draw: -draw.row),
        title(),
    ),
)
_BY_LIST: Final = Table(
    "odd_by_list",
    200,
    (one_of("place", "text NOT NULL", ("Liège", "Luik", "Lüttich", "elsewhere")), day("dated"), title()),
    ending=" PARTITION BY LIST (place)",
)
_BY_HASH: Final = Table(
    "odd_by_hash",
    200,
    (Column("id", "bigint PRIMARY KEY", lambda draw: draw.row), title()),
    ending=" PARTITION BY HASH (id)",
)
_CHILD: Final = Table(
    "odd_heir",
    20,
    (Column("id", "bigint", lambda draw: draw.row), title(), Column("inherited", "text", lambda draw: str(draw.row))),
)
_UNLOGGED: Final = Table("odd_cache", 20, (key(), moment()))
_GUARDED: Final = Table("odd_guarded", 20, (key(), ref("employee_id", EMPLOYEE), title("secret")))
_HEN: Final = Table("odd_hen", 10, (key(), Column("egg_id", "bigint NOT NULL", lambda draw: 11 - draw.row)))
_EGG: Final = Table("odd_egg", 10, (key(), Column("hen_id", "bigint NOT NULL", lambda draw: draw.row)))
_BOOKING: Final = Table(
    "odd_booking",
    40,
    (
        Column("room", "public.citext NOT NULL", lambda draw: f"Room {draw.row % 4}"),
        Column("during", "int4range NOT NULL", lambda draw: f"[{draw.row * 10},{draw.row * 10 + 9})"),
    ),
    after=("ALTER TABLE odd_booking ADD EXCLUDE USING gist (lower(room::text) WITH =, during WITH &&)",),
)

TABLES: Final = (
    _ODD_NAMES,
    _EXTREMES,
    _IDENTITY,
    _BY_LIST,
    _BY_HASH,
    _CHILD,
    _UNLOGGED,
    _GUARDED,
    _HEN,
    _EGG,
    _BOOKING,
)
EXTENSIONS: Final = ("btree_gist", "citext")

# Between the making of the tables and their loading.
PREPARE: Final = (
    "CREATE TABLE \"list: Liège\" PARTITION OF odd_by_list FOR VALUES IN ('Liège', 'Luik') PARTITION BY RANGE (dated)",
    'CREATE TABLE "list: Liège, all" PARTITION OF "list: Liège" DEFAULT',
    "CREATE TABLE odd_list_rest PARTITION OF odd_by_list DEFAULT",
    *(
        f"CREATE TABLE odd_hash_{part} PARTITION OF odd_by_hash FOR VALUES WITH (MODULUS 3, REMAINDER {part})"
        for part in range(3)
    ),
    "CREATE TABLE odd_ancestor (id bigint, name text)",
    "ALTER TABLE odd_heir INHERIT odd_ancestor",
    "ALTER TABLE odd_cache SET UNLOGGED",
    "CREATE TABLE odd_dropped_columns (gone_first text, id bigint, gone text, name text)",
    "ALTER TABLE odd_dropped_columns DROP COLUMN gone_first, DROP COLUMN gone, ADD COLUMN late text DEFAULT 'é'",
    "CREATE TABLE odd_no_columns ()",
    'CREATE TABLE "UPPER" (id bigint)',
)

FINISH: Final = (
    "INSERT INTO odd_dropped_columns SELECT n, 'row ' || n FROM generate_series(1, 25) n",
    "INSERT INTO odd_no_columns DEFAULT VALUES",
    "INSERT INTO odd_ancestor SELECT n, 'elder' FROM generate_series(1, 5) n",
    "ALTER TABLE odd_hen ADD FOREIGN KEY (egg_id) REFERENCES odd_egg DEFERRABLE INITIALLY DEFERRED",
    "ALTER TABLE odd_egg ADD FOREIGN KEY (hen_id) REFERENCES odd_hen NOT VALID",
    "ALTER TABLE odd_guarded ENABLE ROW LEVEL SECURITY",
    'CREATE POLICY "own rows" ON odd_guarded USING (employee_id % 2 = 0)',
    'CREATE FUNCTION "plus one"(n integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN n + 1',
    "CREATE INDEX ON odd_cache ((id % 7), changed_at)",
    "CREATE AGGREGATE odd_product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1')",
    "CREATE VIEW odd_summary AS SELECT odd_product(id) AS product FROM odd_heir",
    "CREATE RULE no_insert AS ON INSERT TO odd_summary DO INSTEAD NOTHING",
    "SELECT lo_from_bytea(77001, convert_to(repeat('a large object — ', 20000), 'UTF8'))",
)
