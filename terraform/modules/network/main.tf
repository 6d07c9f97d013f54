# One network: instances have private addresses alone, and jobs reach them from one subnetwork.

resource "google_compute_network" "this" {
  name                            = "tenantctl"
  auto_create_subnetworks         = false
  delete_default_routes_on_create = true
}

resource "google_compute_subnetwork" "workers" {
  name                     = "tenantctl-workers"
  network                  = google_compute_network.this.id
  region                   = var.region
  ip_cidr_range            = var.workers_range
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.5
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_global_address" "instances" {
  name          = "tenantctl-instances"
  network       = google_compute_network.this.id
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  prefix_length = 16
  labels        = var.labels
}

resource "google_service_networking_connection" "instances" {
  network                 = google_compute_network.this.id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.instances.name]
}

# Nobody comes in; what may leave goes to the instances and to Google's APIs.
resource "google_compute_firewall" "in" {
  name          = "tenantctl-nobody-comes-in"
  network       = google_compute_network.this.id
  direction     = "INGRESS"
  priority      = 65534
  source_ranges = ["0.0.0.0/0"]

  deny {
    protocol = "all"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}
