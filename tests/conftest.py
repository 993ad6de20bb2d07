"""What every test process starts with."""

import gc
import hashlib
import signal

import pytest

# A shell may start the tests with SIGINT ignored (as a background job); the tests of Ctrl-C need it as Python has it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Collected tests and imported modules stay for good: to look through them for cycles takes some percent of the run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--tier`: which tests are run."""
    parser.addoption(
        "--tier",
        default="test",
        help="test: all but the dear ones (default); all: every test; sample:N:TEXT: N of the dear ones, chosen by a text",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the tier."""
    tier = config.getoption("--tier")
    if tier == "all":
        return
    dear = [item for item in items if item.get_closest_marker("dear")]
    kept = [item for item in items if not item.get_closest_marker("dear")]
    if tier != "test":
        kind, number, text = tier.split(":", 2)
        if kind != "sample" or not number.isdigit():
            raise pytest.UsageError(f"expected a tier test, all or sample:N:TEXT, got {tier!r}")
        kept = sorted(dear, key=lambda item: hashlib.sha256((text + item.nodeid).encode()).digest())[: int(number)]
    chosen = set(map(id, kept))
    config.hook.pytest_deselected(items=[item for item in items if id(item) not in chosen])
    items[:] = [item for item in items if id(item) in chosen]
