"""Rules on what holds customers' bytes and keys: buckets, instances, keys. Each yields what is wrong, in a sentence."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import chain

from tenantctl.adapters.google.estate import ROTATION, BucketPlan, bucket_plans
from tenantctl.adapters.google.instances import INSTANCE_SETTINGS
from tenantctl.adapters.google.key_store import key_bucket_name
from tenantctl.adapters.google.keys import KEY, KEY_RING
from tenantctl.adapters.google.signer import ALGORITHM, LOCATION, signing_key_name
from tenantctl.adapters.google.signer import KEY as SIGNING_KEY
from tenantctl.backups.exports import export_bucket_name
from tenantctl.backups.terms import regions_with_copies
from tenantctl.bootstrap import DATABASE_VERSION
from tenantctl.bootstrap.estate import TENANTS_ROLE
from tenantctl.model.anchor import anchor_bucket_name
from tests.infrastructure.plans import Plan, Planned

DAY = timedelta(days=1) // timedelta(seconds=1)
CERTIFIED = "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"  # the registry is entered through connectors alone
NOTHING_REPEATED = {
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}  # of statements and rows, in logs
SECOND_LOOK_DAYS_MIN = 30  # for how long a key that somebody destroys can be brought back


def copy_regions(plan: Plan) -> list[str]:
    """The regions that hold copies, as the program says."""
    policy, words = plan.policies.backups, plan.policies.regions.regions
    kept = (regions_with_copies(words, home, plan.laws, copies_min=policy.copies_min) for home in plan.homes)
    return sorted(set(chain.from_iterable(kept)))


def locked_buckets(plan: Plan) -> Iterator[str]:
    """There is each bucket that the program writes backups and anchors to, with its very term, and no other."""
    wanted = {one.name: one for one in bucket_plans(plan.prefix, copy_regions(plan), plan.policies.backups)}
    anchors = plan.policies.anchors
    for region in anchors.regions:
        name = anchor_bucket_name(plan.prefix, region, anchors.age_days)
        wanted[name] = BucketPlan(name, region, anchors.term)
    found = {one.values["name"]: one for one in plan.of("storage_bucket", address=".locked[")}
    yield from (f"{name} is missing" for name in wanted.keys() - found.keys())
    yield from (f"{name} is no bucket of the program's" for name in found.keys() - wanted.keys())
    for name in wanted.keys() & found.keys():
        bucket, term = found[name], wanted[name].term
        if bucket.values["location"] != wanted[name].region:
            yield f"{name} lies in {bucket.values['location']}"
        if bucket.block("retention_policy").get("retention_period") != str(term.lock_days * DAY):
            yield f"{name} does not lock for {term.lock_days} days"
        if bucket.block("retention_policy").get("is_locked") is not plan.variable("lock_retention"):
            yield f"{name} is locked otherwise than lock_retention says"
        yield from _deletes_at(bucket, term.age_days)


def open_buckets(plan: Plan) -> Iterator[str]:
    """Key buckets and buckets of exports are there, and keep nothing that is removed."""
    keys = {key_bucket_name(plan.prefix, region) for region in copy_regions(plan)}
    days = plan.policies.lifecycle.exports.age_days
    exports = {export_bucket_name(plan.prefix, region, days) for region in plan.homes}
    found = {one.values["name"]: one for one in plan.of("storage_bucket") if ".locked[" not in one.address}
    if found.keys() != keys | exports:
        yield f"other buckets than the program's: {sorted(found.keys() ^ (keys | exports))}"
    for name, bucket in found.items():
        if bucket.values.get("retention_policy"):
            yield f"{name} keeps what is removed from it"
        if name in exports:
            yield from _deletes_at(bucket, days)
        elif bucket.values.get("lifecycle_rule"):
            yield f"{name} deletes keys by their age"


def every_bucket(plan: Plan) -> Iterator[str]:
    """Nothing outlives its term, nobody unknown reads, and nothing is emptied in order to be deleted."""
    for bucket in plan.of("storage_bucket"):
        name, values = bucket.values["name"], bucket.values
        if values.get("force_destroy"):
            yield f"{name} can be destroyed with what is in it"
        if (
            values.get("uniform_bucket_level_access") is not True
            or values.get("public_access_prevention") != "enforced"
        ):
            yield f"{name} can be made public"
        if bucket.block("soft_delete_policy").get("retention_duration_seconds") != 0:
            yield f"{name} keeps what was deleted"
        if bucket.block("versioning").get("enabled") is not False:
            yield f"{name} keeps old versions"
        if "encryption" not in values:
            yield f"{name} is not under a key of ours"
        if len(name) > 63:
            yield f"{name} is too long for a name"


def _deletes_at(bucket: Planned, age_days: int) -> Iterator[str]:
    rules = bucket.values.get("lifecycle_rule") or []
    ages = [rule["condition"][0].get("age") for rule in rules if rule["action"][0]["type"] == "Delete"]
    if len(rules) != 1 or ages != [age_days]:
        yield f"{bucket.values['name']} does not delete at {age_days} days: {rules}"


def every_instance(plan: Plan) -> Iterator[str]:
    """Two protections, a standby, a private address, TLS, our key, a disk that grows; and what a move needs."""
    flags = {flag["name"]: flag["value"] for flag in INSTANCE_SETTINGS["databaseFlags"]}
    for one in plan.of("sql_database_instance"):
        name, settings, net = one.values["name"], one.block("settings"), one.block("settings", "ip_configuration")
        wanted = {
            "deletion_protection": (one.values.get("deletion_protection"), True),
            "deletion_protection_enabled": (settings.get("deletion_protection_enabled"), True),
            "availability_type": (settings.get("availability_type"), "REGIONAL"),
            "edition": (settings.get("edition"), "ENTERPRISE"),
            "database_version": (one.values.get("database_version"), DATABASE_VERSION),
            "disk_autoresize": (settings.get("disk_autoresize"), True),
            "retain_backups_on_delete": (settings.get("retain_backups_on_delete"), False),
            "ipv4_enabled": (net.get("ipv4_enabled"), False),
            "ssl_mode": (net.get("ssl_mode"), CERTIFIED if name == "registry" else "ENCRYPTED_ONLY"),
            "query_plans_per_minute": (one.block("settings", "insights_config").get("query_plans_per_minute"), 0),
            "authorized_networks": (net.get("authorized_networks") or [], []),
        }
        yield from (
            f"{name}: {key} is {is_} and not {should}" for key, (is_, should) in wanted.items() if is_ != should
        )
        given = {flag["name"]: flag["value"] for flag in settings.get("database_flags", ())}
        if name == "registry":
            flags = {"cloudsql.iam_authentication": "on", **NOTHING_REPEATED}
        yield from (f"{name}: {flag} is not {value}" for flag, value in flags.items() if given.get(flag) != value)


def every_window(plan: Plan) -> Iterator[str]:
    """Each instance's own backups and logs end within what the policies count as residue, and there are some."""
    life, backups = plan.policies.lifecycle, plan.policies.backups
    for one in plan.of("sql_database_instance"):
        name, kept = one.values["name"], one.block("settings", "backup_configuration")
        days = (
            min(life.registry_backup_days, backups.key_residue_days)
            if name == "registry"
            else life.instance_backup_days
        )
        retention = one.block("settings", "backup_configuration", "backup_retention_settings")
        if kept.get("enabled") is not True or kept.get("point_in_time_recovery_enabled") is not True:
            yield f"{name} has no backups of its own, or no point-in-time recovery"
        if kept.get("location") != one.values["region"]:
            yield f"{name} keeps its backups in {kept.get('location')}, not in {one.values['region']}"
        if retention.get("retention_unit") != "COUNT" or not 1 <= retention.get("retained_backups", 0) <= days - 1:
            yield f"{name} keeps its backups for longer than {days} days"
        if not 1 <= (kept.get("transaction_log_retention_days") or 0) <= min(7, days - 1):
            yield f"{name} keeps its logs for longer than {days} days, or than may be"
        final = one.block("settings", "final_backup_config")
        if final.get("enabled") is not True or not 1 <= final.get("retention_days", 0) <= days - 1:
            yield f"{name} leaves no final backup, or one for longer than {days} days"


