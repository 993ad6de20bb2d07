"""Commands run by tests, in this process or in another one."""

import contextlib
import io
import subprocess
import sys

import numpy as np
import polars as pl

from pushforward.cli import main


def run(*arguments, stdin=None):
    """Exit code, standard output and error of a command, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    old = sys.stdin
    sys.stdin = old if stdin is None else io.TextIOWrapper(io.BytesIO(stdin.encode()))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
    finally:
        sys.stdin = old
    return code, out.getvalue(), err.getvalue()


def process(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "pushforward", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def refused(result, code, *words):
    """One sentence on standard error, nothing on standard output."""
    got, out, err = result
    assert got == code, err
    assert out == ""
    assert err.startswith("pushforward: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert "Traceback" not in err
    assert "unexpected" not in err
    for word in words:
        assert word in err, err


def mixed(seed=0, rows=200):
    """A table with columns of every kind."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": [f"row {i}" for i in range(rows)],
            "age": rng.integers(18, 90, rows),
            "height": pl.Series(rng.normal(170, 9, rows).round(1)).set(pl.Series(rng.random(rows) < 0.1), None),
            "share": rng.beta(2, 3, rows),
            "city": rng.choice(["Ålesund", "Bergen, west", "Oslo"], rows),
            "member": rng.random(rows) < 0.4,
            "unit": ["cm"] * rows,
        }
    )
