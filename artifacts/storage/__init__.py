"""Object storage: one protocol, one module per back end."""
