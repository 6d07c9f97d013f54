variable "project" {
  description = "The project's id."
  type        = string
}

variable "project_number" {
  description = "The project's number."
  type        = string
}

variable "operators" {
  description = "The people who work with tenantctl, by address."
  type        = map(object({ hands_on = bool }))
}

variable "break_glass_group" {
  description = "The address of the group that alone is excepted from the deny policy."
  type        = string

  validation {
    condition     = can(regex("^[^@ ]+@[^@ ]+$", var.break_glass_group))
    error_message = "The group is named by its address."
  }
}

variable "alert_emails" {
  description = "Who is told of alarms."
  type        = set(string)
}

variable "runbook_url" {
  description = "Where the runbook can be read."
  type        = string
}

variable "budget" {
  description = "What a month may cost before somebody is told."
  type        = object({ billing_account = string, currency_code = string, units = number })
}

variable "limits" {
  description = "Numbers of the policies beyond which somebody is told."
  type        = object({ rpo_hours = number, destroyed_max = number })
}

variable "log_region" {
  description = "Where the audit logs are kept."
  type        = string
}

variable "log_days" {
  description = "How long the audit logs are kept: as long as there is anything to prove."
  type        = number
}

variable "lock_retention" {
  description = "Whether the audit logs' bucket is locked."
  type        = bool
}

variable "labels" {
  description = "Labels for whatever can bear them."
  type        = map(string)
}
