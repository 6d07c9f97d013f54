"""The Admin API's databases and users of an instance.

A built-in user becomes what the real service makes of it: a login that may create databases and roles and is a member
of `cloudsqlsuperuser`. An IAM user becomes a login without a password, marked by the IAM role of its kind, with the
database roles that were asked for and nothing else. Nobody becomes a superuser.
"""

import functools
from typing import Any, Final

import psycopg
from psycopg import sql

from tenantctl.localcloud.clusters import Admin
from tenantctl.localcloud.fleet import Instance
from tenantctl.localcloud.operations import Arguments, WorkFailed
from tenantctl.localcloud.sqladmin_calls import (
    Answer,
    ApiMethod,
    ApiRefusal,
    Call,
    CloudSql,
    login_of,
    refuse_request,
)
from tenantctl.localcloud.template import (
    ADMIN_DATABASE,
    ADMIN_ROLE,
    IAM_SERVICE_ACCOUNT_ROLE,
    IAM_USER_ROLE,
    SUPERUSER_ROLE,
)

_LONGEST_NAME: Final = 63
_IAM_ROLES: Final = {"CLOUD_IAM_USER": IAM_USER_ROLE, "CLOUD_IAM_SERVICE_ACCOUNT": IAM_SERVICE_ACCOUNT_ROLE}
_DATABASES: Final = f"""
    SELECT datname, pg_encoding_to_char(encoding), coalesce(datlocale, datcollate) FROM pg_database
    WHERE NOT datistemplate AND datname <> '{ADMIN_DATABASE}' AND datname = coalesce(%s, datname) ORDER BY datname
"""  # noqa: S608 - a name of ours
_USERS: Final = f"""
    SELECT member.rolname,
        CASE WHEN pg_has_role(member.oid, '{IAM_USER_ROLE}', 'MEMBER') THEN 'CLOUD_IAM_USER'
             WHEN pg_has_role(member.oid, '{IAM_SERVICE_ACCOUNT_ROLE}', 'MEMBER') THEN 'CLOUD_IAM_SERVICE_ACCOUNT'
             ELSE 'BUILT_IN' END,
        ARRAY(SELECT DISTINCT granted.rolname::text FROM pg_auth_members JOIN pg_roles granted ON granted.oid = roleid
              WHERE member = member.oid AND granted.rolname NOT LIKE 'cloudsqliam%%' ORDER BY 1)
    FROM pg_roles member
    WHERE NOT rolsuper AND rolname = coalesce(%s, rolname)
        AND (rolcanlogin OR pg_has_role(member.oid, '{IAM_USER_ROLE}', 'MEMBER')
             OR pg_has_role(member.oid, '{IAM_SERVICE_ACCOUNT_ROLE}', 'MEMBER'))
        AND rolname NOT IN ('{IAM_USER_ROLE}', '{IAM_SERVICE_ACCOUNT_ROLE}')
    ORDER BY rolname
"""  # noqa: S608 - names of ours
_DEPENDENTS: Final = """
    SELECT count(*) FROM pg_shdepend JOIN pg_roles ON pg_roles.oid = refobjid
    WHERE refclassid = 'pg_authid'::regclass AND rolname = %s
"""


def database_methods(cloud: CloudSql) -> dict[str, ApiMethod]:
    """Return the methods on databases and users by name, after making their work known to the operations."""
    cloud.operations.knows_work("create_database", functools.partial(_create_database, cloud))
    cloud.operations.knows_work("drop_database", functools.partial(_drop_database, cloud))
    cloud.operations.knows_work("create_user", functools.partial(_create_user, cloud))
    cloud.operations.knows_work("alter_user", functools.partial(_alter_user, cloud))
    cloud.operations.knows_work("drop_user", functools.partial(_drop_user, cloud))
    return {
        "databases.get": _get_database,
        "databases.list": _list_databases,
        "databases.insert": _insert_database,
        "databases.delete": _delete_database,
        "users.get": _get_user,
        "users.list": _list_users,
        "users.insert": _insert_user,
        "users.update": _update_user,
        "users.delete": _delete_user,
    }


async def _get_database(call: Call) -> Answer:
    instance, name = call.running_instance(), call.parameters["database"]
    rows = await _rows(instance, _DATABASES, name)
    if not rows:
        raise ApiRefusal(404, "databaseDoesNotExist", f"The database does not exist: {name}.")
    return _database(call, instance, rows[0])


