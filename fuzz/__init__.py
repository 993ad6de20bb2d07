"""Seeded fuzzers: damaged and hostile files get one clear sentence. Run with `python -m fuzz`; see `fuzz/__main__.py`."""
