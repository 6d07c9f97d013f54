"""The unmodified Cloud SQL connector does all that the adapters need, against the local cloud or a real project.

Against a real project: TENANTCTL_TEST_INSTANCE (PROJECT:REGION:NAME) and TENANTCTL_TEST_LOGIN (the email that the
application default credentials stand for) name what the tests marked `live` connect to.
"""

import datetime
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import google.auth
import pg8000.exceptions
import psycopg
import pytest
from google.cloud.sql.connector import Connector

from tenantctl.localcloud.certificates import Authority
from tenantctl.localcloud.client import LocalCloud
from tests.localcloud.clouds import (
    OPERATOR,
    SERVICE_ACCOUNT,
    admin_client,
    connection_name,
    connector,
    finish,
)
from tests.localcloud.tls_clients import authority_of, client_context, dial, first_byte_of_answer

DRIVERS = ("pg8000", "psycopg")


@pytest.fixture(scope="module")
def operator(local_cloud: LocalCloud) -> Iterator[Connector]:
    """The connector of the operator."""
    with connector(local_cloud) as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def opened(local_cloud: LocalCloud) -> None:
    """Open the databases asked here to all logins: tests that ran before may have closed them, as tenantctl does."""
    for instance in ("one", "two"):
        with admin_session(local_cloud, instance) as session:
            session.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")


def ask(made: Connector, name: str, driver: str, question: str, **details):
    """Connect, ask one question and return the first row."""
    database = {"pg8000": "db", "psycopg": "db"}[driver]
    connection = made.connect(name, driver, **{database: "postgres", **details})
    try:
        cursor = connection.cursor()
        cursor.execute(question)
        return tuple(cursor.fetchone())
    finally:
        connection.close()


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("instance", ["control", "one", "two"])
def test_an_iam_login_needs_no_password(local_cloud, operator, driver, instance) -> None:
    """One port serves all instances; the access token stands for the password."""
    name = connection_name(local_cloud, instance)
    question = "SELECT session_user::text, current_setting('cluster_name')"
    assert ask(operator, name, driver, question, user=OPERATOR, enable_iam_auth=True) == (OPERATOR, instance)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_service_account_logs_in_by_its_short_name(local_cloud, driver) -> None:
    """Cloud SQL drops `.gserviceaccount.com` from the login, and so does the connector."""
    with connector(local_cloud, SERVICE_ACCOUNT) as made:
        row = ask(
            made,
            connection_name(local_cloud, "one"),
            driver,
            "SELECT session_user::text",
            user=SERVICE_ACCOUNT,
            enable_iam_auth=True,
        )
    assert row == ("worker@tenantctl-local.iam",)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_built_in_user_proves_its_password(local_cloud, operator, driver) -> None:
    """A right password is let in; a wrong one, none, or an unknown user is refused by PostgreSQL itself."""
    user, name = f"customer-{driver}", connection_name(local_cloud, "one")
    body = {"name": user, "password": "a right password"}
    users = admin_client(local_cloud).users()
    finish(local_cloud, users.insert(project=local_cloud.project, instance="one", body=body).execute())
    question = "SELECT session_user::text, rolsuper FROM pg_roles WHERE rolname = session_user"
    assert ask(operator, name, driver, question, user=user, password="a right password") == (user, False)
    for wrong in ({"password": "a wrong one"}, {"password": ""}, {"user": "nobody-known", "password": "x"}):
        with pytest.raises((psycopg.OperationalError, pg8000.exceptions.DatabaseError)):
            ask(operator, name, driver, "SELECT 1", **{"user": user, **wrong})


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("caller", "login", "by_token"),
    [
        (SERVICE_ACCOUNT, OPERATOR, True),
        (OPERATOR, "worker@tenantctl-local.iam", True),
        (OPERATOR, OPERATOR, False),
        (OPERATOR, "cloudsqladmin", False),
        (OPERATOR, "cloudsqladmin", True),
        ("stranger@example.com", "stranger@example.com", True),
        ("cloudsqladmin@", "cloudsqladmin", True),
    ],
)
def test_nobody_becomes_who_he_is_not(local_cloud, driver, caller, login, by_token) -> None:
    """An IAM login opens only to a certificate made for its own access token; the superuser opens to nobody."""
    with (
        connector(local_cloud, caller) as made,
        pytest.raises(Exception, match=r"28000|belongs to the|failed for user"),
    ):
        ask(
            made,
            connection_name(local_cloud, "one"),
            driver,
            "SELECT 1",
            user=login,
            password="x",
            enable_iam_auth=by_token,
        )


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_login_that_was_closed_is_refused(local_cloud, operator, driver) -> None:
    """NOLOGIN keeps an IAM login out although its token is good, and LOGIN lets it in again."""
    email, name = f"closed-{driver}@example.com", connection_name(local_cloud, "two")
    users = admin_client(local_cloud).users()
    body = {"name": email, "type": "CLOUD_IAM_USER"}
    finish(local_cloud, users.insert(project=local_cloud.project, instance="two", body=body).execute())
    with pytest.raises(psycopg.Error, match=r"CREATEROLE|permission denied"):
        ask(operator, name, "psycopg", f'ALTER ROLE "{email}" NOLOGIN', user=OPERATOR, enable_iam_auth=True)
    with admin_session(local_cloud, "two") as session:
        session.execute(f'ALTER ROLE "{email}" NOLOGIN')
        with connector(local_cloud, email) as made:
            with pytest.raises(Exception, match="not permitted to log in"):
                ask(made, name, driver, "SELECT 1", user=email, enable_iam_auth=True)
            session.execute(f'ALTER ROLE "{email}" LOGIN')
            assert ask(made, name, driver, "SELECT 1", user=email, enable_iam_auth=True) == (1,)


