"""Vaults off Google's cloud, in S3 with Object Lock; installed with the extra `s3`."""
