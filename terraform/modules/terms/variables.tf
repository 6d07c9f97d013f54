variable "anchors" {
  description = "policies/anchors.yaml, decoded."
  type        = any
}

variable "backups" {
  description = "policies/backups.yaml, decoded."
  type        = any
}

variable "lifecycle_policy" {
  description = "policies/lifecycle.yaml, decoded."
  type        = any
}

variable "regions" {
  description = "policies/regions.yaml, decoded."
  type        = any
}

variable "catalogue" {
  description = "All regions of the program's own list, each at least with id and jurisdiction."
  type        = any
}

variable "homes" {
  description = "The regions that host tenants."
  type        = list(string)
}

variable "verifiers" {
  description = "The regions that backups are proved in."
  type        = list(string)
}

variable "control" {
  description = "The region of the registry."
  type        = string
}

variable "s3_owner" {
  description = "Amazon's account, where copies are kept off Google's cloud."
  type        = string
  default     = null
}
