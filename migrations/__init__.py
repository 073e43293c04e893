"""The frozen history of the database schema."""
