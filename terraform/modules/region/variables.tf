variable "project" {
  description = "The project's id."
  type        = string
}

variable "project_number" {
  description = "The project's number."
  type        = string
}

variable "storage_agent" {
  description = "The address of Cloud Storage's own agent in this project."
  type        = string
}

variable "region" {
  description = "This region."
  type        = string
}

variable "bucket_prefix" {
  description = "How each bucket's name begins."
  type        = string
}

variable "holds_copies" {
  description = "Whether backups lie here."
  type        = bool
}

variable "holds_anchors" {
  description = "Whether the journal's anchors lie here."
  type        = bool
}

variable "holds_databases" {
  description = "Whether any instance is here, the registry's included."
  type        = bool
}

variable "hosts_tenants" {
  description = "Whether tenants live here."
  type        = bool
}

variable "classes" {
  description = "Retention class → its term."
  type        = map(object({ lock_days = number, age_days = number }))

  validation {
    condition     = alltrue([for term in var.classes : term.lock_days >= 1 && term.lock_days < term.age_days && term.age_days <= term.lock_days + 2])
    error_message = "A lock is shorter than the age, by two days at most."
  }
}

variable "anchors" {
  description = "The term of the anchors."
  type        = object({ lock_days = number, age_days = number })
}

variable "export_days" {
  description = "How long an export may lie."
  type        = number
}

variable "instance_days" {
  description = "How long an instance's own backups and logs may bring bytes back."
  type        = number

  validation {
    condition     = var.instance_days >= 2
    error_message = "A daily backup and its point-in-time logs need two days at least."
  }
}

variable "instances" {
  description = "The instances of this region by name."
  type = map(object({
    role        = string
    tier        = string
    disk_gb     = number
    disk_gb_max = number
  }))
}

variable "network" {
  description = "The network in which instances have their addresses."
  type        = string
}

variable "grants" {
  description = "Place → power → the role that gives it, and who has it."
  type        = map(map(object({ role = string, members = set(string) })))
}

variable "logins" {
  description = "The addresses of those who enter the tenants' instances."
  type        = set(string)
}

variable "lock_retention" {
  description = "Whether the buckets' retention is locked."
  type        = bool
}

variable "labels" {
  description = "Labels for whatever can bear them."
  type        = map(string)
}
