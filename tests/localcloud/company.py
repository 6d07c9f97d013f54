"""A company on a throw-away local cloud, set up and used through the public command line alone."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.cloud.sql.connector import Connector

from tenantctl.localcloud.client import LocalCloud
from tests.asking import PLACE
from tests.localcloud.clouds import LocalCredentials, throw_away_folder

__all__ = ["HOME", "PLACE", "TENANTS_INSTANCE", "VERIFY_INSTANCE", "Answer", "Company", "throw_away_company"]

HOME = "us-south1"
TENANTS_INSTANCE = f"tenants-{HOME}-1"
VERIFY_INSTANCE = f"verify-{HOME}-1"


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Its output as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Company:
    """One region, its partner's buckets, and the command line."""

    folder: Path
    policies: Path | None = None

    @property
    def cloud(self) -> LocalCloud:
        """The local cloud, for what only a test does to it."""
        found = LocalCloud.find(self.folder)
        assert found is not None
        return found

    def environment(self, identity: str | None = None) -> dict[str, str]:
        """The environment of a command."""
        chosen = {"TENANTCTL_IDENTITY": identity} if identity else {}
        if self.policies is not None:
            chosen["TENANTCTL_POLICIES"] = str(self.policies)
        return {**os.environ, "TENANTCTL_LOCAL_DIR": str(self.folder), **chosen}

    def start(self, *arguments: str, identity: str | None = None, **variables: str) -> "subprocess.Popen[str]":
        """A command that is left running, with these variables in its environment besides."""
        return subprocess.Popen(
            [sys.executable, "-m", "tenantctl", *arguments],
            env={**self.environment(identity), **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, *arguments: str, identity: str | None = None) -> Answer:
        """A command, whatever comes of it; a traceback never is what it may say."""
        process = self.start(*arguments, identity=identity)
        out, err = process.communicate(timeout=300)
        assert "Traceback" not in err, err
        return Answer(process.returncode, out, err)

    def do(self, *arguments: str, identity: str | None = None) -> str:
        """A command that must succeed; its output."""
        answer = self.ask(*arguments, identity=identity)
        assert answer.code == 0, (arguments, answer)
        return answer.out

    def tenant(self, name: str) -> dict[str, Any]:
        """What `tenant show` says of a tenant itself."""
        shown: dict[str, Any] = json.loads(self.do("tenant", "show", name, "-o", "json"))["tenant"]
        return shown

    @contextmanager
    def session(self, name: str, password: str | None = None, *, autocommit: bool = False) -> Iterator[Any]:
        """A cursor of the customer's own, over the connector; with a new password, unless one is given."""
        if password is None:
            password = json.loads(self.do("tenant", "rotate-password", name, "-o", "json"))["password"]
        info = json.loads(self.do("tenant", "connect-info", name, "-o", "json"))
        with Connector(
            credentials=LocalCredentials("customer@example.org"),
            sqladmin_api_endpoint=info["sqladmin_endpoint"],
            refresh_strategy="lazy",
        ) as connector:
            connection = connector.connect(
                info["instance"], "pg8000", user=info["user"], password=password, db=info["database"]
            )
            connection.autocommit = autocommit
            try:
                yield connection.cursor()
                if not autocommit:
                    connection.commit()
            finally:
                with suppress(Exception):  # the server may have ended it
                    connection.close()

    def journal(self, name: str) -> list[dict[str, Any]]:
        """A tenant's journal."""
        entries: list[dict[str, Any]] = json.loads(self.do("journal", "show", name, "-o", "json"))
        return entries


@contextmanager
def throw_away_company(*regions: str) -> Iterator[Company]:
    """A company in these regions (by default one), for as long as the block."""
    with throw_away_folder() as folder:
        company = Company(folder)
        options = [part for region in (regions or (HOME,)) for part in ("--region", region)]
        company.do("local", "up", *options)
        yield company
