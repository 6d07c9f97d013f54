# The registry: one instance with a standby, whose own backups end before a shredded key could come back from them.

resource "google_sql_database_instance" "registry" {
  #checkov:skip=CKV_GCP_111:What is written into the registry is in its journal, chained and anchored; statements would repeat names in a log
  #checkov:skip=CKV_GCP_109:A statement that fails can name customers, and none is logged with its error: that begins with PANIC
  #checkov:skip=CKV_GCP_110:Every change is in the registry's journal, and who entered is in the audit log and in log_connections
  #checkov:skip=CKV2_GCP_13:It would be a line for every statement of every worker, with a number and no more; Query Insights has them
  #checkov:skip=CKV_GCP_108:Every host name would be looked up at each log-in; the address is logged
  name                = "registry"
  region              = var.region
  database_version    = "POSTGRES_18"
  encryption_key_name = var.database_key
  deletion_protection = true

  settings {
    tier                        = var.registry.tier
    edition                     = "ENTERPRISE"
    availability_type           = "REGIONAL"
    deletion_protection_enabled = true
    disk_type                   = "PD_SSD"
    disk_size                   = var.registry.disk_gb
    disk_autoresize             = true
    disk_autoresize_limit       = var.registry.disk_gb_max
    retain_backups_on_delete    = false # they would outlive the window below; the final backup is for mistakes
    connector_enforcement       = "REQUIRED"
    user_labels                 = merge(var.labels, { holds = "registry" })

    database_flags {
      name  = "cloudsql.iam_authentication"
      value = "on"
    }
    dynamic "database_flags" {
      for_each = toset(["log_checkpoints", "log_connections", "log_disconnections", "log_lock_waits"])
      content {
        name  = database_flags.value
        value = "on"
      }
    }
    # What a server logs repeats neither statements nor rows: a statement that failed, or waits for a lock, is left out,
    # and so is the detail that shows the row in its way.
    database_flags {
      name  = "log_min_error_statement"
      value = "panic"
    }
    database_flags {
      name  = "log_error_verbosity"
      value = "terse"
    }

    ip_configuration {
      ipv4_enabled    = false
      private_network = var.network
      ssl_mode        = "TRUSTED_CLIENT_CERTIFICATE_REQUIRED" # only the program and operators enter, through connectors that have one
    }

    # All that can bring a shredded key or a blanked name back ends within registry_backup_days and key_residue_days.
    backup_configuration {
      enabled                        = true
      start_time                     = "02:00"
      location                       = var.region
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = min(7, var.registry_days - 1)

      backup_retention_settings {
        retention_unit   = "COUNT"
        retained_backups = var.registry_days - 1
      }
    }

    final_backup_config {
      enabled        = true
      retention_days = var.registry_days - 1
    }

    insights_config {
      query_insights_enabled  = true
      query_string_length     = 1024
      query_plans_per_minute  = 0 # a plan repeats the values that were asked for
      record_client_address   = false
      record_application_tags = false
    }

    maintenance_window {
      day          = 7
      hour         = 5
      update_track = "stable"
    }
  }

  lifecycle {
    prevent_destroy = true
    ignore_changes  = [settings[0].disk_size] # it grows by itself
  }
}

# `migrate` administers the registry and owns nothing else; everybody else is let in as far as the schema says.
resource "google_sql_user" "registry" {
  for_each = toset(concat([for one in var.identities : one.email if one.enters], tolist(var.operators)))
  instance = google_sql_database_instance.registry.name
  name     = trimsuffix(each.key, ".gserviceaccount.com")
  type     = endswith(each.key, ".gserviceaccount.com") ? "CLOUD_IAM_SERVICE_ACCOUNT" : "CLOUD_IAM_USER"

  database_roles = each.key == var.identities["migrate"].email ? ["cloudsqlsuperuser"] : []
}

resource "google_sql_database" "registry" {
  name            = "tenantctl"
  instance        = google_sql_database_instance.registry.name
  charset         = "UTF8"
  deletion_policy = "ABANDON"

  lifecycle {
    prevent_destroy = true
  }
}