def test_an_unknown_instance_and_a_wrong_region_are_told_apart(local_cloud, operator) -> None:
    """The connector says which it was."""
    with pytest.raises(Exception, match="does not exist") as unknown:
        ask(operator, f"{local_cloud.project}:us-central1:nowhere", "psycopg", "SELECT 1", user=OPERATOR)
    assert getattr(unknown.value, "status", None) == 404
    with pytest.raises(ValueError, match="mismatched"):
        ask(operator, f"{local_cloud.project}:asia-east1:one", "psycopg", "SELECT 1", user=OPERATOR)


def test_certificates_of_another_authority_are_refused_on_both_sides(local_cloud, tmp_path) -> None:
    """A client does not speak to a server that it cannot verify, nor the server to such a client."""
    foreign = Authority(tmp_path / "foreign")
    with pytest.raises(ssl.SSLCertVerificationError):
        dial(local_cloud, client_context(local_cloud, "one", OPERATOR, trusted=foreign))
    forged = client_context(local_cloud, "one", OPERATOR, issuer=foreign)
    assert first_byte_of_answer(local_cloud, forged, OPERATOR) == b""
    genuine = client_context(local_cloud, "one", OPERATOR)
    assert first_byte_of_answer(local_cloud, genuine, OPERATOR) == b"R"


def test_an_expired_certificate_and_none_at_all_are_refused(local_cloud) -> None:
    """The server hangs up before anything is asked of PostgreSQL."""
    lapsed = client_context(local_cloud, "one", OPERATOR, lifetime=-datetime.timedelta(seconds=5))
    assert first_byte_of_answer(local_cloud, lapsed, OPERATOR) == b""
    nameless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nameless.check_hostname = False
    nameless.load_verify_locations(cadata=authority_of(local_cloud).certificate_pem)
    assert first_byte_of_answer(local_cloud, nameless, OPERATOR) == b""


def test_a_certificate_for_something_else_opens_nothing(local_cloud) -> None:
    """An instance that is not there, and a project that is not ours: hung up after the handshake."""
    gone = client_context(local_cloud, "nowhere", OPERATOR)
    assert first_byte_of_answer(local_cloud, gone, OPERATOR) == b""
    elsewhere = client_context(local_cloud, "one", OPERATOR, project="another-project")
    assert first_byte_of_answer(local_cloud, elsewhere, OPERATOR) == b""


@pytest.mark.live
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_real_instance_lets_an_iam_login_in(driver) -> None:
    """The same calls against a real project."""
    instance, login = os.environ.get("TENANTCTL_TEST_INSTANCE"), os.environ.get("TENANTCTL_TEST_LOGIN")
    if not instance or not login:
        pytest.skip("TENANTCTL_TEST_INSTANCE and TENANTCTL_TEST_LOGIN name no real instance")
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    made = Connector(credentials=credentials, refresh_strategy="lazy")
    try:
        row = ask(made, instance, driver, "SELECT session_user::text", user=login, enable_iam_auth=True)
    finally:
        made.close()
    assert row == (login.removesuffix(".gserviceaccount.com"),)


def admin_session(cloud: LocalCloud, instance: str) -> psycopg.Connection:
    """A session of the bootstrap superuser on the private socket, as only the supervisor has one."""
    names = sorted(Path(str(cloud.file.sockets)).glob(".s.PGSQL.*[0-9]"))
    for name in names:
        made = psycopg.connect(
            host=str(name.parent),
            port=int(name.suffix[1:]),
            user="cloudsqladmin",
            dbname="cloudsqladmin",
            autocommit=True,
        )
        if made.execute("SELECT current_setting('cluster_name')").fetchone() == (instance,):
            return made
        made.close()
    raise AssertionError(f"no server of {instance}")
