"""The log of what was signed, as whoever checks it sees it; the service has the same in its own tree."""
