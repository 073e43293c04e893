"""The commands: one module each, with `register` and `run`.

`register` is called for every command at every start, so it imports nothing.
"""
