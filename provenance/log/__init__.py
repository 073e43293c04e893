"""The append-only log of all that was signed: what it is, how it grows, how it is checked."""
