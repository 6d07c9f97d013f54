# One job for each duty that is carried out by itself, and the schedule that starts it.

locals {
  environment = merge(
    {
      TENANTCTL_PROJECT            = var.project
      TENANTCTL_REGISTRY_INSTANCE  = google_sql_database_instance.registry.name
      TENANTCTL_REGISTRY_DATABASE  = google_sql_database.registry.name
      TENANTCTL_BUCKET_PREFIX      = var.bucket_prefix
      TENANTCTL_TELEMETRY_LOCATION = var.region
      TENANTCTL_OUTBOUND_TOPIC     = "projects/${var.project}/topics/${google_pubsub_topic.outbound.name}"
    },
    var.s3_owner == null ? {} : { TENANTCTL_S3_OWNER = var.s3_owner },
    var.billing_url == null ? {} : { TENANTCTL_BILLING_URL = var.billing_url },
  )
  jobs    = { for name, one in var.identities : name => one if var.image != null && one.arguments != null }
  secrets = var.off_cloud ? { AWS_ACCESS_KEY_ID = "tenantctl-s3-access-key-id", AWS_SECRET_ACCESS_KEY = "tenantctl-s3-secret-access-key" } : {}
  keepers = [for name, one in var.identities : name if one.vaults]
}

resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:The image is built from a public source and holds nothing of a customer
  repository_id = "tenantctl"
  location      = var.region
  format        = "DOCKER"
  description   = "The program's images, each by its digest"
  labels        = var.labels

  docker_config {
    immutable_tags = true
  }

  vulnerability_scanning_config {
    enablement_config = "INHERITED"
  }
}

resource "google_cloud_run_v2_job" "duty" {
  for_each            = local.jobs
  name                = "tenantctl-${each.key}"
  location            = var.region
  deletion_protection = true
  labels              = merge(var.labels, { duty = each.key })

  template {
    task_count  = 1
    parallelism = 1
    labels      = merge(var.labels, { duty = each.key })

    template {
      service_account = each.value.email
      timeout         = "${each.value.seconds_max}s"
      max_retries     = 0 # the next one that is started finds the work where it was left

      containers {
        image = var.image
        args  = each.value.arguments

        resources {
          limits = { cpu = "2", memory = "2Gi" }
        }

        dynamic "env" {
          for_each = local.environment
          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = { for name, secret in local.secrets : name => secret if contains(local.keepers, each.key) }
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = google_secret_manager_secret.s3[env.key].secret_id
                version = "latest"
              }
            }
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
  }

  depends_on = [google_sql_user.registry, google_secret_manager_secret_iam_member.s3]
}

resource "google_cloud_run_v2_job_iam_member" "starts" {
  for_each = local.jobs
  name     = google_cloud_run_v2_job.duty[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = "serviceAccount:${var.identities["schedule"].email}"
}

# An operator who has mended something has its duty begin at once, as its own identity and with its own arguments.
resource "google_cloud_run_v2_job_iam_member" "starts_by_hand" {
  for_each = { for pair in setproduct(keys(local.jobs), var.operators) : join("/", pair) => { job = pair[0], address = pair[1] } }
  name     = google_cloud_run_v2_job.duty[each.value.job].name
  location = var.region
  role     = "roles/run.invoker"
  member   = "user:${each.value.address}"
}

# Started at least once, perhaps twice: a second one finds nothing to do. Cloud Run's API wants an OAuth token, not OIDC.
resource "google_cloud_scheduler_job" "duty" {
  for_each         = local.jobs
  name             = "tenantctl-${each.key}"
  region           = var.region
  description      = "Starts the job of the duty ${each.key}"
  schedule         = each.value.every
  time_zone        = "Etc/UTC"
  attempt_deadline = "180s"

  retry_config {
    retry_count          = 3
    min_backoff_duration = "10s"
    max_backoff_duration = "120s"
  }

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/projects/${var.project}/locations/${var.region}/jobs/${google_cloud_run_v2_job.duty[each.key].name}:run"

    oauth_token {
      service_account_email = var.identities["schedule"].email
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }

  depends_on = [google_cloud_run_v2_job_iam_member.starts]
}

# Amazon's keys, put in by a person and read by nobody but who looks after copies.
resource "google_secret_manager_secret" "s3" {
  for_each            = local.secrets
  secret_id           = each.value
  deletion_protection = true
  labels              = var.labels

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
}

resource "google_secret_manager_secret_iam_member" "s3" {
  for_each  = { for pair in setproduct(keys(local.secrets), local.keepers) : join("/", pair) => { secret = pair[0], identity = pair[1] } }
  secret_id = google_secret_manager_secret.s3[each.value.secret].id
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${var.identities[each.value.identity].email}"
}
