"""Instances, databases and users of the Admin API emulator, and the PostgreSQL behind them."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tenantctl.localcloud.client import LocalCloud
from tests.localcloud.clouds import (
    OPERATOR,
    admin_client,
    ask_as_operator,
    connection_name,
    connector,
    finish,
    refused,
    throw_away_cloud,
)


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    """A local cloud of this file's own, with one instance that tests may change."""
    with throw_away_cloud({"subject": "us-central1"}) as made:
        yield made


@pytest.fixture(scope="module")
def admin(cloud: LocalCloud) -> Any:
    """The real client on it."""
    return admin_client(cloud)


def test_the_name_of_a_deleted_instance_rests_for_a_week() -> None:
    """409 until the local cloud's clock has passed it; protection refuses a deletion."""
    with throw_away_cloud() as cloud:
        admin, project = admin_client(cloud), cloud.project
        protected = {
            "name": "once",
            "region": "us-central1",
            "settings": {"tier": "t", "deletionProtectionEnabled": True},
        }
        insert = admin.instances().insert(project=project, body=protected)
        finish(cloud, insert.execute())
        assert refused(insert) == (409, "instanceAlreadyExists")
        delete = admin.instances().delete(project=project, instance="once")
        assert refused(delete) == (400, "invalidRequest")
        patch = {"settings": {"deletionProtectionEnabled": False}}
        finish(cloud, admin.instances().patch(project=project, instance="once", body=patch).execute())
        finish(cloud, delete.execute())
        assert refused(admin.instances().get(project=project, instance="once"))[0] == 404
        assert not (cloud.folder.instances / "once").exists()
        assert refused(insert) == (409, "instanceAlreadyExists")
        cloud.advance(timedelta(days=8))
        finish(cloud, insert.execute())


def test_stopping_and_starting_by_activation_policy(cloud, admin) -> None:
    """Never: the server goes down, and what needs it is 400. Always: it comes back with its data."""
    project = cloud.project
    finish(cloud, admin.databases().insert(project=project, instance="subject", body={"name": "staying"}).execute())
    patch = admin.instances().patch
    finish(
        cloud, patch(project=project, instance="subject", body={"settings": {"activationPolicy": "NEVER"}}).execute()
    )
    assert cloud.status()["instances"][0]["state"] == "STOPPED"
    assert refused(admin.databases().list(project=project, instance="subject")) == (400, "invalidRequest")
    finish(
        cloud, patch(project=project, instance="subject", body={"settings": {"activationPolicy": "ALWAYS"}}).execute()
    )
    names = [one["name"] for one in admin.databases().list(project=project, instance="subject").execute()["items"]]
    assert "staying" in names


def test_settings_are_merged_and_versioned(cloud, admin) -> None:
    """A patch keeps what it does not name, null takes away, and an old version number is refused."""
    project, instances = cloud.project, admin.instances()
    change = {"settings": {"userLabels": {"role": "verify", "team": "blue"}, "backupConfiguration": {"enabled": True}}}
    finish(cloud, instances.patch(project=project, instance="subject", body=change).execute())
    before = instances.get(project=project, instance="subject").execute()["settings"]
    finish(
        cloud,
        instances.patch(
            project=project, instance="subject", body={"settings": {"userLabels": {"team": None, "role": "data"}}}
        ).execute(),
    )
    after = instances.get(project=project, instance="subject").execute()["settings"]
    assert after["userLabels"] == {"role": "data"}
    assert after["backupConfiguration"]["enabled"] is True
    assert after["tier"] == "db-f1-micro"
    assert int(after["settingsVersion"]) == int(before["settingsVersion"]) + 1
    stale = {"settings": {"settingsVersion": before["settingsVersion"], "tier": "db-n1"}}
    assert refused(instances.patch(project=project, instance="subject", body=stale)) == (412, "conditionNotMet")
    moved = instances.patch(project=project, instance="subject", body={"region": "europe-west1"})
    assert refused(moved) == (400, "invalidRequest")


def test_flags_reach_postgresql_and_bad_ones_leave_the_instance_as_it_was(cloud, admin) -> None:
    """Unknown names are refused at once; a value that PostgreSQL refuses fails the operation."""
    project, instances = cloud.project, admin.instances()

    def with_flag(name: str, value: str) -> Any:
        body = {"settings": {"databaseFlags": [{"name": name, "value": value}]}}
        return instances.patch(project=project, instance="subject", body=body)

    finish(cloud, with_flag("max_connections", "66").execute())
    assert ask_as_operator(cloud, "subject", "SELECT current_setting('max_connections')") == ("66",)
    finish(cloud, with_flag("cloudsql.logical_decoding", "on").execute())
    assert ask_as_operator(cloud, "subject", "SELECT current_setting('wal_level')") == ("logical",)
    finish(cloud, with_flag("max_connections", "66").execute())
    assert refused(with_flag("no_such_setting", "1")) == (400, "invalidRequest")
    assert refused(with_flag("tenantctl.clock_offset", "1 day")) == (400, "invalidRequest")
    finish(cloud, with_flag("max_connections", "plenty").execute(), fails=True)
    assert ask_as_operator(cloud, "subject", "SELECT current_setting('max_connections')") == ("66",)
    settings = instances.get(project=project, instance="subject").execute()["settings"]
    assert settings["databaseFlags"] == [{"name": "max_connections", "value": "66"}]


