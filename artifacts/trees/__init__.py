"""Trees: directories under one digest, whose files lie in verified frames.

`manifest` says what a directory holds and is its identity; `claims` is where a client
says the bytes lie; `packs` decodes and hashes them; `layout` is what the service hands
out once a worker (`checking`) has seen every byte. `docs/formats.md` has each form.
"""
