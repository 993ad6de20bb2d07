"""`main`: runs one command, and turns whatever happens into an exit code and at most one sentence."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from cyclopts import CycloptsError

from ..errors import FlowError, SpecError
from .app import app
from .problems import Interrupted, UsageError

DATA, USAGE, CTRL_C, PIPE = 1, 2, 130, 141
"""Exit codes. 130 and 141 are what a shell reports for a program ended by SIGINT and by SIGPIPE."""
DEBUG = "--debug"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: those of the process by default.

    Returns:
        The exit code: see the package.
    """
    if arguments is None:
        # Threads that wait for each other on a busy machine make small models and scikit-learn's trees many times
        # slower; `--threads` sets torch's own number later.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG in tokens or os.environ.get("PUSHFORWARD_DEBUG", "") not in ("", "0")
    handler = _Warnings()
    logger = logging.getLogger("pushforward")
    logger.addHandler(handler)
    try:
        code = app([token for token in tokens if token != DEBUG], exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return int(code or 0)
    except (Exception, KeyboardInterrupt) as error:
        code, sentence = _verdict(error)
        if sentence and not _silent():
            print(f"pushforward: {sentence}", file=sys.stderr)
        if debug:
            raise
        return code
    finally:
        logger.removeHandler(handler)


def _verdict(error: BaseException) -> tuple[int, str]:
    """The exit code and the sentence for an exception; no sentence where the reader of the output is gone."""
    if isinstance(error, CycloptsError):
        command = " ".join(["pushforward", *(error.command_chain or ())])
        return USAGE, f"error: {_one_line(error)}; see {command} --help"
    if isinstance(error, (UsageError, SpecError)):
        return USAGE, f"error: {_one_line(error)}"
    if isinstance(error, Interrupted):
        return CTRL_C, _one_line(error)
    if isinstance(error, KeyboardInterrupt):
        return CTRL_C, "interrupted; no file was left half written"
    if isinstance(error, BrokenPipeError):
        # What is still in the buffer would be written, and fail again, at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE, ""
    if isinstance(error, FlowError):
        return DATA, f"error: {_one_line(error)}"
    if isinstance(error, MemoryError):
        return DATA, "error: the memory of this machine is not enough; give fewer rows"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return DATA, f"error: {where}{(error.strerror or str(error)).lower()}"
    return DATA, f"error: unexpected {type(error).__name__}: {_one_line(error)}; {DEBUG} shows where"


def _silent() -> bool:
    """Whether another process of torchrun's speaks for all."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return False
    from ..training.distributed import silent

    return silent()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")


class _Warnings(logging.Handler):
    """Warnings of the library as sentences on stderr; how an interrupted run ended is said by the command itself."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Print one."""
        message = record.getMessage()
        if not message.startswith("training was interrupted") and not _silent():
            print(f"pushforward: warning: {message}", file=sys.stderr)
