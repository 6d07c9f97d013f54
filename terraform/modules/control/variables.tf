variable "project" {
  description = "The project's id."
  type        = string
}

variable "project_number" {
  description = "The project's number."
  type        = string
}

variable "region" {
  description = "Where the registry, the jobs, the schedules and the service are."
  type        = string
}

variable "image" {
  description = "The program's image by its digest; null while there is none."
  type        = string
}

variable "registry" {
  description = "The size of the registry's instance."
  type        = object({ tier = string, disk_gb = number, disk_gb_max = number })
}

variable "registry_days" {
  description = "How long the registry's own backups may bring bytes back."
  type        = number

  validation {
    condition     = var.registry_days >= 2
    error_message = "A daily backup and its point-in-time logs need two days at least."
  }
}

variable "database_key" {
  description = "The key of the databases in this region."
  type        = string
}

variable "network" {
  description = "The network in which the registry has its address."
  type        = string
}

variable "subnetwork" {
  description = "Where jobs and service run."
  type        = string
}

variable "identities" {
  description = "Identity → its address, what its job runs and when."
  type = map(object({
    email       = string
    arguments   = list(string)
    every       = string
    seconds_max = number
    vaults      = bool
    enters      = bool
    tenants     = bool
  }))
}

variable "operators" {
  description = "The addresses of the people who work in the registry."
  type        = set(string)
}

variable "billing_publishers" {
  description = "Who may announce billing's events."
  type        = set(string)
}

variable "service_callers" {
  description = "Role of the service → the addresses that have it, besides the push."
  type        = map(set(string))
}

variable "announcement_readers" {
  description = "Who may subscribe to what is announced of tenants."
  type        = set(string)
}

variable "billing_url" {
  description = "Where billing is asked; null where it cannot be."
  type        = string
}

variable "grants" {
  description = "Place → power → the role that gives it, and who has it."
  type        = map(map(object({ role = string, members = set(string) })))
}

variable "bucket_prefix" {
  description = "How each bucket's name begins."
  type        = string
}

variable "off_cloud" {
  description = "Whether copies are kept off Google's cloud."
  type        = bool
}

variable "s3_owner" {
  description = "Amazon's account that those buckets belong to."
  type        = string
}

variable "labels" {
  description = "Labels for whatever can bear them."
  type        = map(string)
}
