"""Commands run by tests, in this process or in another one."""

import contextlib
import io
import subprocess
import sys

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
