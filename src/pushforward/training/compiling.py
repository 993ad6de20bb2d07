"""Compiling an objective for one shape of batch: whole or not at all, with nothing left behind.

The objective is compiled by its first step, which is a rehearsal: it changes neither weights nor running averages nor the
random state, so that a run that cannot be compiled goes on as if nothing had been tried. Random numbers are drawn as without
compilation, so that both give the same weights up to rounding and a bad step can be run again to find out what went wrong.
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
"""A function of the objective's arguments: a batch and, with weighted rows, their weights."""

logger = logging.getLogger("pushforward.training")

BACKEND = "inductor"
"""Backend of `torch.compile`."""
REASON = 160
"""Number of characters of an error shown in a warning."""


def compiled(objective: nn.Module, whole: nn.Module, *inputs: Any) -> Loss | None:
    """Compile an objective for batches of one shape; return None, after a warning, where that is not possible.

    The module itself is left as it is: its weights keep their names, and it can still be called.

    Args:
        objective: The loss, in the mode and precision in which it will be called.
        whole: Module with every parameter and buffer that a step may change.
        *inputs: Arguments of the objective of that shape: a batch and, with weighted rows, their weights.
    """
    options: dict[str, Any] = {"options": {"fallback_random": True}} if BACKEND == "inductor" else {}
    try:
        with rehearsal(whole, inputs[0][0].device), warnings.catch_warnings():
            # What torch says about itself while it compiles is of no use to a caller.
            warnings.simplefilter("ignore")
            loss = torch.compile(_function(objective), fullgraph=True, dynamic=False, backend=BACKEND, **options)
            loss(*inputs).backward()
            with torch.compiler.set_stance("fail_on_recompile"):
                loss(*inputs).backward()
    # Compilers raise dozens of unrelated types. What is wrong with the objective itself comes up again in the first step.
    except Exception as error:
        logger.warning("the objective was not compiled, training goes on without: %s", _reason(error))
        return None
    return loss


def no_recompilation() -> AbstractContextManager[None]:
    """Within, compiled code that does not fit a call is not compiled again; the call runs without."""
    return torch.compiler.set_stance("eager_on_recompile")


def _function(objective: nn.Module) -> Loss:
    """Return the objective as a function of its own.

    torch keeps compiled code with the code of the function, up to a limit and for ever. A copy for each run keeps runs
    out of each other's way, and lets the compiled code go when the run ends.
    """

    def loss(*inputs: Any) -> Tensor:
        return objective(*inputs)

    loss.__code__ = loss.__code__.replace()
    return loss


def _reason(error: Exception) -> str:
    """Kind and first line of an error."""
    first = str(error).strip().splitlines()[:1]
    text = f"{type(error).__name__}: {first[0]}" if first else type(error).__name__
    return text if len(text) <= REASON else f"{text[:REASON]}..."
