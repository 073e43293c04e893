"""What `custody run` does around a command: child, log, recording and report."""
