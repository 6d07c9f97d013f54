"""Known mistakes in the infrastructure: each is found by Terraform's own tests and conditions, or by a test of ours."""

from typing import Final

from tests.simulation.mutant import Mutant

BUCKETS: Final = "terraform/modules/region/buckets.tf"
INSTANCES: Final = "terraform/modules/region/instances.tf"
REGION: Final = "terraform/modules/region/main.tf"
TERMS: Final = "terraform/modules/terms/main.tf"
REGISTRY: Final = "terraform/modules/control/registry.tf"
JOBS: Final = "terraform/modules/control/jobs.tf"
SERVICE: Final = "terraform/modules/control/service.tf"
GUARDS: Final = "terraform/modules/governance/guards.tf"
ALARMS: Final = "terraform/modules/governance/alarms.tf"
DUTIES: Final = "terraform/modules/governance/duties.yaml"
MAIN: Final = "terraform/main.tf"

BY_TERMS: Final = ("terraform/tests/terms.tftest.hcl",)
BY_REGION: Final = ("terraform/tests/region.tftest.hcl",)
BY_GOVERNANCE: Final = ("terraform/tests/governance.tftest.hcl",)
BY_PLANS: Final = ("tests/infrastructure/test_plans.py",)
BY_SOURCES: Final = ("tests/infrastructure/test_sources.py",)

_WRITE: Final = "write: [storage.buckets.get, storage.objects.create, storage.objects.get]"
_VAULTS_OF_BACKUP: Final = "instances: [enter], vaults: [write], key_buckets: [write], keys: [wrap]"
_AGE: Final = "      age = each.value.age_days\n    }\n  }\n\n"
_EXPORTS: Final = '  labels                      = merge(var.labels, { holds = "exports" })'
_AUDITS: Final = '"cloudkms.googleapis.com", "cloudsql.googleapis.com", "iam.googleapis.com", "run'

