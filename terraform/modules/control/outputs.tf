output "environment" {
  description = "The settings of the program, as variables of its environment."
  value       = local.environment
}

output "service" {
  description = "The service: its address, the audience of its callers, and who may call it as what; null address while there is no image."
  value       = { url = try(google_cloud_run_v2_service.serve["serve"].uri, null), audience = local.audience, callers = local.callers }
}

output "topics" {
  description = "Where billing announces its events, and where those lie that were given up."
  value       = { billing = google_pubsub_topic.billing.id, dead_letters = google_pubsub_subscription.dead_letters.id }
}

output "images" {
  description = "Where the image is pushed to."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}/tenantctl"
}

output "jobs" {
  description = "Duty → its job."
  value       = { for name, job in google_cloud_run_v2_job.duty : name => job.name }
}
