output "identities" {
  description = "Identity → its address, what its job runs and when. Ready once its grants of the project are made."
  value       = { for name, one in local.identities : name => { email = local.email[name], arguments = try(one.arguments, null), every = try(one.every, null), seconds_max = try(one.seconds_max, null), vaults = can(one.may.vaults), enters = length(setintersection(toset(keys(one.may)), ["instances", "registry"])) > 0, tenants = can(one.may.instances) } }
  depends_on  = [google_service_account.identity, google_project_iam_binding.project, google_project_iam_binding.instances, google_project_iam_binding.registry]
}

output "grants" {
  description = "Place → power → the role that gives it, and who has it."
  value       = local.grants
  depends_on  = [google_project_iam_custom_role.power, google_service_account.identity]
}

output "roles" {
  description = "Power → its custom role."
  value       = local.role
  depends_on  = [google_project_iam_custom_role.power]
}

output "alarms" {
  description = "Every alarm that somebody is told of, and how loudly."
  value       = local.alarms
}
