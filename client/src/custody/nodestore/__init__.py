"""What this machine has fetched before, kept so that it need not be fetched again.

Nothing in it is trusted: whoever takes something out hashes it first, drops what is
wrong and fetches it anew.
"""
