"""Planted faults, which test the laws: the laws must fail on every one of them.

Each folder and file mirrors the source: `transforms/scalar.py` holds the faults of `pushforward/transforms/scalar.py`.

    python -m tests.mutants --sample 10     # plant ten faults, drawn at random
    python -m tests.mutants scalar          # plant the faults whose name or source file matches
"""
