"""Compilation of an objective for one shape of batch, as one graph and without side effects.

The objective is compiled by a trial step, which changes neither the weights nor running averages nor the random state. So if
compilation fails, the run continues as if it had not been tried. Random numbers are drawn in the same way as without
compilation, so both give the same weights up to rounding, and a bad step can be run again to find out what went wrong.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from .trial_step import rehearsal

Loss = Callable[..., Tensor]
"""Function of the objective's arguments: a batch and, with weighted rows, their weights."""

logger = logging.getLogger("pushforward.training")

BACKEND = "inductor"
"""Backend of `torch.compile`."""
REASON = 160
"""Number of characters of an error shown in a warning."""


def compiled(objective: nn.Module, whole: nn.Module, *inputs: Any) -> Loss | None:
    """Compile an objective for batches of one shape; return None, after a warning, if that is not possible.

    The module itself is not changed: its weights keep their names, and it can still be called.

    Args:
        objective: The loss, in the mode and precision in which training calls it.
        whole: Module with every parameter and buffer that a training step may change.
        *inputs: Arguments of the objective, with the shapes to compile for: a batch and, with weighted rows, their weights.
    """
    options: dict[str, Any] = {"options": {"fallback_random": True}} if BACKEND == "inductor" else {}
    try:
        with rehearsal(whole, inputs[0][0].device), warnings.catch_warnings():
            # The warnings that torch raises about its own internals while it compiles do not help the caller.
            warnings.simplefilter("ignore")
            loss = torch.compile(_function(objective), fullgraph=True, dynamic=False, backend=BACKEND, **options)
            loss(*inputs).backward()
            with torch.compiler.set_stance("fail_on_recompile"):
                loss(*inputs).backward()
    # Compilers raise dozens of unrelated types of errors. An error of the objective itself comes up again in the first step.
    except Exception as error:
        logger.warning("the objective was not compiled, training continues without: %s", _reason(error))
        return None
    return loss


def no_recompilation() -> AbstractContextManager[None]:
    """Run calls that compiled code does not fit without compilation, instead of compiling again, within the block."""
    return torch.compiler.set_stance("eager_on_recompile")


def _function(objective: nn.Module) -> Loss:
    """Return the objective as a new function.

    torch caches compiled code for each function code object, up to a limit and without ever removing it. With a copy for each
    run, runs do not use up each other's limit, and the compiled code is freed when the run ends.
    """

    def loss(*inputs: Any) -> Tensor:
        return objective(*inputs)

    loss.__code__ = loss.__code__.replace()
    return loss


def _reason(error: Exception) -> str:
    """Return the type and the first line of an error's message."""
    first = str(error).strip().splitlines()[:1]
    text = f"{type(error).__name__}: {first[0]}" if first else type(error).__name__
    return text if len(text) <= REASON else f"{text[:REASON]}..."
