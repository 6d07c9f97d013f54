output "environment" {
  description = "The program's settings: what each job and the service has, and what a person exports at a shell."
  value       = module.control.environment
}

output "configuration" {
  description = "All that was made and that the program is told of, in one document."
  value = {
    environment  = module.control.environment
    service      = module.control.service
    topics       = module.control.topics
    jobs         = module.control.jobs
    images       = module.control.images
    identities   = { for name, one in module.governance.identities : name => one.email }
    buckets      = { for region, one in module.region : region => one.buckets }
    keys         = { for region, one in module.region : region => one.key if one.key != null }
    signing_key  = "projects/${var.project}/locations/global/keyRings/${google_kms_key_ring.global.name}/cryptoKeys/${google_kms_crypto_key.certificates.name}"
    copies       = module.terms.copies
    off_cloud    = local.policies.backups.off_cloud
    locked       = var.lock_retention
    instances    = local.instances
    alarms       = module.governance.alarms
    registry_at  = { region = var.control_region, instance = "registry" }
    break_glass  = var.break_glass_group
    key_rotation = "${90 * 86400}s"
  }
}

output "service_url" {
  description = "Where the service answers; null while there is no image."
  value       = module.control.service_url
}

# Each is run once, by a person; running it again changes nothing.
output "take_into_service" {
  description = "The commands that take the instances into service."
  value = [for name in sort(keys(local.instances)) : join(" ", concat(
    ["tenantctl instance add ${name} --region ${local.instances[name].region} --role ${local.instances[name].role} --databases-max ${local.instances[name].databases_max}"],
    local.instances[name].connections_max == null ? [] : ["--connections-max ${local.instances[name].connections_max}"],
    local.instances[name].bytes_max == null ? [] : ["--bytes-max ${local.instances[name].bytes_max}"],
  ))]
}

output "registry_logins" {
  description = "Who is let into the registry's schema once it is there, as PostgreSQL calls them."
  value       = module.control.registry_logins
}
