"""What we are measured against, written the usual way and with care."""
