"""Directories as immutable things: captured, packed, sent, fetched and written out again.

The identity of a tree is the digest of its manifest (`custody-tree/v1`). Where its
bytes lie is a layout, which nobody needs to trust: every file that is restored is
hashed against the manifest, always.
"""
