"""What Terraform makes of a project, held against the policies and the program."""