def test_a_database_with_sessions_is_not_deleted(cloud, admin) -> None:
    """400 while somebody is connected; done when nobody is."""
    databases = admin.databases()
    finish(cloud, databases.insert(project=cloud.project, instance="subject", body={"name": "busy"}).execute())
    again = databases.insert(project=cloud.project, instance="subject", body={"name": "busy"})
    assert refused(again) == (400, "invalidRequest")
    delete = databases.delete(project=cloud.project, instance="subject", database="busy")
    with connector(cloud) as made:
        session = made.connect(
            connection_name(cloud, "subject"), "psycopg", user=OPERATOR, db="busy", enable_iam_auth=True
        )
        assert refused(delete) == (400, "invalidRequest")
        session.close()
    for _ in range(200):  # the server needs a moment to see that the session has gone
        if ask_as_operator(cloud, "subject", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'busy'") == (0,):
            break
        time.sleep(0.02)
    finish(cloud, delete.execute())


def test_a_user_that_owns_something_is_not_deleted(cloud, admin) -> None:
    """400 while the role owns objects; done when it does not."""
    users = admin.users()
    body = {"name": "keeper", "password": "a password"}
    finish(cloud, users.insert(project=cloud.project, instance="subject", body=body).execute())
    assert refused(users.insert(project=cloud.project, instance="subject", body=body)) == (409, "userAlreadyExists")
    delete = users.delete(project=cloud.project, instance="subject", name="keeper")
    with connector(cloud) as made:
        session = made.connect(
            connection_name(cloud, "subject"), "psycopg", user="keeper", password="a password", db="postgres"
        )
        session.autocommit = True
        session.execute("CREATE DATABASE of_keeper")
        assert refused(delete) == (400, "invalidRequest")
        session.execute("DROP DATABASE of_keeper")
        session.close()
    finish(cloud, delete.execute())


def test_what_users_may(cloud, admin) -> None:
    """Built-in users are made as the real service makes them; IAM users get what was asked for; nobody is superuser."""
    users, project = admin.users(), cloud.project
    bodies = [
        {"name": "builtin", "password": "p"},
        {"name": "plain@example.com", "type": "CLOUD_IAM_USER"},
        {
            "name": "robot@p.iam.gserviceaccount.com",
            "type": "CLOUD_IAM_SERVICE_ACCOUNT",
            "databaseRoles": ["pg_monitor"],
        },
    ]
    for body in bodies:
        finish(cloud, users.insert(project=project, instance="subject", body=body).execute())
    question = """
        SELECT rolname::text, rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, ARRAY(
            SELECT roleid::regrole::text FROM pg_auth_members WHERE member = pg_roles.oid ORDER BY 1)
        FROM pg_roles WHERE rolname = '{}'
    """
    assert ask_as_operator(cloud, "subject", question.format("builtin"))[1:] == (
        False,
        True,
        True,
        False,
        ["cloudsqlsuperuser"],
    )
    assert ask_as_operator(cloud, "subject", question.format("plain@example.com"))[1:] == (
        False,
        False,
        False,
        False,
        ["cloudsqliamuser"],
    )
    assert ask_as_operator(cloud, "subject", question.format("robot@p.iam"))[5] == [
        "cloudsqliamserviceaccount",
        "pg_monitor",
    ]
    listed = {one["name"]: one["type"] for one in users.list(project=project, instance="subject").execute()["items"]}
    assert listed["builtin"] == "BUILT_IN"
    assert listed["plain@example.com"] == "CLOUD_IAM_USER"
    assert listed["robot@p.iam"] == "CLOUD_IAM_SERVICE_ACCOUNT"
    assert "cloudsqladmin" not in listed
    for bad in (
        {"name": "cloudsqladmin", "password": "p"},
        {"name": "pg_x", "password": "p"},
        {"name": "nopassword"},
        {"name": "x@y.z", "type": "CLOUD_IAM_USER", "password": "p"},
        {"name": "noemail", "type": "CLOUD_IAM_USER"},
        {"name": "g@y.z", "type": "CLOUD_IAM_GROUP"},
        {"name": "x@y.z", "type": "CLOUD_IAM_USER", "databaseRoles": ["cloudsqladmin"]},
        {"name": "x@y.z", "type": "CLOUD_IAM_USER", "databaseRoles": ["no_such_role"]},
        {"name": "x" * 64, "password": "p"},
    ):
        assert refused(users.insert(project=project, instance="subject", body=bad)) == (400, "invalidRequest"), bad


def test_no_password_is_kept_or_logged(cloud, admin) -> None:
    """Neither the records of operations nor any log holds it once the operation is done."""
    secret = "correct-horse-battery"
    body = {"name": "secretive", "password": secret}
    finish(cloud, admin.users().insert(project=cloud.project, instance="subject", body=body).execute())
    texts = [cloud.folder.log.read_text()]
    texts += [path.read_text(errors="replace") for path in cloud.folder.instances.glob("*/postgres.log")]
    assert not any(secret in text for text in texts)
    operations = admin.operations().list(project=cloud.project, instance="subject").execute()
    assert secret not in json.dumps(operations)
