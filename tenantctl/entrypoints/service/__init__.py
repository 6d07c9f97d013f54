"""The HTTP service: what billing and the mailer call."""