async def _list_databases(call: Call) -> Answer:
    instance = call.running_instance()
    rows = await _rows(instance, _DATABASES, None)
    return call.page("sql#databasesList", [_database(call, instance, row) for row in rows])


async def _insert_database(call: Call) -> Answer:
    instance = call.free(call.running_instance())
    name = _checked_name(call.body.get("name"))
    if await _rows(instance, _DATABASES, name) or name in (ADMIN_DATABASE, "template0", "template1"):
        refuse_request(f'Invalid request: failed to create database {name}. Detail: database "{name}" already exists.')
    return call.submit(
        "CREATE_DATABASE",
        instance,
        "create_database",
        name=name,
        charset=call.body.get("charset") or "UTF8",
        collation=call.body.get("collation"),
    )


async def _delete_database(call: Call) -> Answer:
    instance, name = call.free(call.running_instance()), call.parameters["database"]
    if not await _rows(instance, _DATABASES, name):
        raise ApiRefusal(404, "databaseDoesNotExist", f"The database does not exist: {name}.")
    sessions = await _rows(instance, "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", name)
    if sessions[0][0]:
        refuse_request(
            f"Invalid request: failed to delete database {name}. Detail: "
            f'database "{name}" is being accessed by other users ({sessions[0][0]} sessions).'
        )
    return call.submit("DELETE_DATABASE", instance, "drop_database", name=name)


async def _get_user(call: Call) -> Answer:
    instance, name = call.running_instance(), call.parameters["name"]
    rows = await _rows(instance, _USERS, name)
    if not rows:
        raise ApiRefusal(404, "userDoesNotExist", f"The user does not exist: {name}.")
    return _user(call, instance, rows[0])


async def _list_users(call: Call) -> Answer:
    instance = call.running_instance()
    rows = await _rows(instance, _USERS, None)
    return call.page("sql#usersList", [_user(call, instance, row) for row in rows])


async def _insert_user(call: Call) -> Answer:
    instance = call.free(call.running_instance())
    kind, name = call.body.get("type", "BUILT_IN"), _checked_name(call.body.get("name"))
    if kind not in ("BUILT_IN", *_IAM_ROLES):
        refuse_request(f"The local cloud has no users of type {kind}.")
    if kind in _IAM_ROLES:
        name = login_of(name)
        if "@" not in name or call.body.get("password"):
            refuse_request("An IAM user is named by its email and has no password.")
    elif not call.body.get("password"):
        refuse_request("Missing parameter: password.")
    if name.startswith(("cloudsql", "pg_")):
        refuse_request(f"Invalid user name: {name!r} is reserved.")
    if await _rows(instance, "SELECT 1 FROM pg_roles WHERE rolname = %s", name):
        raise ApiRefusal(409, "userAlreadyExists", f"The user already exists: {name}.")
    roles = call.body.get("databaseRoles", [] if kind in _IAM_ROLES else [SUPERUSER_ROLE])
    await _check_roles(instance, roles)
    return call.submit(
        "CREATE_USER",
        instance,
        "create_user",
        name=name,
        kind=kind,
        password=call.body.get("password"),
        roles=roles,
    )


async def _update_user(call: Call) -> Answer:
    instance, name = call.free(call.running_instance()), call.parameters.get("name", "")
    rows = await _rows(instance, _USERS, name)
    if not rows:
        raise ApiRefusal(404, "userDoesNotExist", f"The user does not exist: {name}.")
    roles = [] if "databaseRoles" not in call.parameters else call.parameters["databaseRoles"].split(",")
    await _check_roles(instance, roles)
    if call.body.get("password") and rows[0][1] != "BUILT_IN":
        refuse_request("An IAM user has no password.")
    return call.submit(
        "UPDATE_USER", instance, "alter_user", name=name, password=call.body.get("password"), roles=roles
    )


async def _delete_user(call: Call) -> Answer:
    instance, name = call.free(call.running_instance()), call.parameters.get("name", "")
    if not await _rows(instance, _USERS, name):
        raise ApiRefusal(404, "userDoesNotExist", f"The user does not exist: {name}.")
    dependents = await _rows(instance, _DEPENDENTS, name)
    if dependents[0][0]:
        refuse_request(
            f"Invalid request: failed to delete user {name}: . Detail: "
            f'role "{name}" cannot be dropped because some objects depend on it ({dependents[0][0]}).'
        )
    return call.submit("DELETE_USER", instance, "drop_user", name=name)


