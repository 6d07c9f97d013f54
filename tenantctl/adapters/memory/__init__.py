"""In-memory fakes for rules and simulations; they pass the real adapters' contract suites."""
