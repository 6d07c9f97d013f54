# The service, and billing's way to it: a topic, a push that says who it is, and a place for what was given up.

locals {
  audience = "https://tenantctl.${var.project}"
  callers  = merge(var.service_callers, { billing = setunion(try(var.service_callers.billing, toset([])), [var.identities["push"].email]) })
  pubsub   = "serviceAccount:service-${var.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  serving  = var.image == null ? [] : ["serve"]
}

resource "google_cloud_run_v2_service" "serve" {
  for_each            = toset(local.serving)
  name                = "tenantctl-serve"
  location            = var.region
  deletion_protection = true
  ingress             = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  custom_audiences    = [local.audience]
  labels              = var.labels

  template {
    service_account                  = var.identities["serve"].email
    timeout                          = "60s"
    max_instance_request_concurrency = 40

    scaling {
      min_instance_count = 1
      max_instance_count = 5
    }

    containers {
      image = var.image
      args  = ["serve", "--host", "0.0.0.0", "--port", "8080"]

      ports {
        container_port = 8080
      }

      resources {
        limits = { cpu = "1", memory = "512Mi" }
      }

      dynamic "env" {
        for_each = merge(local.environment, {
          TENANTCTL_SERVICE_AUDIENCE = local.audience
          TENANTCTL_SERVICE_CALLERS  = join("; ", [for role in sort(keys(local.callers)) : "${role}=${join(",", sort(tolist(local.callers[role])))}"])
        })
        content {
          name  = env.key
          value = env.value
        }
      }

      startup_probe {
        initial_delay_seconds = 2
        period_seconds        = 5
        failure_threshold     = 12
        http_get {
          path = "/ready"
        }
      }

      liveness_probe {
        period_seconds = 30
        http_get {
          path = "/health"
        }
      }
    }

    vpc_access {
      egress = "PRIVATE_RANGES_ONLY"
      network_interfaces {
        network    = var.network
        subnetwork = var.subnetwork
      }
    }
  }

  depends_on = [google_sql_user.registry]
}

resource "google_cloud_run_v2_service_iam_member" "calls" {
  for_each = { for one in setproduct(local.serving, toset(flatten([for role, accounts in local.callers : tolist(accounts)]))) : one[1] => one[0] }
  name     = google_cloud_run_v2_service.serve[each.value].name
  location = var.region
  role     = "roles/run.invoker"
  member   = "serviceAccount:${each.key}"
}

resource "google_pubsub_topic" "billing" {
  #checkov:skip=CKV_GCP_83:By its contract an event has a uid, numbers and moments; what billing may send besides is under Google's own key
  name                       = "tenantctl-billing"
  message_retention_duration = "604800s"
  labels                     = var.labels

  message_storage_policy {
    allowed_persistence_regions = [var.region]
    enforce_in_transit          = true
  }
}

resource "google_pubsub_topic" "dead_letters" {
  #checkov:skip=CKV_GCP_83:By its contract an event has a uid, numbers and moments; what billing may send besides is under Google's own key
  name                       = "tenantctl-billing-dead-letters"
  message_retention_duration = "2678400s"
  labels                     = var.labels

  message_storage_policy {
    allowed_persistence_regions = [var.region]
    enforce_in_transit          = true
  }
}

# What became of tenants, for billing and whoever routes to them: in order for each tenant, at least once.
resource "google_pubsub_topic" "outbound" {
  #checkov:skip=CKV_GCP_83:Announcements carry codes, moments and the tenant's uid, and no data of a customer
  name                       = "tenantctl-outbound"
  message_retention_duration = "604800s"
  labels                     = var.labels

  message_storage_policy {
    allowed_persistence_regions = [var.region]
    enforce_in_transit          = true
  }
}

resource "google_pubsub_topic_iam_binding" "outbound" {
  for_each = var.grants.outbound
  topic    = google_pubsub_topic.outbound.name
  role     = each.value.role
  members  = each.value.members
}

resource "google_pubsub_topic_iam_member" "reads" {
  for_each = var.announcement_readers
  topic    = google_pubsub_topic.outbound.name
  role     = "roles/pubsub.subscriber"
  member   = each.key
}

resource "google_pubsub_topic_iam_member" "announces" {
  for_each = var.billing_publishers
  topic    = google_pubsub_topic.billing.name
  role     = "roles/pubsub.publisher"
  member   = each.key
}

resource "google_pubsub_subscription" "push" {
  for_each                   = toset(local.serving)
  name                       = "tenantctl-billing"
  topic                      = google_pubsub_topic.billing.id
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"
  labels                     = var.labels

  expiration_policy {
    ttl = "" # never: a quiet month is no reason to lose the next cancellation
  }

  push_config {
    push_endpoint = "${google_cloud_run_v2_service.serve[each.key].uri}/v1/billing/events"

    oidc_token {
      service_account_email = var.identities["push"].email
      audience              = local.audience
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = 20
  }

  depends_on = [google_cloud_run_v2_service_iam_member.calls]
}

resource "google_pubsub_subscription" "dead_letters" {
  name                       = "tenantctl-billing-dead-letters"
  topic                      = google_pubsub_topic.dead_letters.id
  ack_deadline_seconds       = 600
  message_retention_duration = "2678400s"
  labels                     = var.labels

  expiration_policy {
    ttl = ""
  }
}

# Pub/Sub itself moves what was given up: it publishes there, and takes it from here.
resource "google_pubsub_topic_iam_member" "gives_up" {
  topic  = google_pubsub_topic.dead_letters.name
  role   = "roles/pubsub.publisher"
  member = local.pubsub
}

resource "google_pubsub_subscription_iam_member" "gives_up" {
  for_each     = google_pubsub_subscription.push
  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub
}

resource "google_service_account_iam_member" "mints_tokens" {
  service_account_id = "projects/${var.project}/serviceAccounts/${var.identities["push"].email}"
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub
}
