"""The tenant's own login on a database that nobody was let into yet, with a password of the moment.

What runs in its sessions has no more rights than the customer.
"""

import contextlib
import secrets
from collections.abc import Iterator

import psycopg

from tenantctl.adapters.google.sessions import Sessions, refusal_to_connect
from tenantctl.adapters.google.socket_proxy import PORT
from tenantctl.adapters.postgres import roles
from tenantctl.adapters.postgres.control import ControlSessions, Session, answering
from tenantctl.adapters.postgres.markers import refuse_unless_ours
from tenantctl.model.errors import TenantctlError
from tenantctl.model.tenant import Hosting


@contextlib.contextmanager
def let_in(control: ControlSessions, hosting: Hosting) -> Iterator[str]:
    """Opens the login, gives its password, and closes it again, however the block ends.

    Raises:
        Transient: the instance does not answer; where the block has failed already, its failure is told and not this.
        Refused: the database is not the tenant's.
    """
    password = secrets.token_urlsafe(32)
    with control.on(hosting.instance) as session:
        refuse_unless_ours(session, hosting)
        roles.set_password(session, hosting.login, password)
        roles.set_login(session, hosting.login, allowed=True)
    try:
        yield password
    except BaseException:
        with contextlib.suppress(TenantctlError):
            _close(control, hosting)
        raise
    _close(control, hosting)


@contextlib.contextmanager
def customer_session(sessions: Sessions, hosting: Hosting, password: str) -> Iterator[Session]:
    """A session of the login.

    Raises:
        Transient: the instance does not answer.
    """
    with sessions.socket(hosting.instance, with_token=False) as proxy:
        try:
            session: Session = psycopg.connect(
                host=str(proxy.folder),
                port=PORT,
                user=hosting.login,
                password=password,
                dbname=hosting.database,
                sslmode="disable",
                application_name="tenantctl",
                autocommit=True,
            )
        except psycopg.Error as error:
            raise proxy.failure or refusal_to_connect(error, hosting.instance, hosting.database) from error
        with contextlib.closing(session), answering(hosting.instance):
            yield session


def _close(control: ControlSessions, hosting: Hosting) -> None:
    with control.on(hosting.instance) as session:
        roles.set_login(session, hosting.login, allowed=False)
        roles.end_sessions(session, hosting.login)
