"""One module per resource; routes only translate."""
