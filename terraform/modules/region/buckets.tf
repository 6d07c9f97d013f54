# Buckets. Each keeps exactly what its term says: what soft delete or old versions would bring back was promised to be gone,
# so both are off everywhere, and a locked retention does what they are for.

locals {
  vaults = { for class, term in var.classes : class => {
    name = "${var.bucket_prefix}-${var.region}-${class}-${term.age_days}d", lock_days = term.lock_days, age_days = term.age_days
  } if var.holds_copies }
  anchors = { for one in ["anchors"] : one => {
    name = "${var.bucket_prefix}-${var.region}-anchors-${var.anchors.age_days}d", lock_days = var.anchors.lock_days, age_days = var.anchors.age_days
  } if var.holds_anchors }
  locked = merge(local.vaults, local.anchors)
}

resource "google_storage_bucket" "locked" {
  #checkov:skip=CKV_GCP_78:Old versions would outlive the promised term; the retention lock is what keeps an object from being overwritten
  #checkov:skip=CKV_GCP_62:Every access is in the project's audit logs (Data Access for Cloud Storage), which lie in a bucket of their own
  #checkov:skip=CKV_GCP_63:It writes no access log at all, and so none to itself: see the line above
  for_each                    = local.locked
  name                        = each.value.name
  location                    = var.region
  storage_class               = "STANDARD"
  force_destroy               = false
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  labels                      = merge(var.labels, { holds = each.key })

  retention_policy {
    retention_period = tostring(each.value.lock_days * local.day)
    is_locked        = var.lock_retention
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age = each.value.age_days
    }
  }

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  versioning {
    enabled = false
  }

  encryption {
    default_kms_key_name = google_kms_crypto_key.storage[0].id
  }

  depends_on = [google_kms_crypto_key_iam_member.storage_agent]

  lifecycle {
    prevent_destroy = true

    precondition {
      condition     = length(each.value.name) <= 63
      error_message = "${each.value.name} is longer than the name of a bucket may be: choose a shorter bucket_prefix."
    }
  }
}

# Wrapped keys: what is removed here is gone at once, since that is how a backup is shredded.
resource "google_storage_bucket" "keys" {
  #checkov:skip=CKV_GCP_78:An old version of a shredded key would open a backup that is promised to be unreadable
  #checkov:skip=CKV_GCP_62:Every access is in the project's audit logs (Data Access for Cloud Storage), which lie in a bucket of their own
  #checkov:skip=CKV_GCP_63:It writes no access log at all, and so none to itself: see the line above
  count                       = var.holds_copies ? 1 : 0
  name                        = "${var.bucket_prefix}-${var.region}-keys"
  location                    = var.region
  storage_class               = "STANDARD"
  force_destroy               = false
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  labels                      = merge(var.labels, { holds = "keys" })

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  versioning {
    enabled = false
  }

  encryption {
    default_kms_key_name = google_kms_crypto_key.storage[0].id
  }

  depends_on = [google_kms_crypto_key_iam_member.storage_agent]

  lifecycle {
    prevent_destroy = true
  }
}

# Exports for customers: deleted by their age, and locked by nothing.
resource "google_storage_bucket" "exports" {
  #checkov:skip=CKV_GCP_78:An export is gone at its age, and an old version would not be
  #checkov:skip=CKV_GCP_62:Every access is in the project's audit logs (Data Access for Cloud Storage), which lie in a bucket of their own
  #checkov:skip=CKV_GCP_63:It writes no access log at all, and so none to itself: see the line above
  count                       = var.hosts_tenants ? 1 : 0
  name                        = "${var.bucket_prefix}-${var.region}-exports-${var.export_days}d"
  location                    = var.region
  storage_class               = "STANDARD"
  force_destroy               = false
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  labels                      = merge(var.labels, { holds = "exports" })

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age = var.export_days
    }
  }

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  versioning {
    enabled = false
  }

  encryption {
    default_kms_key_name = google_kms_crypto_key.storage[0].id
  }

  depends_on = [google_kms_crypto_key_iam_member.storage_agent]
}

# Bindings, not members: whoever was given one of these roles by hand loses it with the next apply.
resource "google_storage_bucket_iam_binding" "vaults" {
  for_each = { for pair in setproduct(keys(local.vaults), keys(var.grants.vaults)) : join("/", pair) => { bucket = pair[0], grant = var.grants.vaults[pair[1]] } }
  bucket   = google_storage_bucket.locked[each.value.bucket].name
  role     = each.value.grant.role
  members  = each.value.grant.members
}

resource "google_storage_bucket_iam_binding" "anchors" {
  for_each = { for power, grant in var.grants.anchors : power => grant if var.holds_anchors }
  bucket   = google_storage_bucket.locked["anchors"].name
  role     = each.value.role
  members  = each.value.members
}

resource "google_storage_bucket_iam_binding" "keys" {
  for_each = { for power, grant in var.grants.key_buckets : power => grant if var.holds_copies }
  bucket   = google_storage_bucket.keys[0].name
  role     = each.value.role
  members  = each.value.members
}

resource "google_storage_bucket_iam_binding" "exports" {
  for_each = { for power, grant in var.grants.exports : power => grant if var.hosts_tenants }
  bucket   = google_storage_bucket.exports[0].name
  role     = each.value.role
  members  = each.value.members
}
