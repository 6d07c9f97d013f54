"""Rules on who may do what, what runs, and who is told. Each yields what is wrong, in a sentence."""

import json
import re
from collections.abc import Iterator
from tempfile import NamedTemporaryFile
from typing import Any

from tenantctl.config import NAMING_PRODUCTION, PREFIX, load_settings
from tenantctl.config.document import FILE_VARIABLE
from tenantctl.entrypoints.service.settings import AUDIENCE, CALLERS, service_settings
from tests.house.papers import unknown_words
from tests.infrastructure.duties import EVERYBODY, PLACES, Table, alarms, measures, table
from tests.infrastructure.plans import Plan, Planned

DIGEST = re.compile(r"[^@]+@sha256:[0-9a-f]{64}")
# Google's own roles, and to whom alone each may be given: an identity of ours or an agent of Google's.
GOOGLES_ROLES = {
    "roles/cloudkms.cryptoKeyEncrypterDecrypter": r"serviceAccount:.*(gcp-sa-cloud-sql|gs-project-accounts|stub:).*",
    "roles/iam.serviceAccountTokenCreator": r"user:.*|serviceAccount:service-.*@gcp-sa-pubsub\..*",
    "roles/pubsub.publisher": r"serviceAccount:.*",
    "roles/pubsub.subscriber": r"serviceAccount:.*",
    "roles/run.invoker": r"serviceAccount:.*|user:.*",  # people start jobs, which are what they are
    "roles/secretmanager.secretAccessor": r"serviceAccount:tenantctl-.*",
}
AUDITED = {"cloudkms.googleapis.com", "cloudsql.googleapis.com", "iam.googleapis.com", "storage.googleapis.com"}
DENIED = {
    "cloudkms.googleapis.com/cryptoKeyVersions.destroy",
    "cloudsql.googleapis.com/backupRuns.delete",
    "cloudsql.googleapis.com/instances.delete",
    "storage.googleapis.com/buckets.delete",
    "storage.googleapis.com/objects.delete",
}
ALERTED_BESIDES = {"a job failed", "an event of billing was given up", "something was deleted, or a guard was changed"}


def roles_are_the_table(plan: Plan) -> Iterator[str]:
    """Each power is a role, with its permissions and no other."""
    found = {one.values["role_id"]: set(one.values["permissions"]) for one in plan.of("project_iam_custom_role")}
    wanted = {f"tenantctl_{power}": set(permissions) for power, permissions in table().powers.items()}
    yield from (f"the role {name} is not as the table says" for name in wanted if found.get(name) != wanted[name])
    yield from (f"the role {name} is in no table" for name in found.keys() - wanted.keys())


def grants_are_the_table(plan: Plan) -> Iterator[str]:
    """Whoever has one of our roles has it by the table, at that place; Google's own roles go to their agents."""
    ours = f"projects/{plan.project}/roles/tenantctl_"
    found: dict[tuple[str, str], set[str]] = {}
    for one in plan.resources:
        role = one.values.get("role")
        if role is None or "_iam_" not in one.type:
            continue
        members = set(one.values.get("members") or [one.values.get("member")])
        if EVERYBODY & members:
            yield f"{one.address} is everybody's"
        if role.startswith(ours):
            at = (_place(one), role.removeprefix(ours))
            if found.setdefault(at, members) != members:
                yield f"{one.address} is given to others than elsewhere"
        elif role not in GOOGLES_ROLES:
            yield f"{one.address} gives {role}"
        else:
            known = [member for member in members if member is not None]
            yield from (
                f"{one.address} gives {role} to {who}" for who in known if not re.fullmatch(GOOGLES_ROLES[role], who)
            )
    wanted = table().grants(plan.project, plan.variable("operators"))
    for at in sorted(wanted.keys() | found.keys()):
        if wanted.get(at, set()) != found.get(at, set()):
            yield f"{at[1]} on {at[0]}: {sorted(found.get(at, set()) ^ wanted.get(at, set()))}"


