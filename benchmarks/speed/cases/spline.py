"""The rational-quadratic map alone, with as many elements as the flows of each size have in a layer.

Every library gets the parameters in memory as its own conditioners leave them: here, one parameter of all coordinates after
the other; elsewhere, all parameters of one coordinate together.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from ...peers import OWN
from ...peers.library import Spline
from ..timing import Call
from ..work import Work
from .flows import COMPILED, Contenders

DIRECTIONS = ("forward", "forward and backward")


def elements(work: Work) -> tuple[int, int]:
    """Rows and mapped coordinates of a layer."""
    outputs = work.networks[0][1]
    return work.size.batch, outputs // work.system.n


def spline(
    work: Work, maps: Mapping[str, Spline], direction: str, device: torch.device, compiled: tuple[str, ...]
) -> Contenders:
    """The map of x and its parameters; and their gradients, given those of its two results.

    Args:
        work: layout and number of elements.
        maps: by library.
        direction: one of `DIRECTIONS`.
        device: where.
        compiled: whose compiled forms are measured too.
    """
    rows, columns = elements(work)
    x = 2 * torch.randn(rows, columns, device=device)
    p = torch.randn(rows, columns, work.system.n, device=device)
    gradient = torch.randn(rows, columns, device=device)
    own = p.mT.contiguous().mT
    make = _forward if direction == "forward" else _backward
    found = Contenders({}, {}, {})
    for name, run in maps.items():
        found.calls[name] = make(run, x, own if name == OWN else p, gradient)
    torch.compiler.reset()
    for name in compiled:
        if name in maps:
            run = torch.compile(maps[name], fullgraph=name == OWN, dynamic=False)
            found.add_compiled(name + COMPILED, partial(make, run, x, own if name == OWN else p, gradient))
    return found


def _forward(run: Spline, x: Tensor, p: Tensor, gradient: Tensor) -> Call:
    @torch.no_grad()
    def call() -> object:
        return run(x, p)

    return call


def _backward(run: Spline, x: Tensor, p: Tensor, gradient: Tensor) -> Call:
    x, p = x.clone().requires_grad_(), p.clone().requires_grad_()

    def call() -> None:
        x.grad = p.grad = None
        z, slopes = run(x, p)
        # Some libraries sum the log-derivatives of a row; a gradient of ones asks the same of both forms.
        torch.autograd.backward((z, slopes), (gradient, torch.ones_like(slopes)))

    return call
