"""Reading and verifying evidence, offline, with the standard library and cryptography alone.

Nothing is imported here: `custody --help` must not pay for cryptography.
"""
