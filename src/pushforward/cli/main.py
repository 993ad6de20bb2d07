"""Entry point `main`: it runs one command, and turns every error into an exit code and one sentence."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

from cyclopts import CycloptsError

from ..errors import FlowError, SpecError, shortened
from ..signals import Interrupted, raise_terminated, signal_of
from ..terminal import abandon, flush_error, flush_output, occupy_standard_streams, write_error
from .app import app
from .options import UsageError

DATA, USAGE, PIPE = 1, 2, 141
"""Exit codes; 141 is the code that a shell reports for a program that SIGPIPE has ended."""
SIGNALLED = 128
"""Number that a shell adds to the number of the signal that ended a program: 130 for SIGINT (Ctrl-C), 143 for SIGTERM."""
DEBUG = "--debug"
HELP = {"--help", "-h"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Arguments of the command line; by default those of the process.

    Returns:
        The exit code, see the package `pushforward.cli`.
    """
    if arguments is None:
        # On a busy machine, threads that wait for each other make small models and the trees of scikit-learn many times
        # slower. The option `--threads` later sets the number of threads of torch.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG in tokens or os.environ.get("PUSHFORWARD_DEBUG", "") not in ("", "0")
    handler = _Warnings()
    logger = logging.getLogger("pushforward")
    logger.addHandler(handler)
    occupy_standard_streams()
    try:
        with _termination_as_interruption():
            code = _run([token for token in tokens if token != DEBUG])
            flush_output()
            return int(code or 0)
    except (Exception, KeyboardInterrupt) as error:
        code, sentence = _verdict(error)
        if sentence and not _silent():
            write_error(f"pushforward: {sentence}")
        if debug:
            raise
        return code
    finally:
        logger.removeHandler(handler)
        flush_error()


def _run(tokens: list[str]) -> int | None:
    if HELP.isdisjoint(tokens) or tokens[0] not in list(app):
        return app(tokens, exit_on_error=False, print_error=False)
    # Cyclopts would first process all options of the command, which takes longer than printing the help.
    app.help_print([token for token in tokens if token not in HELP])
    return 0


@contextlib.contextmanager
def _termination_as_interruption() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does; training in several processes handles it by itself."""
    number, takes = signal.SIGTERM, threading.current_thread() is threading.main_thread()
    if not takes or os.environ.get("WORLD_SIZE", "1") != "1" or signal.getsignal(number) is not signal.SIG_DFL:
        yield
        return
    signal.signal(number, raise_terminated)
    try:
        yield
    finally:
        signal.signal(number, signal.SIG_DFL)


def _verdict(error: BaseException) -> tuple[int, str]:
    """Return the exit code and the sentence for an exception; the sentence is empty if the output can no longer be read."""
    if isinstance(error, CycloptsError):
        command = " ".join(["pushforward", *(error.command_chain or ())])
        return USAGE, f"error: {_one_line(error)}; see {command} --help"
    if isinstance(error, (UsageError, SpecError)):
        return USAGE, f"error: {_one_line(error)}"
    if isinstance(error, Interrupted):
        return SIGNALLED + error.number, _one_line(error)
    if isinstance(error, KeyboardInterrupt):
        return SIGNALLED + signal_of(error), "interrupted; no file was left half written"
    if isinstance(error, BrokenPipeError):
        abandon(sys.stdout)
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
    """Return whether this process prints nothing, because another process of the same `torchrun` prints for all."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return False
    from ..training.parallel.processes import silent

    return silent()


def _one_line(error: BaseException) -> str:
    return shortened(" ".join(str(error).split()).rstrip("."))


class _Warnings(logging.Handler):
    """Handler that prints warnings of the library on standard error, except the one about an interrupted training.

    The command itself prints how an interrupted run ended.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Print one warning."""
        message = record.getMessage()
        if not message.startswith("training was interrupted") and not _silent():
            write_error(f"pushforward: warning: {message}")
