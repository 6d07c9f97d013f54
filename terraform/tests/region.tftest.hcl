# What a region is made of: buckets that keep what they must and no longer, and instances that nobody deletes.

mock_provider "google" {}

variables {
  project         = "acme-tenants"
  project_number  = "123456789012"
  storage_agent   = "service-123456789012@gs-project-accounts.iam.gserviceaccount.com"
  region          = "europe-west1"
  bucket_prefix   = "acme"
  holds_copies    = true
  holds_anchors   = false
  holds_databases = true
  hosts_tenants   = true
  classes         = { daily = { lock_days = 30, age_days = 31 }, final = { lock_days = 330, age_days = 331 } }
  anchors         = { lock_days = 400, age_days = 401 }
  export_days     = 7
  instance_days   = 8
  instances       = { tenants-1 = { role = "tenants", tier = "db-custom-2-8192", disk_gb = 10, disk_gb_max = 100 } }
  network         = "projects/acme-tenants/global/networks/tenantctl"
  grants = {
    vaults      = { write = { role = "projects/acme-tenants/roles/tenantctl_write", members = ["serviceAccount:tenantctl-backup@acme-tenants.iam.gserviceaccount.com"] } }
    anchors     = { look = { role = "projects/acme-tenants/roles/tenantctl_look", members = ["user:alice@example.com"] } }
    key_buckets = {}
    exports     = {}
    keys        = {}
  }
  logins         = ["tenantctl-backup@acme-tenants.iam.gserviceaccount.com", "alice@example.com"]
  lock_retention = false
  labels         = {}
}

run "a_region_that_hosts_tenants" {
  command = plan
  module {
    source = "./modules/region"
  }
  assert {
    condition     = toset([for one in google_storage_bucket.locked : one.name]) == toset(["acme-europe-west1-daily-31d", "acme-europe-west1-final-331d"])
    error_message = "A bucket has another name than the program looks for."
  }
  assert {
    condition     = google_storage_bucket.keys[0].name == "acme-europe-west1-keys" && google_storage_bucket.exports[0].name == "acme-europe-west1-exports-7d"
    error_message = "The bucket of keys or of exports has another name than the program looks for."
  }
  assert {
    condition     = google_storage_bucket.locked["final"].retention_policy[0].retention_period == tostring(330 * 86400) && google_storage_bucket.locked["final"].retention_policy[0].is_locked == false
    error_message = "The lock is another one, or locked before a person said so."
  }
  assert {
    condition     = google_sql_database_instance.this["tenants-1"].deletion_protection && google_sql_database_instance.this["tenants-1"].settings[0].deletion_protection_enabled
    error_message = "One of the two protections is off."
  }
  assert {
    condition     = google_sql_database_instance.this["tenants-1"].settings[0].backup_configuration[0].backup_retention_settings[0].retained_backups == 7
    error_message = "The instance's own backups do not end within instance_backup_days."
  }
  assert {
    condition     = toset([for one in google_sql_user.login : "${one.type} ${one.name}"]) == toset(["CLOUD_IAM_SERVICE_ACCOUNT tenantctl-backup@acme-tenants.iam", "CLOUD_IAM_USER alice@example.com"])
    error_message = "A login is called otherwise than PostgreSQL calls it."
  }
}

run "a_region_of_anchors_alone_locked_by_a_person_s_word" {
  command = plan
  module {
    source = "./modules/region"
  }
  variables {
    lock_retention  = true
    holds_copies    = false
    holds_anchors   = true
    holds_databases = false
    hosts_tenants   = false
    instances       = {}
  }
  assert {
    condition     = alltrue([for one in google_storage_bucket.locked : one.retention_policy[0].is_locked])
    error_message = "A bucket stays unlocked."
  }
  assert {
    condition     = [for one in google_storage_bucket.locked : one.name] == ["acme-europe-west1-anchors-401d"] && length(google_storage_bucket.keys) == 0 && length(google_kms_crypto_key.backups) == 0
    error_message = "There is more than the anchors' bucket."
  }
}
