output "id" {
  description = "The network, once instances can be reached in it."
  value       = google_compute_network.this.id
  depends_on  = [google_service_networking_connection.instances]
}

output "subnetwork" {
  description = "Where jobs and service run."
  value       = google_compute_subnetwork.workers.id
}
