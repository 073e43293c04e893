"""Each promise about speed, measured beside its peer: `python -m benchmarks`."""
