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

Loss = Callable[[tuple[Tensor, ...]], Tensor]

logger = logging.getLogger("pushforward.training")

BACKEND = "inductor"
"""Of `torch.compile`."""
REASON = 160
"""Characters of an error shown in a warning."""


def compiled(objective: nn.Module, whole: nn.Module, batch: tuple[Tensor, ...]) -> Loss | None:
    """The objective compiled for batches of one shape; None, after a warning, where that is not possible.

    The module itself is left as it is: its weights keep their names, and it can still be called.

    Args:
        objective: the loss, in the mode and precision in which it will be called.
        whole: with every parameter and buffer that a step may change.
        batch: of that shape.
    """
    options: dict[str, Any] = {"options": {"fallback_random": True}} if BACKEND == "inductor" else {}
    try:
        with rehearsal(whole, batch[0].device), warnings.catch_warnings():
            # What torch says about itself while it compiles is of no use to a caller.
            warnings.simplefilter("ignore")
            loss = torch.compile(_function(objective), fullgraph=True, dynamic=False, backend=BACKEND, **options)
            loss(batch).backward()
            with torch.compiler.set_stance("fail_on_recompile"):
                loss(batch).backward()
    # Compilers raise dozens of unrelated types. What is wrong with the objective itself comes up again in the first step.
    except Exception as error:
        logger.warning("the objective was not compiled, training goes on without: %s", _reason(error))
        return None
    return loss


def no_recompilation() -> AbstractContextManager[None]:
    """Within, compiled code that does not fit a call is not compiled again; the call runs without."""
    return torch.compiler.set_stance("eager_on_recompile")


def _function(objective: nn.Module) -> Loss:
    """The objective as a function of its own.

    torch keeps compiled code with the code of the function, up to a limit and for ever. A copy for each run keeps runs
    out of each other's way, and lets the compiled code go when the run ends.
    """

    def loss(batch: tuple[Tensor, ...]) -> Tensor:
        return objective(batch)

    loss.__code__ = loss.__code__.replace()
    return loss


def _reason(error: Exception) -> str:
    """Kind and first line of an error."""
    first = str(error).strip().splitlines()[:1]
    text = f"{type(error).__name__}: {first[0]}" if first else type(error).__name__
    return text if len(text) <= REASON else f"{text[:REASON]}..."
