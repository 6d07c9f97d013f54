"""The Admin API's instances: insert, get, list, patch, update, delete, restart, and their operations."""

import copy
import functools
import re
from collections.abc import Mapping
from typing import Any, Final

from tenantctl.localcloud.clock import LocalClock
from tenantctl.localcloud.fleet import Instance
from tenantctl.localcloud.operations import Arguments, WorkFailed
from tenantctl.localcloud.sqladmin_calls import Answer, ApiMethod, ApiRefusal, Call, CloudSql, refuse_request
from tenantctl.localcloud.template import ClusterFailed

_NAME: Final = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
_LONGEST_NAME: Final = 97  # together with the project, which is counted with it
_UNCHANGEABLE: Final = ("name", "project", "region", "databaseVersion", "instanceType", "backendType")
# Replicas and servers elsewhere: quietly making a plain instance of them would be a lie.
_BEYOND_US: Final = {"masterInstanceName", "replicaConfiguration", "onPremisesConfiguration", "replicationCluster"}
# Settings that are the local cloud's own: with them changed, nothing would find the server any more.
_OUR_FLAGS: Final = re.compile(
    r"listen_addresses|port|unix_socket_.*|data_directory|config_file|hba_file|ident_file|external_pid_file|ssl.*|"
    r"cluster_name|include.*|tenantctl\..*"
)
_DEFAULT_SETTINGS: Final = {
    "kind": "sql#settings",
    "activationPolicy": "ALWAYS",
    "availabilityType": "ZONAL",
    "pricingPlan": "PER_USE",
    "replicationType": "SYNCHRONOUS",
    "dataDiskType": "PD_SSD",
    "dataDiskSizeGb": "10",
    "storageAutoResize": True,
    "deletionProtectionEnabled": False,
    "backupConfiguration": {"kind": "sql#backupConfiguration", "enabled": False},
}


def instance_methods(cloud: CloudSql) -> dict[str, ApiMethod]:
    """Return the methods on instances by name, after making their work known to the operations."""
    cloud.operations.knows_work("create_instance", functools.partial(_create, cloud))
    cloud.operations.knows_work("apply_settings", functools.partial(_apply, cloud))
    cloud.operations.knows_work("restart_instance", functools.partial(_restart, cloud))
    cloud.operations.knows_work("delete_instance", functools.partial(_delete, cloud))
    return {
        "instances.get": _get,
        "instances.list": _list,
        "instances.insert": _insert,
        "instances.patch": _patch,
        "instances.update": _update,
        "instances.restart": _submit_restart,
        "instances.delete": _submit_deletion,
    }


def ip_addresses(cloud: CloudSql, instance: Instance) -> list[dict[str, str]]:
    """Return where an instance is reached: all at the data plane's address, told apart by their certificates."""
    configuration = instance.resource["settings"].get("ipConfiguration", {})
    kinds = ["PRIMARY"] if configuration.get("ipv4Enabled", True) else []
    kinds += ["PRIVATE"] if configuration.get("privateNetwork") else []
    return [{"type": kind, "ipAddress": cloud.fleet.address} for kind in kinds]


async def _get(call: Call) -> Answer:
    return _shown(call, call.instance())


async def _list(call: Call) -> Answer:
    instances = sorted(call.cloud.fleet, key=lambda instance: instance.name)
    return call.page("sql#instancesList", [_shown(call, instance) for instance in instances])


async def _insert(call: Call) -> Answer:
    cloud, name = call.cloud, call.body.get("name", "")
    if not _NAME.fullmatch(name) or len(f"{cloud.fleet.project}:{name}") > _LONGEST_NAME:
        refuse_request(f"Invalid instance name ({name!r}): lower-case letters, digits and hyphens, a letter first.")
    if not call.body.get("region"):
        refuse_request("Missing parameter: region.")
    if not call.body.get("settings", {}).get("tier"):
        refuse_request("Missing parameter: settings.tier.")
    if beyond := sorted(set(call.body) & _BEYOND_US):
        refuse_request(f"The local cloud has no {', '.join(beyond)}.")
    version = call.body.get("databaseVersion", cloud.database_version)
    if version != cloud.database_version:
        refuse_request(f"The local cloud runs {cloud.database_version} only, not {version}.")
    if cloud.fleet.get(name) is not None:
        raise ApiRefusal(409, "instanceAlreadyExists", "The Cloud SQL instance already exists.")
    if (until := cloud.fleet.retired_until(name)) is not None:
        raise ApiRefusal(
            409,
            "instanceAlreadyExists",
            f"The Cloud SQL instance already exists: the name of a deleted instance cannot be used until {until:%F}.",
        )
    settings = _merged(_DEFAULT_SETTINGS, call.body["settings"])
    settings["settingsVersion"] = "1"
    _check_flag_names(settings)
    resource = {
        **{key: value for key, value in call.body.items() if key != "rootPassword"},
        "kind": "sql#instance",
        "name": name,
        "project": cloud.fleet.project,
        "databaseVersion": version,
        "backendType": "SECOND_GEN",
        "instanceType": "CLOUD_SQL_INSTANCE",
        "connectionName": f"{cloud.fleet.project}:{call.body['region']}:{name}",
        "gceZone": f"{call.body['region']}-a",
        "createTime": _time(cloud.fleet.clock),
        "state": "PENDING_CREATE",
        "settings": settings,
    }
    instance = cloud.fleet.add(resource)
    return call.submit("CREATE", instance, "create_instance", password=call.body.get("rootPassword"))


async def _patch(call: Call) -> Answer:
    instance = call.free(call.instance())
    return await _change(call, instance, _merged(instance.resource["settings"], call.body.get("settings", {})))