def _place(one: Planned) -> str:
    """The place of the table that a grant of our own roles is at."""
    name = one.address.partition("[")[0] if one.address.startswith("google") else one.address.rpartition("google_")[2]
    word = name.partition(".")[2].partition("[")[0]
    place = {"backups": "keys", "keys": "key_buckets", "signs": "signing_key"}.get(word, word)
    assert place in PLACES, one.address
    return place


def the_registry_alone(plan: Plan) -> Iterator[str]:
    """Who enters the registry does so under a condition that names it."""
    for one in plan.of("project_iam_binding", address=".registry["):
        if f"projects/{plan.project}/instances/registry" not in one.block("condition").get("expression", ""):
            yield f"{one.address} is not of the registry alone"


def guards(plan: Plan) -> Iterator[str]:
    """What nobody may, whoever gave it."""
    policies = plan.of("iam_deny_policy")
    rules = [rule["deny_rule"][0] for one in policies for rule in one.values["rules"]]
    if {permission for rule in rules for permission in rule["denied_permissions"]} != DENIED:
        yield "the deny policy does not cover what takes something away"
    break_glass = f"principalSet://goog/group/{plan.variable('break_glass_group')}"
    (shredder,) = table().who("shred")
    for rule in rules:
        excepted = {break_glass}
        if rule["denied_permissions"] == ["storage.googleapis.com/objects.delete"]:
            excepted.add(
                f"principal://iam.googleapis.com/projects/-/serviceAccounts/{Table.email(plan.project, shredder)}"
            )
        if set(rule["exception_principals"]) != excepted or rule["denied_principals"] != [
            "principalSet://goog/public:all"
        ]:
            yield f"the deny policy lets others through: {rule['exception_principals']}"
    if [one.values["restrictions"] for one in plan.of("resource_manager_lien")] != [
        ["resourcemanager.projects.delete"]
    ]:
        yield "the project can be deleted"


def audit_logs(plan: Plan) -> Iterator[str]:
    """Every access is written down, nobody is left out, and the log is kept as long as there is anything to prove."""
    audited = {one.values["service"] for one in plan.of("project_iam_audit_config")}
    if not audited >= AUDITED:
        yield f"no audit log of {sorted(AUDITED - audited)}"
    for one in plan.of("project_iam_audit_config"):
        kinds = one.values["audit_log_config"]
        if {kind["log_type"] for kind in kinds} != {"ADMIN_READ", "DATA_READ", "DATA_WRITE"}:
            yield f"{one.address} leaves something out"
        if any(kind.get("exempted_members") for kind in kinds):
            yield f"{one.address} exempts somebody"
    logs = plan.of("logging_project_bucket_config")
    if [one.values["locked"] for one in logs] != [plan.variable("lock_retention")]:
        yield "the audit log's bucket is locked otherwise than lock_retention says"
    if any(one.values["retention_days"] < plan.policies.anchors.lock_days for one in logs):
        yield "the audit log ends before there is nothing left to prove"
    for sink in plan.of("logging_project_sink"):
        if sink.values.get("disabled") or sink.values.get("exclusions") or "data_access" not in sink.values["filter"]:
            yield f"{sink.address} leaves something out"


