# Who may do what: no role takes anything away but the one that exists for it.

mock_provider "google" {}

variables {
  project           = "acme-tenants"
  project_number    = "123456789012"
  operators         = { "alice@example.com" = { hands_on = true }, "bob@example.com" = { hands_on = false } }
  break_glass_group = "break-glass@example.com"
  alert_emails      = ["oncall@example.com"]
  runbook_url       = "https://example.com/RUNBOOK.md"
  budget            = { billing_account = "000000-000000-000000", currency_code = "EUR", units = 100 }
  limits            = { rpo_hours = 26, destroyed_max = 20 }
  log_region        = "europe-west1"
  log_days          = 400
  lock_retention    = false
  labels            = {}
}

run "nobody_has_more_than_the_table_says" {
  command = plan
  module {
    source = "./modules/governance"
  }
  assert {
    condition = [for power, one in google_project_iam_custom_role.power : power if anytrue([
      for permission in one.permissions : strcontains(lower(permission), "delete") || strcontains(lower(permission), "destroy")
    ])] == ["shred"]
    error_message = "A role deletes, and is not the one that shreds keys."
  }
  assert {
    condition     = length([for place, powers in output.grants : place if contains(keys(powers), "shred")]) == 1 && output.grants.key_buckets.shred.members == toset(["serviceAccount:tenantctl-audit@acme-tenants.iam.gserviceaccount.com"])
    error_message = "Somebody else than audit shreds, or elsewhere than in the buckets of keys."
  }
  assert {
    condition     = !contains(output.grants.keys.unwrap.members, "serviceAccount:tenantctl-backup@acme-tenants.iam.gserviceaccount.com")
    error_message = "The duty that makes backups can open them."
  }
  assert {
    condition     = alltrue([for place in ["vaults", "key_buckets", "keys", "exports"] : alltrue([for grant in values(output.grants[place]) : !contains(grant.members, "serviceAccount:tenantctl-destroy@acme-tenants.iam.gserviceaccount.com")])])
    error_message = "The duty that destroys reaches backups or their keys."
  }
  assert {
    condition     = google_iam_deny_policy.nobody_deletes.rules[0].deny_rule[0].exception_principals == tolist(["principalSet://goog/group/break-glass@example.com"])
    error_message = "Somebody else than the break-glass group is excepted."
  }
  assert {
    condition     = google_resource_manager_lien.project.restrictions == tolist(["resourcemanager.projects.delete"])
    error_message = "The project can be deleted."
  }
  assert {
    condition     = !contains(output.grants.instances.enter.members, "user:bob@example.com") && contains(output.grants.registry.enter.members, "user:bob@example.com")
    error_message = "An operator enters tenants' instances without being meant to."
  }
}
