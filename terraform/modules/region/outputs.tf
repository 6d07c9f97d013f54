output "database_key" {
  description = "The key of the databases here, once Cloud SQL may use it; null where there are none."
  value       = one(google_kms_crypto_key.databases[*].id)
  depends_on  = [google_kms_crypto_key_iam_member.sql_agent]
}

output "buckets" {
  description = "What each bucket is for → its name."
  value = merge(
    { for use, bucket in google_storage_bucket.locked : use => bucket.name },
    { for bucket in google_storage_bucket.keys : "keys" => bucket.name },
    { for bucket in google_storage_bucket.exports : "exports" => bucket.name },
  )
}

output "key" {
  description = "The key that wraps backups' keys here; null where no backups lie."
  value       = var.holds_copies ? "projects/${var.project}/locations/${var.region}/keyRings/${google_kms_key_ring.this.name}/cryptoKeys/${google_kms_crypto_key.backups[0].name}" : null
}