def jobs_and_schedules(plan: Plan) -> Iterator[str]:
    """Each duty that runs by itself has a job, with an end, and a schedule that starts that job alone."""
    wanted = {f"tenantctl-{name}": one for name, one in table().identities.items() if "arguments" in one}
    found = {one.values["name"]: one for one in plan.of("cloud_run_v2_job")}
    if found.keys() != wanted.keys():
        yield f"other jobs than the table's: {sorted(found.keys() ^ wanted.keys())}"
    for name in wanted.keys() & found.keys():
        task = found[name].block("template", "template")
        container = task["containers"][0]
        if task.get("timeout") != f"{wanted[name]['seconds_max']}s" or task.get("max_retries") != 0:
            yield f"{name} has no end of its own, or is begun anew by the platform"
        if task.get("service_account") != Table.email(plan.project, name.removeprefix("tenantctl-")):
            yield f"{name} runs as {task.get('service_account')}"
        if not DIGEST.fullmatch(container["image"]):
            yield f"{name} runs an image that is not named by its digest"
        if container["args"] != wanted[name]["arguments"] or unknown_words(f"tenantctl {' '.join(container['args'])}"):
            yield f"{name} runs what is no command: {container['args']}"
        yield from (f"{name}: {fault}" for fault in _environment(container))
    schedules = {one.values["name"]: one for one in plan.of("cloud_scheduler_job")}
    if schedules.keys() != wanted.keys():
        yield f"other schedules than the table's: {sorted(schedules.keys() ^ wanted.keys())}"
    for name in wanted.keys() & schedules.keys():
        target = schedules[name].block("http_target")
        token = schedules[name].block("http_target", "oauth_token")
        if not str(target.get("uri", "")).endswith(f"/jobs/{name}:run") or target.get("http_method") != "POST":
            yield f"the schedule {name} starts something else"
        if token.get("service_account_email") != Table.email(plan.project, "schedule") or target.get("oidc_token"):
            yield f"the schedule {name} does not call with an OAuth token as `schedule`"
        if schedules[name].values["schedule"] != wanted[name]["every"] or schedules[name].values.get("paused"):
            yield f"the schedule {name} is another one, or paused"


def _environment(container: Any) -> Iterator[str]:
    """What a container is told lets the program start, and names nothing that it does not know."""
    given = {one["name"]: one.get("value") for one in container.get("env", ())}
    missing = {f"{PREFIX}{name}" for name in NAMING_PRODUCTION} - given.keys()
    if missing:
        yield f"is not told {sorted(missing)}"
    elif load_settings({name: str(value) for name, value in given.items()}).local:
        yield "works on a local cloud"


def service_and_events(plan: Plan) -> Iterator[str]:
    """The service lets in whom the table says; no event is lost, neither by time nor by being given up."""
    for one in plan.of("cloud_run_v2_service"):
        container = one.block("template")["containers"][0]
        yield from (f"the service: {fault}" for fault in _environment(container))
        given = {each["name"]: str(each.get("value")) for each in container["env"]}
        settings = service_settings({name: given[name] for name in (AUDIENCE, CALLERS)})
        if settings.audience not in (one.values.get("custom_audiences") or ()):
            yield "the service is called for another audience than it takes"
        if one.values.get("ingress") != "INGRESS_TRAFFIC_INTERNAL_ONLY" or not DIGEST.fullmatch(container["image"]):
            yield "the service can be reached from everywhere, or runs an image without a digest"
        push = [each.block("push_config", "oidc_token") for each in plan.of("pubsub_subscription", address=".push[")]
        if [each.get("audience") for each in push] != [settings.audience]:
            yield "the push does not say for whom its token is"
        if any(each.get("service_account_email") != Table.email(plan.project, "push") for each in push):
            yield "the push does not say who it is"
    for one in plan.of("pubsub_subscription"):
        if [each.get("ttl") for each in one.values.get("expiration_policy") or ()] != [""]:
            yield f"{one.address} expires when it is quiet"
        if (
            "dead_letters" not in one.address
            and not one.block("dead_letter_policy").get("max_delivery_attempts", 0) >= 5
        ):
            yield f"{one.address} gives up nothing, or too early"
    if len(plan.of("pubsub_subscription", address="dead_letters")) != 1:
        yield "nobody keeps what was given up"
    for one in plan.of("pubsub_topic"):
        if one.block("message_storage_policy").get("allowed_persistence_regions") != [plan.variable("control_region")]:
            yield f"{one.address} keeps events elsewhere"


