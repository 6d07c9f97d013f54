# A region's keys, and who may use them. Key rings and keys cannot be taken away again; only versions can be destroyed.

locals {
  day         = 86400
  rotation    = "${90 * local.day}s"
  second_look = "${120 * local.day}s" # how long a version that somebody destroys can still be brought back: the most there is
  storing     = var.holds_copies || var.holds_anchors || var.hosts_tenants
  sql_agent   = "service-${var.project_number}@gcp-sa-cloud-sql.iam.gserviceaccount.com"
}

resource "google_kms_key_ring" "this" {
  name     = "tenantctl"
  location = var.region
}

# Wraps the keys of backups. What it wrapped is shredded by removing it; the key itself stays.
resource "google_kms_crypto_key" "backups" {
  count                      = var.holds_copies ? 1 : 0
  name                       = "backups"
  key_ring                   = google_kms_key_ring.this.id
  purpose                    = "ENCRYPT_DECRYPT"
  rotation_period            = local.rotation
  destroy_scheduled_duration = local.second_look
  labels                     = var.labels

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key" "storage" {
  count                      = local.storing ? 1 : 0
  name                       = "storage"
  key_ring                   = google_kms_key_ring.this.id
  purpose                    = "ENCRYPT_DECRYPT"
  rotation_period            = local.rotation
  destroy_scheduled_duration = local.second_look
  labels                     = var.labels

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key" "databases" {
  count                      = var.holds_databases ? 1 : 0
  name                       = "databases"
  key_ring                   = google_kms_key_ring.this.id
  purpose                    = "ENCRYPT_DECRYPT"
  rotation_period            = local.rotation
  destroy_scheduled_duration = local.second_look
  labels                     = var.labels

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key_iam_member" "storage_agent" {
  count         = local.storing ? 1 : 0
  crypto_key_id = google_kms_crypto_key.storage[0].id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${var.storage_agent}"
}

resource "google_kms_crypto_key_iam_member" "sql_agent" {
  count         = var.holds_databases ? 1 : 0
  crypto_key_id = google_kms_crypto_key.databases[0].id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${local.sql_agent}"
}

resource "google_kms_crypto_key_iam_binding" "backups" {
  for_each      = { for power, grant in var.grants.keys : power => grant if var.holds_copies }
  crypto_key_id = google_kms_crypto_key.backups[0].id
  role          = each.value.role
  members       = each.value.members
}
