# Who is told, and of what: every alarm of the program, and what only the platform can see of it.

locals {
  alarms = yamldecode(file("${path.module}/alarms.yaml"))
  jobs   = { for name, one in local.identities : name => one if can(one.arguments) }
  told   = [for one in google_monitoring_notification_channel.email : one.id]
}

resource "google_monitoring_notification_channel" "email" {
  for_each     = var.alert_emails
  type         = "email"
  display_name = "tenantctl: ${each.key}"
  labels       = { email_address = each.key }
  depends_on   = [google_project_service.api]
}

# The program writes one line for each open alarm, with its code in `alarm`.
resource "google_monitoring_alert_policy" "alarm" {
  for_each              = local.alarms
  display_name          = "tenantctl: ${each.key}"
  combiner              = "OR"
  severity              = each.value
  notification_channels = local.told
  user_labels           = merge(var.labels, { alarm = replace(each.key, "/", "_") })

  conditions {
    display_name = each.key

    condition_matched_log {
      filter           = "resource.type=\"cloud_run_job\" AND jsonPayload.alarm=\"${each.key}\""
      label_extractors = { tenant = "EXTRACT(jsonPayload.tenant)" }
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = each.value == "CRITICAL" ? "3600s" : "21600s"
    }
  }

  documentation {
    subject   = "tenantctl: ${each.key}"
    mime_type = "text/markdown"
    content   = "See `${each.key}` in [the runbook](${var.runbook_url}#${replace(each.key, "/", "")}). Begin with `tenantctl tenant explain` of the tenant that the line names."
  }
}

resource "google_monitoring_alert_policy" "job_failed" {
  display_name          = "tenantctl: a job failed"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.told
  user_labels           = var.labels

  conditions {
    display_name = "an execution failed"

    condition_threshold {
      filter          = "resource.type = \"cloud_run_job\" AND metric.type = \"run.googleapis.com/job/completed_execution_count\" AND metric.labels.result = \"failed\" AND resource.labels.job_name = starts_with(\"tenantctl-\")"
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "1800s"

      aggregations {
        alignment_period     = "600s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.labels.job_name"]
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "A job ends with 5 where something does not answer and with 6 or 8 where a person is asked for. See its log, then [the runbook](${var.runbook_url})."
  }
}

# What fails in silence is noticed by its silence.
resource "google_monitoring_alert_policy" "job_silent" {
  for_each              = local.jobs
  display_name          = "tenantctl: ${each.key} has not run"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = local.told
  user_labels           = var.labels

  conditions {
    display_name = "no execution of tenantctl-${each.key} ended"

    condition_absent {
      filter   = "resource.type = \"cloud_run_job\" AND metric.type = \"run.googleapis.com/job/completed_execution_count\" AND resource.labels.job_name = \"tenantctl-${each.key}\""
      duration = "${min(84600, each.value.seconds_max + 7200)}s"

      aggregations {
        alignment_period     = "600s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "No execution has ended: see the schedule, the job and its image, then [the runbook](${var.runbook_url})."
  }
}

resource "google_monitoring_alert_policy" "dead_letters" {
  display_name          = "tenantctl: an event of billing was given up"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = local.told
  user_labels           = var.labels

  conditions {
    display_name = "dead letters are waiting"

    condition_threshold {
      filter          = "resource.type = \"pubsub_subscription\" AND metric.type = \"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND resource.labels.subscription_id = \"tenantctl-billing-dead-letters\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "An event, perhaps a cancellation, was refused until it was given up. Read it from its subscription, see why, and send it again."
  }
}

resource "google_monitoring_alert_policy" "break_glass" {
  display_name          = "tenantctl: something was deleted, or a guard was changed"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = local.told
  user_labels           = var.labels

  conditions {
    display_name = "a guarded act"

    condition_matched_log {
      filter = "log_id(\"cloudaudit.googleapis.com/activity\") AND protoPayload.methodName=~\"(instances.delete|backupRuns.delete|buckets.delete|DestroyCryptoKeyVersion|DeletePolicy|UpdatePolicy|DeleteLien|UpdateBucket|lockRetentionPolicy)$\""
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "300s"
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "If nobody announced it, treat it as an incident: end the session, empty the break-glass group, and see the audit log."
  }
}

resource "google_billing_budget" "month" {
  billing_account = var.budget.billing_account
  display_name    = "tenantctl"

  budget_filter {
    projects = ["projects/${var.project_number}"]
  }

  amount {
    specified_amount {
      currency_code = var.budget.currency_code
      units         = tostring(var.budget.units)
    }
  }

  dynamic "threshold_rules" {
    for_each = toset(["0.5", "0.9", "1"])
    content {
      threshold_percent = tonumber(threshold_rules.value)
      spend_basis       = "FORECASTED_SPEND"
    }
  }

  all_updates_rule {
    monitoring_notification_channels = local.told
  }
}
