"""Pushforward beside its peers at the same work: `python -m benchmarks.speed --help`."""