def somebody_is_told(plan: Plan) -> Iterator[str]:
    """Each alarm of the program has its alert, each job is missed when it is silent, and each reaches somebody."""
    wanted = {
        *alarms(),
        *(name for name, one in measures().items() if "alert" in one),
        *ALERTED_BESIDES,
        *(f"{name} has not run" for name, one in table().identities.items() if "arguments" in one),
    }
    found = {one.values["display_name"].removeprefix("tenantctl: "): one for one in plan.of("monitoring_alert_policy")}
    yield from (f"no alert of: {name}" for name in wanted - found.keys())
    yield from (f"an alert of what is no alarm: {name}" for name in found.keys() - wanted)
    if len(plan.of("monitoring_notification_channel")) != len(plan.variable("alert_emails")):
        yield "somebody who should be told is not"
    for name, one in found.items():
        if one.values.get("enabled") is False:
            yield f"the alert of {name} is switched off"
        condition = one.block("conditions", "condition_matched_log")
        if name in alarms() and not condition.get("filter", "").endswith(f'jsonPayload.alarm="{name}"'):
            yield f"the alert of {name} looks for something else"
        query = one.block("conditions", "condition_prometheus_query_language").get("query", "")
        if name in measures() and (name not in query or "${" in query):
            yield f"the alert of {name} measures something else"
    if len(plan.of("billing_budget")) != 1:
        yield "nobody is told what a month costs"


def everything_is_shown(plan: Plan) -> Iterator[str]:
    """The dashboard has a panel for each measure, that shows it."""
    shown = {}
    for one in plan.of("monitoring_dashboard"):
        for tile in json.loads(one.values["dashboard_json"])["mosaicLayout"]["tiles"]:
            (drawn,) = tile["widget"]["xyChart"]["dataSets"]
            shown[tile["widget"]["title"]] = drawn["timeSeriesQuery"]["prometheusQuery"]
    yield from (f"nothing shows {name}" for name in measures() if name not in shown.get(name, ""))
    yield from (f"a panel shows {name}, which nobody measures" for name in shown.keys() - measures().keys())


def images_and_network(plan: Plan) -> Iterator[str]:
    """A tag never comes to mean another image; nobody comes in; workers send private traffic into our network."""
    if [one.block("docker_config").get("immutable_tags") for one in plan.of("artifact_registry_repository")] != [True]:
        yield "a tag can come to mean another image"
    yield from (f"{one.address} lets somebody in" for one in plan.of("compute_firewall") if one.values.get("allow"))
    for one in (*plan.of("cloud_run_v2_job"), *plan.of("cloud_run_v2_service")):
        task = one.block("template", "template") or one.block("template")
        if not task.get("vpc_access"):
            yield f"{one.address} does not reach the instances"


def outputs_configure_the_program(plan: Plan) -> Iterator[str]:
    """The settings are the program's, complete; every region, instance and bucket is in the document."""
    settings = load_settings(plan.output("environment"))
    if (settings.project, settings.bucket_prefix) != (plan.project, plan.prefix):
        yield "the settings name another project or prefix"
    configuration = plan.output("configuration")
    with NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(configuration, file)
        file.flush()
        if load_settings({FILE_VARIABLE: file.name}) != settings:
            yield "the document says something else than the variables"
    buckets = {name for one in configuration["buckets"].values() for name in one.values()}
    if buckets != {one.values["name"] for one in plan.of("storage_bucket")}:
        yield "the document lacks a bucket"
    commands = plan.output("take_into_service")
    if len(commands) != len(plan.variable("instances")) or any(unknown_words(command) for command in commands):
        yield "an instance cannot be taken into service as the output says"


RULES = (
    roles_are_the_table,
    grants_are_the_table,
    the_registry_alone,
    guards,
    audit_logs,
    jobs_and_schedules,
    service_and_events,
    somebody_is_told,
    everything_is_shown,
    images_and_network,
    outputs_configure_the_program,
)