async def _create_database(cloud: CloudSql, arguments: Arguments, repeated: bool) -> None:
    async with await _admin(cloud, arguments) as admin:
        command = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING {}").format(
            sql.Identifier(arguments["name"]), sql.Identifier(SUPERUSER_ROLE), sql.Literal(arguments["charset"])
        )
        if arguments["collation"]:
            command += sql.SQL(" LOCALE {}").format(sql.Literal(arguments["collation"]))
        try:
            await admin.execute(command)
        except psycopg.errors.DuplicateDatabase:
            if not repeated:
                raise


async def _drop_database(cloud: CloudSql, arguments: Arguments, repeated: bool) -> None:
    async with await _admin(cloud, arguments) as admin:
        command = sql.SQL("DROP DATABASE IF EXISTS {}" if repeated else "DROP DATABASE {}")
        await admin.execute(command.format(sql.Identifier(arguments["name"])))


async def _create_user(cloud: CloudSql, arguments: Arguments, repeated: bool) -> None:
    name, marker = sql.Identifier(arguments["name"]), _IAM_ROLES.get(arguments["kind"])
    async with await _admin(cloud, arguments) as admin, admin.transaction():
        known = await (
            await admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (arguments["name"],))
        ).fetchone()
        if known is not None and not repeated:
            raise WorkFailed(f"The user already exists: {arguments['name']}.")
        if known is None:
            rights = sql.SQL("LOGIN INHERIT" if marker else "LOGIN INHERIT CREATEDB CREATEROLE")
            await admin.execute(sql.SQL("CREATE ROLE {} {}").format(name, rights))
        await _set_password(admin, arguments)
        for role in (*arguments["roles"], *([marker] if marker else [])):
            await admin.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), name))


async def _alter_user(cloud: CloudSql, arguments: Arguments, _repeated: bool) -> None:
    async with await _admin(cloud, arguments) as admin, admin.transaction():
        await _set_password(admin, arguments)
        for role in arguments["roles"]:
            await admin.execute(
                sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(arguments["name"]))
            )


async def _drop_user(cloud: CloudSql, arguments: Arguments, repeated: bool) -> None:
    async with await _admin(cloud, arguments) as admin:
        command = sql.SQL("DROP ROLE IF EXISTS {}" if repeated else "DROP ROLE {}")
        await admin.execute(command.format(sql.Identifier(arguments["name"])))


async def _set_password(admin: Admin, arguments: Arguments) -> None:
    if arguments["password"]:  # only its verifier is spoken, so that no log of the server can hold the password
        verifier = admin.pgconn.encrypt_password(arguments["password"].encode(), arguments["name"].encode())
        command = sql.SQL("ALTER ROLE {} PASSWORD {}")
        await admin.execute(command.format(sql.Identifier(arguments["name"]), sql.Literal(verifier.decode())))


async def _check_roles(instance: Instance, roles: list[str]) -> None:
    for role in roles:
        if role in (ADMIN_ROLE, *_IAM_ROLES.values()):
            refuse_request(f"The role {role} cannot be granted.")
        if not await _rows(instance, "SELECT 1 FROM pg_roles WHERE rolname = %s", role):
            refuse_request(f"The database role does not exist: {role}.")


async def _admin(cloud: CloudSql, arguments: Arguments) -> Admin:
    instance = cloud.fleet.get(arguments["instance"])
    if instance is None:
        raise WorkFailed("The instance has disappeared.")
    return await instance.cluster.connect()


async def _rows(instance: Instance, question: str, argument: str | None) -> list[tuple[Any, ...]]:
    async with await instance.cluster.connect() as admin:
        return await (await admin.execute(question.encode(), (argument,))).fetchall()


def _checked_name(name: str | None) -> str:
    if not name or len(name.encode()) > _LONGEST_NAME or not name.isprintable():
        refuse_request(f"Invalid name: {name!r}; it has 1 to {_LONGEST_NAME} printable characters.")
    return name


def _database(call: Call, instance: Instance, row: tuple[Any, ...]) -> Answer:
    link = f"{call.root_url}/projects/{call.cloud.fleet.project}/instances/{instance.name}/databases/{row[0]}"
    return {
        "kind": "sql#database",
        "name": row[0],
        "charset": row[1],
        "collation": row[2],
        "instance": instance.name,
        "project": call.cloud.fleet.project,
        "selfLink": link,
    }


def _user(call: Call, instance: Instance, row: tuple[Any, ...]) -> Answer:
    return {
        "kind": "sql#user",
        "name": row[0],
        "type": row[1],
        "databaseRoles": row[2],
        "host": "",
        "instance": instance.name,
        "project": call.cloud.fleet.project,
    }
