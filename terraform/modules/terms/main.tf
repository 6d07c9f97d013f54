# What the policies ask for: which regions hold copies, and what is wrong with a promise that does not add up.
# No resource is made here. The rules are those that the program checks whenever it loads the same files.

locals {
  law      = { for one in var.catalogue : one.id => one.jurisdiction }
  words    = { for region, word in var.regions.regions : region => { state = word.state, partners = tolist(word.partners), abroad = try(word.partners_abroad, false) } }
  known    = [for home in var.homes : home if contains(keys(local.words), home) && contains(keys(local.law), home)]
  partners = { for home in local.known : home => local.words[home].partners }
  at_home  = { for home, partners in local.partners : home => [for one in partners : one if try(local.law[one], "") == local.law[home]] }
  kept     = toset(var.regions.residency.kept_at_home)

  # A region's copies lie in the region itself and its first partners; those of customers whose data stays in the
  # jurisdiction may lie in other partners than the rest.
  copies = { for home in local.known : home => distinct(concat(
    slice(concat([home], local.partners[home]), 0, min(var.backups.copies_min, 1 + length(local.partners[home]))),
    slice(concat([home], local.at_home[home]), 0, min(var.backups.copies_min, 1 + length(local.at_home[home]))),
  )) }

  # The fewest days that the promised months can have: a lower bound, exact for up to twelve months.
  month_days  = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
  rest        = var.backups.promise_months % 12
  promise     = floor(var.backups.promise_months / 12) * 365 + min([for start in range(12) : sum(concat([0], [for month in range(local.rest) : local.month_days[(start + month) % 12]]))]...)
  writing     = 1
  rounding    = length(var.backups.off_cloud) > 0 ? 2 : 0
  after_age   = var.backups.repair_days + local.rounding + var.backups.lifecycle_lag_days + var.backups.key_residue_days
  readable    = { for class, term in var.backups.classes : class => local.writing + term.age_days + local.after_age }
  class_names = ["daily", "weekly", "monthly", "final"]

  # A daily backup is replaced by the next one: as many as these are kept are up to a day older than their number.
  registry_window = min(var.lifecycle_policy.registry_backup_days, var.backups.key_residue_days)

  faults = concat(
    [for home in var.homes : "${home} hosts tenants, and policies/regions.yaml or the list of regions does not name it" if !contains(local.known, home)],
    [for home in local.known : "${home} hosts tenants, and is closed by policies/regions.yaml" if local.words[home].state == "closed"],
    [for home in local.known : "${home} has ${length(local.copies[home])} regions for its copies, and copies_min is ${var.backups.copies_min}" if length(local.copies[home]) < var.backups.copies_min],
    [for home in local.known : "${home} has fewer than ${var.backups.copies_min} regions in ${local.law[home]} for copies that are kept there" if contains(local.kept, local.law[home]) && 1 + length(local.at_home[home]) < var.backups.copies_min],
    flatten([for home, partners in local.partners : [for one in partners : "${home} has the partner ${one}, which no list of regions knows" if !contains(keys(local.law), one)]]),
    flatten([for home, partners in local.partners : [for one in partners : "${home} has the partner ${one}, which is closed and holds no copies" if try(local.words[one].state, "closed") == "closed"]]),
    flatten([for home, partners in local.partners : [for one in partners : "${home} in ${local.law[home]} has the partner ${one} in ${local.law[one]}, and partners_abroad is not said" if contains(keys(local.law), one) && try(local.law[one], "") != local.law[home] && !local.words[home].abroad]]),
    [for home in local.known : "${home} lies in ${local.law[home]}, and no instance of role verify does" if !contains([for one in var.verifiers : try(local.law[one], "")], local.law[home])],
    [for name in local.class_names : "policies/backups.yaml lacks the class ${name}" if !contains(keys(var.backups.classes), name)],
    var.backups.copies_min >= 2 ? [] : ["copies_min is ${var.backups.copies_min}, and several regions are promised"],
    [for class, term in var.backups.classes : "the class ${class} locks for ${term.lock_days} days and deletes at ${term.age_days}: a lock is shorter than the age, by two days at most" if !(term.lock_days >= 1 && term.lock_days < term.age_days && term.age_days <= term.lock_days + 2)],
    [for class, days in local.readable : "a copy of the class ${class} can be read for ${days} days, and ${var.backups.promise_months} months can be as short as ${local.promise}" if days > local.promise],
    length(distinct(var.anchors.regions)) >= 2 && length(distinct(var.anchors.regions)) == length(var.anchors.regions) ? [] : ["anchors need two regions at least, none of them twice"],
    [for one in var.anchors.regions : "anchors are kept in ${one}, which no list of regions knows" if !contains(keys(local.law), one)],
    var.anchors.lock_days >= 1 && var.anchors.lock_days < var.anchors.age_days && var.anchors.age_days <= var.anchors.lock_days + 2 ? [] : ["anchors lock for ${var.anchors.lock_days} days and are deleted at ${var.anchors.age_days}: a lock is shorter than the age, by two days at most"],
    var.anchors.lock_days >= max(values(local.readable)...) ? [] : ["anchors are locked for ${var.anchors.lock_days} days, and a backup can be read for ${max(values(local.readable)...)}"],
    contains(keys(local.law), var.control) ? [] : ["the control region ${var.control} is in no list of regions"],
    var.lifecycle_policy.instance_backup_days >= 2 ? [] : ["instance_backup_days is ${var.lifecycle_policy.instance_backup_days}: a daily backup and its point-in-time logs need two days at least"],
    local.registry_window >= 2 ? [] : ["registry_backup_days and key_residue_days leave the registry's backups ${local.registry_window} days, and they need two at least"],
    length(var.backups.off_cloud) == 0 || var.s3_owner != null ? [] : ["policies/backups.yaml has copies off Google's cloud: s3_owner must name Amazon's account"],
  )
}
