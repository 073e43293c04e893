"""Hashing again what is stored: what to look at, how each kind is checked, how it is mended."""
