# The instances that host tenants, and those that backups are proved on.

resource "google_sql_database_instance" "this" {
  #checkov:skip=CKV_GCP_6:Whatever is not encrypted is refused (ENCRYPTED_ONLY); customers have passwords and no certificates of ours
  #checkov:skip=CKV_GCP_111:Statements of customers are customers' data; the log has connections and waits, not what was said
  #checkov:skip=CKV_GCP_109:A statement that fails is customers' data, and none is logged with its error: that begins with PANIC
  #checkov:skip=CKV_GCP_110:Customers' statements would be written into our log by pgAudit; who entered is in the audit log and in log_connections
  #checkov:skip=CKV2_GCP_13:It would be a line for every statement of every customer, with a number and no more; Query Insights has them
  #checkov:skip=CKV_GCP_108:Every host name would be looked up at each log-in; the address is logged
  for_each            = var.instances
  name                = each.key
  region              = var.region
  database_version    = "POSTGRES_18"
  encryption_key_name = google_kms_crypto_key.databases[0].id
  deletion_protection = true

  settings {
    tier                        = each.value.tier
    edition                     = "ENTERPRISE"
    availability_type           = "REGIONAL"
    deletion_protection_enabled = true
    disk_type                   = "PD_SSD"
    disk_size                   = each.value.disk_gb
    disk_autoresize             = true
    disk_autoresize_limit       = each.value.disk_gb_max
    retain_backups_on_delete    = false          # they would outlive the window below; the final backup is for mistakes
    connector_enforcement       = "NOT_REQUIRED" # customers, and moves between instances, connect without one, over TLS
    user_labels                 = merge(var.labels, { holds = each.value.role })

    database_flags {
      name  = "cloudsql.iam_authentication" # our own logins have no passwords
      value = "on"
    }
    database_flags {
      name  = "cloudsql.logical_decoding" # a tenant can be moved while it works
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
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    # All that can bring bytes back ends within instance_backup_days: as many daily backups are kept as days, less one,
    # since each lapses when the next replaces it.
    backup_configuration {
      enabled                        = true
      start_time                     = "03:00"
      location                       = var.region
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = min(7, var.instance_days - 1)

      backup_retention_settings {
        retention_unit   = "COUNT"
        retained_backups = var.instance_days - 1
      }
    }

    final_backup_config {
      enabled        = true
      retention_days = var.instance_days - 1
    }

    insights_config {
      query_insights_enabled  = true
      query_string_length     = 256
      query_plans_per_minute  = 0 # a plan repeats the values that were asked for
      record_client_address   = false
      record_application_tags = false
    }

    maintenance_window {
      day          = 7
      hour         = 4
      update_track = "stable"
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.sql_agent]

  lifecycle {
    prevent_destroy = true
    ignore_changes  = [settings[0].disk_size] # it grows by itself
  }
}

resource "google_sql_user" "login" {
  for_each = { for pair in setproduct(keys(var.instances), var.logins) : join("/", pair) => { instance = pair[0], address = pair[1] } }
  instance = google_sql_database_instance.this[each.value.instance].name
  name     = trimsuffix(each.value.address, ".gserviceaccount.com")
  type     = endswith(each.value.address, ".gserviceaccount.com") ? "CLOUD_IAM_SERVICE_ACCOUNT" : "CLOUD_IAM_USER"

  database_roles = ["cloudsqlsuperuser"]
}
