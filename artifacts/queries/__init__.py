"""The only SQL of the service: connection first, domain types in and out, never a commit."""
