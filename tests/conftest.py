"""What every test process starts with."""

import gc
import signal

# A shell may start the tests with SIGINT ignored (as a background job); the tests of Ctrl-C need it as Python has it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Collected tests and imported modules stay for good: to look through them for cycles takes some percent of the run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