def every_login(plan: Plan) -> Iterator[str]:
    """Nobody has a password; only `migrate` administers the registry; nobody unknown enters a tenant's instance."""
    for one in plan.of("sql_user"):
        name, kind = one.values["name"], one.values.get("type")
        if kind not in {"CLOUD_IAM_SERVICE_ACCOUNT", "CLOUD_IAM_USER"} or one.values.get("password"):
            yield f"{one.address} is no IAM login"
        if name.endswith(".gserviceaccount.com"):
            yield f"{one.address} is not what PostgreSQL calls it"
        registry = one.values["instance"] == "registry"
        roles = list(one.values.get("database_roles") or ())
        if roles != ([TENANTS_ROLE] if not registry or name.startswith("tenantctl-migrate@") else []):
            yield f"{one.address} has the roles {roles}"
        if not registry and name.startswith(("tenantctl-serve@", "tenantctl-migrate@")):
            yield f"{one.address} enters a tenant's instance"


def every_key(plan: Plan) -> Iterator[str]:
    """Rings and keys where the program looks for them; wrapped keys rotate, and a destroyed one can be brought back."""
    rings = {(one.values["name"], one.values["location"]) for one in plan.of("kms_key_ring")}
    wanted = {(KEY_RING, region) for region in (*copy_regions(plan), LOCATION)}
    yield from (f"there is no key ring {ring} in {region}" for ring, region in wanted - rings)
    wrapping = [one for one in plan.of("kms_crypto_key") if one.values["name"] == KEY]
    if len(wrapping) != len(copy_regions(plan)):
        yield f"{len(wrapping)} keys wrap, and {len(copy_regions(plan))} regions hold copies"
    for one in plan.of("kms_crypto_key"):
        if one.values["name"] == SIGNING_KEY:
            if one.block("version_template").get("algorithm") != ALGORITHM:
                yield f"{one.address} does not sign with {ALGORITHM}"
        elif one.values.get("rotation_period") != f"{ROTATION // timedelta(seconds=1)}s":
            yield f"{one.address} does not rotate every {ROTATION}"
        days = int((one.values.get("destroy_scheduled_duration") or "0s").removesuffix("s")) // DAY
        if days < SECOND_LOOK_DAYS_MIN:
            yield f"{one.address} is gone {days} days after somebody destroys it"
    if plan.output("configuration")["signing_key"] != signing_key_name(plan.project):
        yield "the signing key is not where the program looks for it"


RULES = (locked_buckets, open_buckets, every_bucket, every_instance, every_window, every_login, every_key)
