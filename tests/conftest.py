"""A shell may start the tests with SIGINT ignored (as a background job); the tests of Ctrl-C need it as Python has it."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
