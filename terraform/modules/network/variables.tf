variable "region" {
  description = "Where the jobs run."
  type        = string
}

variable "workers_range" {
  description = "The addresses of the jobs; Cloud Run takes up to four for each that runs."
  type        = string
  default     = "10.20.0.0/22"
}

variable "labels" {
  description = "Labels for whatever can bear them."
  type        = map(string)
}
