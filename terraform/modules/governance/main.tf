# Who may do what, what nobody may, and who is told: from duties.yaml and alarms.yaml.

locals {
  table      = yamldecode(file("${path.module}/duties.yaml"))
  powers     = local.table.powers
  identities = local.table.identities
  places     = ["project", "registry", "instances", "vaults", "anchors", "key_buckets", "exports", "keys", "signing_key", "itself", "outbound"]
  role       = { for power, _ in local.powers : power => "projects/${var.project}/roles/tenantctl_${power}" }
  email      = { for name, _ in local.identities : name => "tenantctl-${name}@${var.project}.iam.gserviceaccount.com" }
  hands_on   = [for address, one in var.operators : address if one.hands_on]

  # Everybody who has powers: identities by their service accounts, people by their addresses.
  bearers = concat(
    [for name, one in local.identities : { identity = name, member = "serviceAccount:${local.email[name]}", may = one.may }],
    [for address, _ in var.operators : { identity = address, member = "user:${address}", may = local.table.people.operators.may }],
    [for address in local.hands_on : { identity = "hands-on ${address}", member = "user:${address}", may = local.table.people.hands_on.may }],
  )
  grants = { for place in local.places : place => { for power, role in local.role : power => {
    role = role, members = toset([for one in local.bearers : one.member if contains(try(one.may[place], []), power)])
  } if anytrue([for one in local.bearers : contains(try(one.may[place], []), power)]) } }

  # What a table must not say, whoever edits it.
  taking = ["delete", "destroy", "setIamPolicy", "update", "overwrite", "setRetention", "bypass"]
  faults = concat(
    flatten([for power, permissions in local.powers : [for permission in permissions :
      "${power} has ${permission}, which takes something away, and takes_away does not say so"
      if anytrue([for word in local.taking : endswith(lower(permission), lower(word))]) && permission != "storage.objects.update" && try(local.table.takes_away[permission].power, "") != power
    ]]),
    flatten([for permission, one in local.table.takes_away : [for bearer in local.bearers : [for place in local.places :
      "${bearer.identity} has ${one.power} on ${place}, and ${permission} is for ${one.place} alone"
      if place != one.place && contains(try(bearer.may[place], []), one.power)
    ]]]),
    flatten([for bearer in local.bearers : [for place, powers in bearer.may : [for power in powers :
      "${bearer.identity} has ${power} on ${place}, and there is no such power or place" if !contains(keys(local.powers), power) || !contains(local.places, place)
    ]]]),
    contains(try(local.identities.backup.may.keys, []), "unwrap") ? ["backup opens keys, and who makes backups opens none"] : [],
    [for name, one in local.identities : "${name} runs and has no end: seconds_max" if can(one.arguments) && !can(one.seconds_max)],
  )
}

resource "google_project_service" "api" {
  for_each = toset([
    "artifactregistry.googleapis.com", "billingbudgets.googleapis.com", "cloudkms.googleapis.com",
    "cloudresourcemanager.googleapis.com", "cloudscheduler.googleapis.com", "cloudtrace.googleapis.com", "telemetry.googleapis.com",
    "compute.googleapis.com", "iam.googleapis.com", "iamcredentials.googleapis.com", "logging.googleapis.com",
    "monitoring.googleapis.com", "pubsub.googleapis.com", "run.googleapis.com", "secretmanager.googleapis.com",
    "servicenetworking.googleapis.com", "sqladmin.googleapis.com", "storage.googleapis.com",
  ])

  service            = each.key
  disable_on_destroy = false
}

resource "google_service_account" "identity" {
  for_each     = local.identities
  account_id   = "tenantctl-${each.key}"
  display_name = "tenantctl ${each.key}"
  description  = each.value.says
  depends_on   = [google_project_service.api]
}

resource "google_project_iam_custom_role" "power" {
  for_each    = local.powers
  role_id     = "tenantctl_${each.key}"
  title       = "tenantctl ${each.key}"
  permissions = each.value
  depends_on  = [google_project_service.api]

  lifecycle {
    precondition {
      condition     = length(local.faults) == 0
      error_message = "duties.yaml cannot be:\n  ${join("\n  ", local.faults)}"
    }
  }
}

# Bindings, not members: whoever was given one of these roles by hand loses it with the next apply.
resource "google_project_iam_binding" "project" {
  for_each   = local.grants.project
  project    = var.project
  role       = each.value.role
  members    = each.value.members
  depends_on = [google_project_iam_custom_role.power, google_service_account.identity]
}

resource "google_project_iam_binding" "instances" {
  for_each   = local.grants.instances
  project    = var.project
  role       = each.value.role
  members    = each.value.members
  depends_on = [google_project_iam_custom_role.power, google_service_account.identity]
}

# Entering one instance is a grant of the project with a condition: Cloud SQL has no grants of its own.
resource "google_project_iam_binding" "registry" {
  for_each   = local.grants.registry
  project    = var.project
  role       = each.value.role
  members    = each.value.members
  depends_on = [google_project_iam_custom_role.power, google_service_account.identity]

  condition {
    title       = "the registry alone"
    description = "No tenant's instance"
    expression  = "resource.service == \"sqladmin.googleapis.com\" && resource.name == \"projects/${var.project}/instances/registry\""
  }
}

resource "google_service_account_iam_binding" "itself" {
  for_each           = { for pair in flatten([for name, one in local.identities : [for power in try(one.may.itself, []) : { identity = name, power = power }]]) : "${pair.identity}/${pair.power}" => pair }
  service_account_id = "projects/${var.project}/serviceAccounts/${local.email[each.value.identity]}"
  role               = local.role[each.value.power]
  members            = ["serviceAccount:${local.email[each.value.identity]}"]
  depends_on         = [google_project_iam_custom_role.power, google_service_account.identity]
}

# A person hands an export out, brings a backup back by hand, or migrates, as the identity that may; each is on record in
# the audit log.
resource "google_service_account_iam_binding" "acts_as" {
  for_each           = toset(length(local.hands_on) > 0 ? ["export", "migrate", "restore"] : [])
  service_account_id = "projects/${var.project}/serviceAccounts/${local.email[each.key]}"
  role               = "roles/iam.serviceAccountTokenCreator"
  members            = [for address in local.hands_on : "user:${address}"]
  depends_on         = [google_service_account.identity]
}
