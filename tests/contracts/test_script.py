"""A plain dump is taken apart as psql would, wherever its pieces are torn."""

import pytest

from tenantctl.adapters.postgres.script import MetaCommand, Rows, Script, Statement
from tenantctl.model.errors import Refused

DUMP = rb"""--
-- PostgreSQL database dump
--

\restrict abc

-- Dumped from database version 16.3 (Debian 16.3-1)
-- Dumped by pg_dump version 17.1

SET a = on;
CREATE FUNCTION f(a text) RETURNS text LANGUAGE sql AS $_$ select ';' || $1 -- x
; $_$;
CREATE FUNCTION g() RETURNS int LANGUAGE sql
 BEGIN ATOMIC
 SELECT CASE WHEN true THEN 1 ELSE 2 END;
 SELECT 2;
END;
INSERT INTO t VALUES (1, 'it''s; ', E'a\'b;', '
multi;'), (2, e'x''y\\');
CREATE RULE r AS ON INSERT TO t DO ( SELECT 1; SELECT 2; );
/* c ; /* nested ' */ */ COMMENT ON TABLE "we;ird" IS 'x';
COPY public.t (a, b) FROM stdin;
1	a;'
-- 2	\N
\.


CREATE TABLE foo$1$x (a int);
\connect "other"
-- PostgreSQL database dump complete
--

\unrestrict abc
"""
BEGINNINGS = [
    b"SET a = on;",
    b"CREATE FUNCTION f(",
    b"CREATE FUNCTION g(",
    b"INSERT INTO t",
    b"CREATE RULE r",
    b"COMMENT ON TABLE \"we;ird\" IS 'x';",
    b"COPY public.t (a, b) FROM stdin;",
    b"CREATE TABLE foo$1$x (a int);",
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_statements_rows_and_commands(size: int) -> None:
    """Quotes of every kind, bodies, rules and comments have semicolons that end nothing."""
    script = Script(DUMP[start : start + size] for start in range(0, len(DUMP), size))
    parts = list(script.parts())
    statements = [part.text for part in parts if isinstance(part, Statement)]
    assert [text.startswith(begins) for text, begins in zip(statements, BEGINNINGS, strict=True)] == [True] * 8
    assert statements[2].endswith(b"SELECT 2;\nEND;")
    assert b"".join(part.lines for part in parts if isinstance(part, Rows)) == b"1\ta;'\n-- 2\t\\N\n"
    commands = [part.text.split()[0] for part in parts if isinstance(part, MetaCommand)]
    assert commands == ["\\restrict", "\\connect", "\\unrestrict"]
    assert (script.dumped_from, script.dumped_by, script.complete) == ("16.3", "17.1", True)


@pytest.mark.parametrize("cut", range(150, len(DUMP) - 60, 13))
def test_cut_off_anywhere_it_is_not_whole(cut: int) -> None:
    """Either it ends inside something, or the line that ends it is missing."""
    script = Script([DUMP[:cut]])
    try:
        list(script.parts())
    except Refused:
        return
    assert not script.complete
