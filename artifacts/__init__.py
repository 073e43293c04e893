"""What exists: digests, references, runs and steps, and the bytes they name."""
