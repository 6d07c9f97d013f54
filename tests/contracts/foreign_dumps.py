"""Dumps as customers bring them: of a cluster with roles and superusers of its own, made by the real programs."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from tenantctl.localcloud.template import ADMIN_ROLE
from tenantctl.pgbin import find_programs
from tests.contracts.postgres import TEMPLATE, PostgresCluster, postgres_cluster

DATABASE = "shop"
ROLES = """
    CREATE ROLE "Big Boss" LOGIN; CREATE ROLE clerk LOGIN; CREATE ROLE readers; GRANT readers TO clerk;
"""
SHOP = """
    CREATE EXTENSION citext;
    CREATE SCHEMA "Odd One";
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE TYPE colour AS ENUM ('red', 'blue;');
    CREATE TABLE customers (id serial PRIMARY KEY, name citext NOT NULL, note text, photo bytea, made timestamptz);
    INSERT INTO customers (name, note, photo, made)
        SELECT 'Zoë ' || n, E'tab\\t; \\\\. line\\nand ''quotes'' $$ ' || n, decode(md5(n::text), 'hex'), '2026-01-01'
        FROM generate_series(1, 3000) n;
    CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY, customer int REFERENCES customers, amount numeric,
        tint colour, many positive[], twice numeric GENERATED ALWAYS AS (amount * 2) STORED, day date NOT NULL)
        PARTITION BY RANGE (day);
    CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
    CREATE TABLE orders_2 PARTITION OF orders DEFAULT;
    INSERT INTO orders (customer, amount, tint, many, day)
        SELECT 1 + n % 3000, n / 7.0, 'blue;', ARRAY[1, n], date '2026-01-01' + n % 360 FROM generate_series(1, 5000) n;
    CREATE TABLE "Odd One"."quoted ""name""; x" ("a\\b" text, "select" int);
    INSERT INTO "Odd One"."quoted ""name""; x" VALUES (NULL, 1), ('\\.', 2), ('', 3);
    CREATE TABLE empty (id int);
    CREATE SCHEMA "Höhe"; CREATE TABLE "Höhe"."Größe" (ä int); INSERT INTO "Höhe"."Größe" VALUES (1);
    CREATE INDEX ON customers (lower(note));
    CREATE FUNCTION body(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC
        SELECT CASE WHEN a > 1 THEN 1 ELSE 2 END; SELECT a; END;
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $_$ BEGIN
        NEW.note := 'x; $1'; RETURN NEW; END $_$;
    CREATE TRIGGER noting BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION note();
    CREATE RULE nothing AS ON DELETE TO empty DO INSTEAD (INSERT INTO empty VALUES (1); INSERT INTO empty VALUES (2));
    CREATE VIEW dear AS SELECT * FROM orders WHERE amount > 100;
    CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS orders FROM orders;
    COMMENT ON TABLE customers IS 'kept; always';
    SELECT lo_from_bytea(4711, 'a large object');
"""
OWNED = """
    GRANT ALL ON SCHEMA public TO "Big Boss"; SET ROLE "Big Boss";
    CREATE TABLE private (id int, of name DEFAULT current_user); INSERT INTO private VALUES (1), (2);
    ALTER TABLE private ENABLE ROW LEVEL SECURITY;
    CREATE POLICY bosses ON private TO "Big Boss" USING (true);
    CREATE POLICY clerks ON private TO clerk USING (id = 1);
    GRANT SELECT ON private TO clerk; GRANT SELECT ON private TO PUBLIC; RESET ROLE;
    ALTER DEFAULT PRIVILEGES FOR ROLE "Big Boss" GRANT SELECT ON TABLES TO readers;
    CREATE FUNCTION c_language() RETURNS int LANGUAGE c AS '$libdir/citext', 'citext_hash';
    CREATE FUNCTION watched() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION watched();
    CREATE PUBLICATION everything FOR ALL TABLES;
"""


@dataclass(frozen=True)
class Abroad:
    """A customer's own cluster."""

    cluster: PostgresCluster

    def dump(self, *options: str, program: str = "pg_dump") -> bytes:
        """What one of the real programs writes."""
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PGHOST": str(self.cluster.cluster.setup.sockets),
            "PGPORT": str(self.cluster.cluster.port),
            "PGUSER": ADMIN_ROLE,
        }
        command = [str(find_programs().path(program)), *options, *([DATABASE] if program == "pg_dump" else [])]
        return subprocess.run(command, env=environment, capture_output=True, check=True).stdout


@contextlib.contextmanager
def abroad() -> Iterator[Abroad]:
    """A cluster with a shop's database, for as long as the block."""
    with postgres_cluster() as cluster:
        with cluster.superuser() as session:
            session.execute(f"DROP DATABASE {TEMPLATE}".encode())
            session.execute(ROLES)
            session.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0".encode())
        with cluster.superuser(DATABASE) as session:
            session.execute(SHOP)
            session.execute(OWNED)
        yield Abroad(cluster)
