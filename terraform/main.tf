# A guarded fleet: the policies become buckets, windows and grants here, and nothing that stands in them is said again.

locals {
  repository = coalesce(var.repository_folder, "${path.root}/..")
  policies   = { for name in ["anchors", "backups", "lifecycle", "regions"] : name => yamldecode(file("${local.repository}/policies/${name}.yaml")) }
  catalogue  = jsondecode(file("${local.repository}/tenantctl/placement/data/regions.json")).regions

  instances = { for name, one in var.instances : name => merge(one, { name = name }) }
  touched   = toset(concat([var.control_region], tolist(module.terms.copy_regions), tolist(module.terms.anchor_regions), [for one in var.instances : one.region]))
  labels    = merge(var.labels, { program = "tenantctl" })
}

data "google_project" "this" {
  project_id = var.project
}

data "google_storage_project_service_account" "this" {
  project = var.project
}

module "terms" {
  source = "./modules/terms"

  anchors          = local.policies.anchors
  backups          = local.policies.backups
  lifecycle_policy = local.policies.lifecycle
  regions          = local.policies.regions
  catalogue        = local.catalogue
  homes            = distinct([for one in var.instances : one.region if one.role == "tenants"])
  verifiers        = distinct([for one in var.instances : one.region if one.role == "verify"])
  control          = var.control_region
  s3_owner         = var.s3_owner
}

module "governance" {
  source = "./modules/governance"

  project           = var.project
  project_number    = data.google_project.this.number
  operators         = var.operators
  break_glass_group = var.break_glass_group
  alert_emails      = var.alert_emails
  runbook_url       = var.runbook_url
  budget            = var.budget
  limits            = { rpo_hours = local.policies.backups.rpo_hours, destroyed_max = local.policies.lifecycle.caps.destroy.tenants_max }
  log_region        = var.control_region
  log_days          = local.policies.anchors.lock_days
  lock_retention    = var.lock_retention
  labels            = local.labels
}

module "network" {
  source     = "./modules/network"
  depends_on = [module.governance]

  region = var.control_region
  labels = local.labels
}

module "region" {
  source     = "./modules/region"
  depends_on = [module.governance]
  for_each   = local.touched

  project         = var.project
  project_number  = data.google_project.this.number
  storage_agent   = data.google_storage_project_service_account.this.email_address
  region          = each.key
  bucket_prefix   = var.bucket_prefix
  holds_copies    = contains(module.terms.copy_regions, each.key)
  holds_anchors   = contains(module.terms.anchor_regions, each.key)
  holds_databases = each.key == var.control_region || contains([for one in var.instances : one.region], each.key)
  hosts_tenants   = contains([for one in var.instances : one.region if one.role == "tenants"], each.key)
  classes         = local.policies.backups.classes
  anchors         = { lock_days = local.policies.anchors.lock_days, age_days = local.policies.anchors.age_days }
  export_days     = local.policies.lifecycle.exports.age_days
  instance_days   = local.policies.lifecycle.instance_backup_days
  instances       = { for name, one in local.instances : name => one if one.region == each.key }
  network         = module.network.id
  grants          = module.governance.grants
  logins          = toset(concat([for one in module.governance.identities : one.email if one.tenants], [for address, one in var.operators : address if one.hands_on]))
  lock_retention  = var.lock_retention
  labels          = local.labels
}

module "control" {
  source     = "./modules/control"
  depends_on = [module.governance]

  project              = var.project
  project_number       = data.google_project.this.number
  region               = var.control_region
  image                = var.image
  registry             = var.registry
  registry_days        = module.terms.registry_days
  database_key         = module.region[var.control_region].database_key
  network              = module.network.id
  subnetwork           = module.network.subnetwork
  identities           = module.governance.identities
  operators            = keys(var.operators)
  billing_publishers   = var.billing_publishers
  service_callers      = var.service_callers
  announcement_readers = var.announcement_readers
  billing_url          = var.billing_url
  grants               = module.governance.grants
  bucket_prefix        = var.bucket_prefix
  off_cloud            = length(local.policies.backups.off_cloud) > 0
  s3_owner             = var.s3_owner
  labels               = local.labels
}

# The key that signs certificates of destruction. Its public half is handed out; the private one never leaves Cloud KMS.
resource "google_kms_key_ring" "global" {
  name       = "tenantctl"
  location   = "global"
  depends_on = [module.governance]
}

resource "google_kms_crypto_key" "certificates" {
  #checkov:skip=CKV_GCP_43:Keys that sign are not rotated by themselves; a certificate names the key that verifies it for years
  name                       = "certificates"
  key_ring                   = google_kms_key_ring.global.id
  purpose                    = "ASYMMETRIC_SIGN"
  destroy_scheduled_duration = "${120 * 86400}s"
  labels                     = local.labels

  version_template {
    algorithm        = "EC_SIGN_ED25519"
    protection_level = "SOFTWARE"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key_iam_binding" "signs" {
  for_each      = module.governance.grants.signing_key
  crypto_key_id = google_kms_crypto_key.certificates.id
  role          = each.value.role
  members       = each.value.members
}
