"""What a job of Cloud Run leaves in its log, through a real run: every line a machine's, and none a customer's."""

import json
import subprocess
from typing import Any

import pytest
from pg8000 import DatabaseError

from tests.localcloud.company import PLACE, throw_away_company

CANARY, ROW = "kanarienvogel", "zaunkoenig"
JOB = {"CLOUD_RUN_JOB": "tenantctl-backup", "CLOUD_RUN_EXECUTION": "tenantctl-backup-x7k2p"}


def lines_of(process: "subprocess.Popen[str]") -> tuple[list[dict[str, Any]], int]:
    """What a job logged, after it ended; nothing stands on its standard output."""
    out, err = process.communicate(timeout=300)
    assert out == ""
    assert CANARY not in err.lower()
    return [json.loads(line) for line in err.splitlines()], process.returncode


def test_a_jobs_log_has_every_alarm_and_no_customer() -> None:
    """A telling name, a telling table, its rows, and an alarm whose reason names that table."""
    with throw_away_company() as company:
        company.do("tenant", "create", CANARY, "--based-in", PLACE)
        told, code = lines_of(company.start("run", **JOB))
        assert code == 0, told
        uid = company.tenant(CANARY)["uid"]
        assert {"step begins" in line["message"] for line in told} == {True, False}
        assert {line["tenant"] for line in told if "tenant" in line} == {uid}
        with company.session(CANARY, autocommit=True) as cursor:
            cursor.execute(f"CREATE TABLE {CANARY}_orders (says text)")
            cursor.execute(f"INSERT INTO {CANARY}_orders VALUES ('{CANARY}')")
            cursor.execute(
                f"CREATE UNIQUE INDEX once ON {CANARY}_orders (says); INSERT INTO {CANARY}_orders VALUES ('{ROW}')"
            )
            with pytest.raises(DatabaseError, match="once"):
                cursor.execute(f"INSERT INTO {CANARY}_orders VALUES ('{ROW}')")
            cursor.execute(f"ALTER TABLE {CANARY}_orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        company.do("local", "advance", "30h")
        told, code = lines_of(company.start("run", **JOB))
        assert code == 0, "an alarm is told by its line, and running again would find the same"
        alarms = {line["alarm"]: line for line in told if "alarm" in line}
        assert alarms
        for line in alarms.values():
            assert line["severity"] in {"CRITICAL", "ERROR", "WARNING"}
            assert line["logging.googleapis.com/labels"]["tenant"] == line["tenant"] == uid
        assert set(alarms) == {one["code"] for one in _alarms(company.do("tenant", "show", CANARY, "-o", "json"))}
        told, code = lines_of(company.start("tenant", "show", f"no-{CANARY}", **JOB))
        assert code == 4
        assert [line["error"] for line in told] == ["NotFound"]
        servers = "\n".join(path.read_text() for path in company.folder.rglob("postgres.log"))
        assert 'violates unique constraint "once"' in servers
        assert ROW not in servers, "a server repeats neither a statement that failed nor the row in its way"


def _alarms(shown: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(shown)["alarms"]
    return found
