# The arithmetic of the promise, and where copies may lie: on policies made up for the purpose.

variables {
  lifecycle_policy = { instance_backup_days = 8, registry_backup_days = 8 }
  anchors          = { regions = ["us-east4", "us-west1"], lock_days = 400, age_days = 401 }
  backups = {
    promise_months     = 12
    copies_min         = 2
    repair_days        = 14
    lifecycle_lag_days = 3
    key_residue_days   = 8
    off_cloud          = {}
    classes = {
      daily   = { lock_days = 30, age_days = 31 }
      weekly  = { lock_days = 60, age_days = 61 }
      monthly = { lock_days = 330, age_days = 331 }
      final   = { lock_days = 330, age_days = 331 }
    }
  }
  regions = {
    residency = { kept_at_home = ["EU"] }
    regions = {
      europe-west1 = { state = "open", partners = ["europe-west9"] }
      europe-west9 = { state = "open", partners = ["europe-west1"] }
      europe-west2 = { state = "open", partners = ["europe-west1", "europe-west9"], partners_abroad = true }
      us-east4     = { state = "open", partners = ["us-west1"] }
      us-west1     = { state = "full", partners = ["us-east4"] }
      asia-east1   = { state = "closed", partners = [] }
    }
  }
  catalogue = [
    { id = "europe-west1", jurisdiction = "EU" }, { id = "europe-west9", jurisdiction = "EU" }, { id = "europe-west2", jurisdiction = "UK" },
    { id = "us-east4", jurisdiction = "US" }, { id = "us-west1", jurisdiction = "US" }, { id = "asia-east1", jurisdiction = "TW" },
  ]
  homes     = ["europe-west1", "us-east4"]
  verifiers = ["europe-west9", "us-west1"]
  control   = "us-east4"
}

run "copies_lie_in_the_region_and_its_first_partners" {
  command = plan
  module {
    source = "./modules/terms"
  }
  assert {
    condition     = output.copy_regions == toset(["europe-west1", "europe-west9", "us-east4", "us-west1"])
    error_message = "Copies lie elsewhere."
  }
  assert {
    condition     = output.copies["europe-west1"] == tolist(["europe-west1", "europe-west9"]) && output.anchor_regions == toset(["us-east4", "us-west1"])
    error_message = "A region has copies elsewhere than in itself and its partner."
  }
  assert {
    condition     = output.registry_days == 8
    error_message = "The registry's window is another one."
  }
}

run "a_partner_abroad_must_be_meant" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    regions = { residency = { kept_at_home = [] }, regions = {
      europe-west1 = { state = "open", partners = ["us-east4"] }, us-east4 = { state = "open", partners = ["us-west1"] }, us-west1 = { state = "open", partners = ["us-east4"] }
    } }
  }
  expect_failures = [output.copy_regions]
}

run "who_is_kept_at_home_has_copies_at_home" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    regions = { residency = { kept_at_home = ["EU"] }, regions = {
      europe-west1 = { state = "open", partners = ["us-east4"], partners_abroad = true }, us-east4 = { state = "open", partners = ["us-west1"] }, us-west1 = { state = "open", partners = ["us-east4"] }
    } }
  }
  expect_failures = [output.copy_regions]
}

run "a_partner_abroad_that_is_meant_is_taken" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    homes     = ["europe-west2"]
    verifiers = ["europe-west2"]
  }
  assert {
    condition     = output.copies["europe-west2"] == tolist(["europe-west2", "europe-west1"])
    error_message = "The partner that was meant does not have the copy."
  }
}

run "a_closed_region_hosts_nobody" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    homes     = ["asia-east1"]
    verifiers = ["asia-east1"]
  }
  expect_failures = [output.copy_regions]
}

run "each_jurisdiction_proves_its_own_backups" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    verifiers = ["us-west1"]
  }
  expect_failures = [output.copy_regions]
}

run "a_term_beyond_the_promise_is_refused" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    backups = merge(var.backups, { classes = merge(var.backups.classes, { final = { lock_days = 339, age_days = 340 } }) })
  }
  expect_failures = [output.copy_regions]
}

run "the_last_day_that_fits_is_taken" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    backups = merge(var.backups, { classes = merge(var.backups.classes, { final = { lock_days = 338, age_days = 339 } }) })
  }
}

run "copies_off_google_s_cloud_round_up_by_two_days" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    s3_owner = "123456789012"
    backups  = merge(var.backups, { off_cloud = { EU = "aws:eu-central-1" }, classes = merge(var.backups.classes, { final = { lock_days = 337, age_days = 338 } }) })
  }
  expect_failures = [output.copy_regions]
}

run "copies_off_google_s_cloud_name_whose_buckets" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    backups = merge(var.backups, { off_cloud = { EU = "aws:eu-central-1" } })
  }
  expect_failures = [output.copy_regions]
}

run "a_lock_as_long_as_the_age_is_refused" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    backups = merge(var.backups, { classes = merge(var.backups.classes, { daily = { lock_days = 31, age_days = 31 } }) })
  }
  expect_failures = [output.copy_regions]
}

run "a_lock_much_shorter_than_the_age_is_refused" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    backups = merge(var.backups, { classes = merge(var.backups.classes, { daily = { lock_days = 7, age_days = 31 } }) })
  }
  expect_failures = [output.copy_regions]
}

run "a_class_that_is_missing_is_refused" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    backups = merge(var.backups, { classes = { daily = { lock_days = 30, age_days = 31 } } })
  }
  expect_failures = [output.copy_regions]
}

run "anchors_outlive_what_they_prove" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    anchors = { regions = ["us-east4", "us-west1"], lock_days = 350, age_days = 351 }
  }
  expect_failures = [output.copy_regions]
}

run "anchors_lie_in_two_regions" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    anchors = { regions = ["us-east4"], lock_days = 400, age_days = 401 }
  }
  expect_failures = [output.copy_regions]
}

run "the_registry_forgets_keys_within_their_residue" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    lifecycle_policy = { instance_backup_days = 8, registry_backup_days = 30 }
    backups          = merge(var.backups, { key_residue_days = 5 })
  }
  assert {
    condition     = output.registry_days == 5
    error_message = "The registry's backups keep wrapped keys past key_residue_days."
  }
}

run "one_copy_is_not_several" {
  command = plan
  module {
    source = "./modules/terms"
  }
  variables {
    backups = merge(var.backups, { copies_min = 1 })
  }
  expect_failures = [output.copy_regions]
}