MUTANTS: Final = (
    Mutant(
        "a lock is ten days shorter than the policy says",
        BUCKETS,
        "tostring(each.value.lock_days * local.day)",
        "tostring((each.value.lock_days - 10) * local.day)",
        BY_PLANS,
    ),
    Mutant(
        "retention is locked without anybody's word",
        BUCKETS,
        "is_locked        = var.lock_retention",
        "is_locked        = true",
        BY_PLANS,
    ),
    Mutant("objects go a day late", BUCKETS, "age = each.value.age_days", "age = each.value.age_days + 1", BY_PLANS),
    Mutant(
        "soft delete keeps what a bucket has expired for a week",
        BUCKETS,
        f"{_AGE}  soft_delete_policy {{\n    retention_duration_seconds = 0",
        f"{_AGE}  soft_delete_policy {{\n    retention_duration_seconds = 604800",
        BY_PLANS,
    ),
    Mutant(
        "a shredded key lies among the old versions",
        BUCKETS,
        '{ holds = "keys" })\n\n  soft_delete_policy {\n    retention_duration_seconds = 0\n  }\n\n'
        "  versioning {\n    enabled = false",
        '{ holds = "keys" })\n\n  soft_delete_policy {\n    retention_duration_seconds = 0\n  }\n\n'
        "  versioning {\n    enabled = true",
        BY_PLANS,
    ),
    Mutant(
        "a bucket of backups is emptied in order to be destroyed",
        BUCKETS,
        "  name                        = each.value.name\n  location                    = var.region\n"
        '  storage_class               = "STANDARD"\n  force_destroy               = false',
        "  name                        = each.value.name\n  location                    = var.region\n"
        '  storage_class               = "STANDARD"\n  force_destroy               = true',
        BY_PLANS,
    ),
    Mutant(
        "a bucket of exports can be made public",
        BUCKETS,
        f'  public_access_prevention    = "enforced"\n{_EXPORTS}',
        f'  public_access_prevention    = "inherited"\n{_EXPORTS}',
        BY_PLANS,
    ),
    Mutant(
        "everybody reads the backups",
        BUCKETS,
        "  members  = each.value.grant.members",
        '  members  = setunion(each.value.grant.members, ["allUsers"])',
        BY_PLANS,
    ),
    Mutant(
        "Terraform may destroy a bucket of backups",
        BUCKETS,
        "    prevent_destroy = true\n\n    precondition",
        "    prevent_destroy = false\n\n    precondition",
        BY_SOURCES,
    ),
    Mutant(
        "the buckets are called otherwise than the program looks for them",
        BUCKETS,
        'name = "${var.bucket_prefix}-${var.region}-${class}-${term.age_days}d"',
        'name = "${var.bucket_prefix}-${var.region}-${class}-${term.lock_days}d"',
        BY_REGION,
    ),
    Mutant(
        "anybody may delete an instance through the API",
        INSTANCES,
        "deletion_protection_enabled = true",
        "deletion_protection_enabled = false",
        BY_REGION,
    ),
    Mutant(
        "an instance has a public address", INSTANCES, "ipv4_enabled    = false", "ipv4_enabled    = true", BY_PLANS
    ),
    Mutant(
        "an instance's own backups outlive the promise",
        INSTANCES,
        "retained_backups = var.instance_days - 1",
        "retained_backups = 30",
        BY_REGION,
    ),
    Mutant(
        "a deleted instance leaves a final backup for a year",
        INSTANCES,
        "retention_days = var.instance_days - 1",
        "retention_days = 365",
        BY_PLANS,
    ),
    Mutant(
        "an instance has no standby",
        INSTANCES,
        'availability_type           = "REGIONAL"',
        'availability_type           = "ZONAL"',
        BY_PLANS,
    ),
    Mutant(
        "a disk that grew is made small again, with its instance",
        INSTANCES,
        "    ignore_changes  = [settings[0].disk_size] # it grows by itself\n",
        "",
        BY_SOURCES,
    ),
    Mutant(
        "an instance logs what customers asked for when it fails",
        INSTANCES,
        'name  = "log_min_error_statement"\n      value = "panic"',
        'name  = "log_min_error_statement"\n      value = "error"',
        BY_PLANS,
    ),
    Mutant(
        "the registry's backups bring shredded keys back for a month",
        REGISTRY,
        "retained_backups = var.registry_days - 1",
        "retained_backups = var.registry_days + 22",
        BY_PLANS,
    ),
    Mutant(
        "everybody administers the registry",
        REGISTRY,
        'each.key == var.identities["migrate"].email ? ["cloudsqlsuperuser"] : []',
        '["cloudsqlsuperuser"]',
        BY_PLANS,
    ),
    Mutant(
        "a key that somebody destroys is gone in a day",
        REGION,
        '"${120 * local.day}s"',
        '"${1 * local.day}s"',
        BY_PLANS,
    ),
    Mutant("keys rotate once a year", REGION, '"${90 * local.day}s"', '"${365 * local.day}s"', BY_PLANS),
    Mutant(
        "a partner outside the jurisdiction is taken as it comes",
        TERMS,
        "&& !local.words[home].abroad]",
        "&& false]",
        BY_TERMS,
    ),
    Mutant(
        "who is kept at home has copies abroad",
        TERMS,
        "if contains(local.kept, local.law[home]) && 1 + length(local.at_home[home]) < var.backups.copies_min]",
        "if false]",
        BY_TERMS,
    ),
    Mutant("the days of repair are left out of the sum", TERMS, "var.backups.repair_days + ", "0 + ", BY_TERMS),
    Mutant(
        "the residue of keys does not bind the registry",
        TERMS,
        "min(var.lifecycle_policy.registry_backup_days, var.backups.key_residue_days)",
        "var.lifecycle_policy.registry_backup_days",
        BY_TERMS,
    ),
    Mutant(
        "who makes backups may delete them",
        DUTIES,
        _WRITE,
        "write: [storage.buckets.get, storage.objects.create, storage.objects.delete, storage.objects.get]",
        BY_GOVERNANCE,
    ),
    Mutant(
        "who makes backups may open them",
        DUTIES,
        _VAULTS_OF_BACKUP,
        _VAULTS_OF_BACKUP.replace("[wrap]", "[wrap, unwrap]"),
        BY_GOVERNANCE,
    ),
    Mutant(
        "who drops databases may shred keys",
        DUTIES,
        "instances: [enter], anchors: [look, write]}",
        "instances: [enter], anchors: [look, write], key_buckets: [shred]}",
        BY_GOVERNANCE,
    ),
    Mutant(
        "who audits may delete copies",
        DUTIES,
        "vaults: [look, hold]",
        "vaults: [look, hold, shred]",
        BY_GOVERNANCE,
    ),
    Mutant(
        "who deactivates cannot tell a restored registry, and puts off what others should do",
        DUTIES,
        'every: "*/10 * * * *"\n    seconds_max: 3600\n    may: {project: [tell], instances: [enter], anchors: [look]}',
        'every: "*/10 * * * *"\n    seconds_max: 3600\n    may: {project: [tell], instances: [enter]}',
        BY_SOURCES,
    ),
    Mutant(
        "the service enters tenants' instances",
        DUTIES,
        "{project: [tell], registry: [enter], outbound",
        "{project: [tell], instances: [enter], outbound",
        BY_PLANS,
    ),
    Mutant("a job has no end", JOBS, '      timeout         = "${each.value.seconds_max}s"\n', "", BY_PLANS),
    Mutant(
        "every job runs as the one that destroys",
        JOBS,
        "= each.value.email",
        '= var.identities["destroy"].email',
        BY_PLANS,
    ),
    Mutant(
        "the scheduler calls with the wrong kind of token",
        JOBS,
        '    oauth_token {\n      service_account_email = var.identities["schedule"].email\n'
        '      scope                 = "https://www.googleapis.com/auth/cloud-platform"\n    }',
        '    oidc_token {\n      service_account_email = var.identities["schedule"].email\n    }',
        BY_PLANS,
    ),
    Mutant(
        "a job is not told whose buckets",
        JOBS,
        "      TENANTCTL_BUCKET_PREFIX      = var.bucket_prefix\n",
        "",
        BY_PLANS,
    ),
    Mutant("a tag can come to mean another image", JOBS, "immutable_tags = true", "immutable_tags = false", BY_PLANS),
    Mutant(
        "the service can be reached from everywhere",
        SERVICE,
        '"INGRESS_TRAFFIC_INTERNAL_ONLY"',
        '"INGRESS_TRAFFIC_ALL"',
        BY_PLANS,
    ),
    Mutant(
        "billing's subscription ends after a quiet month",
        SERVICE,
        'ttl = "" # never: a quiet month is no reason to lose the next cancellation',
        'ttl = "2678400s"',
        BY_PLANS,
    ),
    Mutant(
        "events that were given up are kept by nobody",
        SERVICE,
        'resource "google_pubsub_subscription" "dead_letters" {\n',
        'resource "google_pubsub_subscription" "dead_letters" {\n  count = 0\n',
        BY_PLANS,
    ),
    Mutant(
        "the deny policy forgets backups of instances",
        GUARDS,
        '        "cloudsql.googleapis.com/backupRuns.delete",\n',
        "",
        BY_PLANS,
    ),
    Mutant(
        "the one that shreds may delete buckets too",
        GUARDS,
        "exception_principals = [local.break_glass]\n",
        "exception_principals = [local.break_glass, local.shredder]\n",
        BY_GOVERNANCE,
    ),
    Mutant(
        "the project can be deleted",
        GUARDS,
        'restrictions = ["resourcemanager.projects.delete"]',
        "restrictions = []",
        BY_GOVERNANCE,
    ),
    Mutant("nobody writes down who read a backup", GUARDS, '"DATA_READ", ', "", BY_PLANS),
    Mutant(
        "nobody writes down who used a key",
        GUARDS,
        _AUDITS,
        _AUDITS.replace('"cloudkms.googleapis.com", ', ""),
        BY_PLANS,
    ),
    Mutant(
        "the audit log ends after a month",
        MAIN,
        "log_days          = local.policies.anchors.lock_days",
        "log_days          = 30",
        BY_PLANS,
    ),
    Mutant(
        "a job that is silent is missed by nobody",
        ALARMS,
        "for_each              = local.jobs",
        "for_each              = {}",
        BY_PLANS,
    ),
    Mutant(
        "nobody is told of a lost copy",
        "terraform/modules/governance/alarms.yaml",
        "copy-lost: CRITICAL\n",
        "",
        ("tests/house/test_alarms.py",),
    ),
    Mutant(
        "nobody is told of databases that are dropped in numbers",
        "terraform/modules/governance/metrics.yaml",
        '  alert: {when: "sum(max_over_time(tenantctl_databases_destroyed_total[24h])) > ${destroyed_max}"',
        '  alert: {when: "sum(max_over_time(tenantctl_tenants_due[24h])) > ${destroyed_max}"',
        ("tests/house/test_measures.py",),
    ),
    Mutant(
        "a measure is shown to nobody",
        "terraform/modules/governance/dashboard.tf",
        "tiles = [for index, name in keys(local.metrics) : {",
        "tiles = [for index, name in keys(local.watched) : {",
        BY_PLANS,
    ),
    Mutant(
        "the certificates' key signs otherwise than its verifiers read",
        MAIN,
        '"EC_SIGN_ED25519"',
        '"EC_SIGN_P256_SHA256"',
        BY_PLANS,
    ),
)
