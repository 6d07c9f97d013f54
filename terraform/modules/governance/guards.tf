# What nobody may, and what is written down about who did what.

locals {
  break_glass = "principalSet://goog/group/${var.break_glass_group}"
  shredder    = one([for name, one in local.identities : "principal://iam.googleapis.com/projects/-/serviceAccounts/${local.email[name]}" if contains(try(one.may.key_buckets, []), "shred")])
}

resource "google_iam_deny_policy" "nobody_deletes" {
  parent       = urlencode("cloudresourcemanager.googleapis.com/projects/${var.project}")
  name         = "tenantctl-nobody-deletes"
  display_name = "Nobody deletes databases, backups or keys"

  rules {
    description = "Instances, their backups, buckets, and what keeps keys"

    deny_rule {
      denied_principals    = ["principalSet://goog/public:all"]
      exception_principals = [local.break_glass]
      denied_permissions = [
        "cloudkms.googleapis.com/cryptoKeyVersions.destroy",
        "cloudsql.googleapis.com/backupRuns.delete",
        "cloudsql.googleapis.com/instances.delete",
        "storage.googleapis.com/buckets.delete",
      ]
    }
  }

  rules {
    description = "Objects: buckets expire them, and one identity shreds wrapped keys"

    deny_rule {
      denied_principals    = ["principalSet://goog/public:all"]
      exception_principals = [local.break_glass, local.shredder]
      denied_permissions   = ["storage.googleapis.com/objects.delete"]
    }
  }

  depends_on = [google_project_service.api, google_service_account.identity]
}

resource "google_resource_manager_lien" "project" {
  parent       = "projects/${var.project_number}"
  restrictions = ["resourcemanager.projects.delete"]
  origin       = "tenantctl"
  reason       = "Customers' databases and the backups that were promised to them are in this project"
}

resource "google_project_iam_audit_config" "everything" {
  for_each = toset(["cloudkms.googleapis.com", "cloudsql.googleapis.com", "iam.googleapis.com", "run.googleapis.com", "secretmanager.googleapis.com", "storage.googleapis.com"])
  project  = var.project
  service  = each.key

  dynamic "audit_log_config" {
    for_each = toset(["ADMIN_READ", "DATA_READ", "DATA_WRITE"])
    content {
      log_type = audit_log_config.value
    }
  }
}

resource "google_logging_project_bucket_config" "audit" {
  project        = var.project
  location       = var.log_region
  bucket_id      = "tenantctl-audit"
  description    = "Who did what, kept as long as there is anything to prove"
  retention_days = var.log_days
  locked         = var.lock_retention
  depends_on     = [google_project_service.api]

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_logging_project_sink" "audit" {
  name                   = "tenantctl-audit"
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.audit.id}"
  filter                 = "log_id(\"cloudaudit.googleapis.com/activity\") OR log_id(\"cloudaudit.googleapis.com/data_access\") OR log_id(\"cloudaudit.googleapis.com/policy\")"
  unique_writer_identity = true
}
