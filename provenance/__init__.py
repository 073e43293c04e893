"""What is said about artifacts: statements, signatures, verification, lineage."""
