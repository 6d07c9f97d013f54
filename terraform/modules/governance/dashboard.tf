# One dashboard with a panel for each measure of the program, and an alert where metrics.yaml has one.

locals {
  metrics = yamldecode(templatefile("${path.module}/metrics.yaml", var.limits))
  watched = { for name, one in local.metrics : name => one.alert if can(one.alert) }
}

resource "google_monitoring_dashboard" "fleet" {
  dashboard_json = jsonencode({
    displayName = "tenantctl"
    mosaicLayout = {
      columns = 48
      tiles = [for index, name in keys(local.metrics) : {
        xPos   = 24 * (index % 2)
        yPos   = 16 * floor(index / 2)
        width  = 24
        height = 16
        widget = {
          title = name
          xyChart = {
            dataSets = [{
              plotType        = "LINE"
              timeSeriesQuery = { prometheusQuery = local.metrics[name].panel, unitOverride = try(local.metrics[name].unit, "1") }
            }]
          }
        }
      }]
    }
  })
  depends_on = [google_project_service.api]
}

resource "google_monitoring_alert_policy" "metric" {
  for_each              = local.watched
  display_name          = "tenantctl: ${each.key}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = local.told
  user_labels           = var.labels

  conditions {
    display_name = each.key

    # Before the first job has run there is no such metric, and an alert must be there all the same.
    condition_prometheus_query_language {
      query                     = each.value.when
      duration                  = each.value.lasts
      evaluation_interval       = "300s"
      disable_metric_validation = true
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    subject   = "tenantctl: ${each.key}"
    mime_type = "text/markdown"
    content   = "See `${each.key}` under [Measures](${var.runbook_url}#measures). Begin with `tenantctl doctor`."
  }
}
