output "environment" {
  description = "The settings of the program, as variables of its environment."
  value       = local.environment
}

output "service" {
  description = "The service: the audience of its callers' tokens, and who may call it as what."
  value       = { audience = local.audience, callers = local.callers }
}

output "service_url" {
  description = "Where the service answers; null while there is no image."
  value       = try(google_cloud_run_v2_service.serve["serve"].uri, null)
}

output "topics" {
  description = "Where billing announces its events, and where those lie that were given up."
  value = {
    billing      = "projects/${var.project}/topics/${google_pubsub_topic.billing.name}"
    outbound     = "projects/${var.project}/topics/${google_pubsub_topic.outbound.name}"
    dead_letters = "projects/${var.project}/subscriptions/${google_pubsub_subscription.dead_letters.name}"
  }
}

output "images" {
  description = "Where the image is pushed to."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}/tenantctl"
}

output "jobs" {
  description = "Duty → its job."
  value       = { for name, job in google_cloud_run_v2_job.duty : name => job.name }
}

output "registry_logins" {
  description = "Who is let into the registry's schema, as PostgreSQL calls them."
  value       = sort([for one in google_sql_user.registry : one.name])
}
