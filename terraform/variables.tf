variable "project" {
  description = "The project that everything is made in. It exists, has billing, and nothing else in it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project is named by its id: 6 to 30 small letters, digits and dashes."
  }
}

variable "bucket_prefix" {
  description = "How each bucket's name begins. Names of buckets are everybody's: choose one that nobody else would."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,27}[a-z0-9]$", var.bucket_prefix)) && !strcontains(var.bucket_prefix, "goog")
    error_message = "A prefix has 3 to 29 small letters, digits and dashes, begins with a letter, and has no 'goog' in it."
  }
}

variable "control_region" {
  description = "Where the registry, the jobs, the schedules and the service are. Cloud Scheduler must be offered there."
  type        = string
  nullable    = false
}

variable "instances" {
  description = "The Cloud SQL instances by name: those that host tenants, and those that backups are proved on."
  type = map(object({
    region          = string
    role            = optional(string, "tenants")
    tier            = optional(string, "db-custom-4-16384")
    disk_gb         = optional(number, 100)
    disk_gb_max     = optional(number, 2000)
    databases_max   = optional(number, 400)
    connections_max = optional(number)
    bytes_max       = optional(number)
  }))
  nullable = false

  validation {
    condition     = alltrue([for one in var.instances : contains(["tenants", "verify"], one.role)])
    error_message = "An instance's role is tenants or verify."
  }
  validation {
    condition     = alltrue([for name, _ in var.instances : can(regex("^[a-z][a-z0-9-]{0,61}[a-z0-9]$", name)) && name != "registry"])
    error_message = "An instance's name has small letters, digits and dashes, begins with a letter, and is not 'registry'."
  }
  validation {
    condition     = alltrue([for one in var.instances : one.databases_max >= 1 && one.databases_max <= 500])
    error_message = "An instance has room for 1 to 500 databases."
  }
}

variable "registry" {
  description = "The size of the registry's instance."
  type = object({
    tier        = optional(string, "db-custom-2-8192")
    disk_gb     = optional(number, 50)
    disk_gb_max = optional(number, 500)
  })
  default  = {}
  nullable = false
}

variable "image" {
  description = "The program's image, by its digest. Null at first: all but the jobs and the service is made, and the repository to push it to."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "An image is named by its digest (…@sha256:…): a tag can come to mean another one."
  }
}

variable "operators" {
  description = "The people who work with tenantctl at a shell, by address. hands_on: they may also enter the tenants' instances, as imports, exports and moves need."
  type        = map(object({ hands_on = optional(bool, false) }))
  nullable    = false

  validation {
    condition     = length(var.operators) >= 2
    error_message = "What cannot be undone takes two people: name at least two."
  }
}

variable "billing_publishers" {
  description = "Who may announce billing's events, as IAM members: serviceAccount:…"
  type        = set(string)
  default     = []
  nullable    = false
}

variable "announcement_readers" {
  description = "Who may subscribe to what is announced of tenants, as IAM members: serviceAccount:…"
  type        = set(string)
  default     = []
  nullable    = false
}

variable "billing_url" {
  description = "Where billing is asked whether a tenant is still paid for, with {tenant} in it; null where it cannot be asked."
  type        = string
  default     = null

  validation {
    condition     = var.billing_url == null || can(regex("^https://.*\\{tenant\\}", var.billing_url))
    error_message = "Billing is asked over https, with {tenant} in the address."
  }
}

variable "service_callers" {
  description = "Who may call the service besides Pub/Sub, by their role there (billing, notices, reader): addresses of service accounts."
  type        = map(set(string))
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for role, _ in var.service_callers : contains(["billing", "notices", "reader"], role)])
    error_message = "A role of the service is billing, notices or reader."
  }
}

variable "break_glass_group" {
  description = "The address of the group that alone is excepted from the deny policy. It is empty on ordinary days."
  type        = string
  nullable    = false
}

variable "alert_emails" {
  description = "Who is told of alarms, by address."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.alert_emails) >= 1
    error_message = "An alarm that nobody gets is none."
  }
}

variable "runbook_url" {
  description = "Where docs/RUNBOOK.md can be read by whoever is paged."
  type        = string
  nullable    = false
}

variable "budget" {
  description = "What a month may cost before somebody is told, and who pays."
  type = object({
    billing_account = string
    currency_code   = string
    units           = number
  })
  nullable = false
}

variable "lock_retention" {
  description = "Whether the buckets' retention is locked. That cannot be undone by anybody: see the step of its own in README.md."
  type        = bool
  default     = false
  nullable    = false
}

variable "s3_owner" {
  description = "Amazon's account that the buckets off Google's cloud belong to, where policies/backups.yaml names any."
  type        = string
  default     = null

  validation {
    condition     = var.s3_owner == null || can(regex("^[0-9]{12}$", var.s3_owner))
    error_message = "An account of Amazon's has twelve digits."
  }
}

variable "repository_folder" {
  description = "The checkout that policies/ and the list of regions are read from; null is the one that this folder lies in."
  type        = string
  default     = null
}

variable "labels" {
  description = "Labels for whatever can bear them."
  type        = map(string)
  default     = {}
  nullable    = false
}