async def _update(call: Call) -> Answer:
    instance = call.free(call.instance())
    if "settingsVersion" not in call.body.get("settings", {}):
        refuse_request("Missing parameter: settings.settingsVersion.")
    return await _change(call, instance, _merged(_DEFAULT_SETTINGS, call.body["settings"]))


async def _change(call: Call, instance: Instance, settings: dict[str, Any]) -> Answer:
    before = instance.resource["settings"]
    for key in _UNCHANGEABLE:
        if key in call.body and call.body[key] != instance.resource.get(key):
            refuse_request(f"The {key} of an instance cannot be changed.")
    seen = call.body.get("settings", {}).get("settingsVersion")
    if seen is not None and str(seen) != before["settingsVersion"]:
        raise ApiRefusal(412, "conditionNotMet", "The settingsVersion is not that of the instance any more.")
    _check_flag_names(settings)
    await _check_flags_known(instance, settings)
    call.free(instance)
    settings["settingsVersion"] = str(int(before["settingsVersion"]) + 1)
    instance.resource["settings"] = settings
    call.cloud.fleet.save(instance)
    return call.submit("UPDATE", instance, "apply_settings", before=before)


async def _submit_restart(call: Call) -> Answer:
    return call.submit("RESTART", call.free(call.running_instance()), "restart_instance")


async def _submit_deletion(call: Call) -> Answer:
    instance = call.free(call.instance())
    if instance.resource["settings"].get("deletionProtectionEnabled"):
        refuse_request(
            "The instance is protected. Please disable the deletion protection and try again. To disable deletion "
            "protection, update the instance settings with deletionProtectionEnabled set to false."
        )
    instance.resource["state"] = "PENDING_DELETE"
    call.cloud.fleet.save(instance)
    return call.submit("DELETE", instance, "delete_instance")


async def _create(cloud: CloudSql, arguments: Arguments, _repeated: bool) -> None:
    instance = _of(cloud, arguments)
    try:
        await cloud.fleet.start(instance)
        if arguments.get("password"):
            async with await instance.cluster.connect() as admin:
                verifier = admin.pgconn.encrypt_password(str(arguments["password"]).encode(), b"postgres")
                await admin.execute(f"ALTER ROLE postgres PASSWORD '{verifier.decode()}'".encode())
        if not instance.wanted:
            await cloud.fleet.stop(instance)
    except ClusterFailed:
        instance.resource["state"] = "FAILED"
        cloud.fleet.save(instance)
        raise
    instance.resource["state"] = "RUNNABLE"
    cloud.fleet.save(instance)


async def _apply(cloud: CloudSql, arguments: Arguments, _repeated: bool) -> None:
    instance, before = _of(cloud, arguments), arguments["before"]
    if not instance.wanted:
        await cloud.fleet.stop(instance)
        return
    if instance.resource["settings"].get("databaseFlags") != before.get("databaseFlags"):
        await cloud.fleet.stop(instance)
    try:
        await cloud.fleet.start(instance)
    except ClusterFailed:  # a value that PostgreSQL refuses: the instance keeps what it had
        version = instance.resource["settings"]["settingsVersion"]
        instance.resource["settings"] = {**before, "settingsVersion": version}
        cloud.fleet.save(instance)
        if instance.wanted:
            await cloud.fleet.start(instance)
        raise


async def _restart(cloud: CloudSql, arguments: Arguments, _repeated: bool) -> None:
    instance = _of(cloud, arguments)
    await cloud.fleet.stop(instance)
    await cloud.fleet.start(instance)


async def _delete(cloud: CloudSql, arguments: Arguments, repeated: bool) -> None:
    instance = cloud.fleet.get(arguments["instance"])
    if instance is not None:
        await cloud.fleet.remove(instance)
    elif not repeated:
        raise WorkFailed("The instance has disappeared.")


def _of(cloud: CloudSql, arguments: Arguments) -> Instance:
    instance = cloud.fleet.get(arguments["instance"])
    if instance is None:
        raise WorkFailed("The instance has disappeared.")
    return instance


def _shown(call: Call, instance: Instance) -> Answer:
    return {
        **copy.deepcopy(instance.resource),
        "ipAddresses": ip_addresses(call.cloud, instance),
        "serverCaCert": {"kind": "sql#sslCert", "cert": call.cloud.authority.certificate_pem},
        "selfLink": f"{call.root_url}/projects/{call.cloud.fleet.project}/instances/{instance.name}",
        "etag": instance.resource["settings"]["settingsVersion"],
    }


def _merged(before: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a change into a document: objects by key, null takes away, everything else replaces."""
    merged = copy.deepcopy(dict(before))
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            merged[key] = _merged(merged.get(key) or {}, value)
        else:
            merged[key] = value
    return merged


def _check_flag_names(settings: Mapping[str, Any]) -> None:
    names = [flag.get("name", "") for flag in settings.get("databaseFlags", [])]
    if len(set(names)) != len(names):
        refuse_request("A database flag is named twice.")
    for name in names:
        if not re.fullmatch(r"[a-z_][a-z0-9_.]*", name) or _OUR_FLAGS.fullmatch(name):
            refuse_request(f"Invalid flag name: {name!r}.")


async def _check_flags_known(instance: Instance, settings: Mapping[str, Any]) -> None:
    names = [flag["name"] for flag in settings.get("databaseFlags", []) if "." not in flag["name"]]
    if not names or not instance.cluster.running():
        return
    async with await instance.cluster.connect() as admin:
        rows = await (await admin.execute("SELECT name FROM pg_settings WHERE context <> 'internal'")).fetchall()
    for name in sorted(set(names) - {row[0] for row in rows}):
        refuse_request(f"Invalid flag name: {name!r} is no setting of PostgreSQL.")


def _time(clock: LocalClock) -> str:
    return clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
