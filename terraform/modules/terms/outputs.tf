output "copy_regions" {
  description = "The regions that hold copies of any tenant."
  value       = toset(flatten(values(local.copies)))

  precondition {
    condition     = length(local.faults) == 0
    error_message = "The policies cannot be kept so:\n  ${join("\n  ", local.faults)}"
  }
}

output "copies" {
  description = "Region that hosts tenants → the regions that hold their copies."
  value       = local.copies
}

output "anchor_regions" {
  description = "The regions that hold the journal's anchors."
  value       = toset(var.anchors.regions)
}

output "registry_days" {
  description = "How long the registry's own backups may bring bytes back."
  value       = local.registry_window
}
