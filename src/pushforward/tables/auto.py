"""The model that suits a table when no system is named: chosen by its size, its kinds of columns and its training rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core import Chain
from ..functional.mixture_em import choose_mixture
from .schema import Schema
from .table_model import TableModel, table_model

SMALL = 5000
"""Training rows below which hidden units are dropped."""
DROPOUT = 0.2
FAR = 6.0
"""Deviations beyond which a value is far out in a tail."""
FAR_SHARE = 5e-4
"""Share of far values in a column from which its tails are heavy: a normal distribution has 2e-9."""
LABEL_WIDTHS = (64, 512)
"""Smallest and largest width of the network of labels."""


@dataclass(frozen=True, kw_only=True)
class AutoChoice:
    """A system and its arguments, chosen for a table.

    Args:
        system: Name of the system.
        arguments: Its arguments.
        label_hidden: Widths of the network of labels.
        why: Reasons, as a sentence without a full stop.
    """

    system: str
    arguments: dict[str, Any] = field(default_factory=dict)
    label_hidden: tuple[int, ...] = (64, 64)
    why: str = ""


def label_widths(schema: Schema) -> tuple[int, ...]:
    """Return the widths of the network of labels: it grows with the number of labels of all columns."""
    labels = sum(column.classes for column in schema.columns if column.classes > 1)
    smallest, largest = LABEL_WIDTHS
    width = min(largest, max(smallest, 2 * labels))
    return (width,) if all(not column.numeric for column in schema.columns) else (width, width)


def choose(schema: Schema, rows: np.ndarray, seed: int = 0) -> AutoChoice:
    """Return the system that suits a table.

    Numbers get a neural spline flow. Its base is a mixture of Gaussians, which starts at a fit to the training rows, so that
    the flow only has to learn what a mixture lacks; or Student's t where columns have heavy tails.

    Args:
        schema: Schema of the table.
        rows: Encoded training rows (N, C).
        seed: Seed of the choice.
    """
    hidden = label_widths(schema)
    features = sum(column.numeric for column in schema.columns)
    if features == 0:
        return AutoChoice(system="nsf", label_hidden=hidden, why="labels only")
    z = standardised(schema, rows, seed)
    arguments: dict[str, Any] = {"dropout": DROPOUT} if len(rows) < SMALL else {}
    heavy = float(((z - z.mean(0)).abs() > FAR * z.std(0)).double().mean(0).max())
    if heavy >= max(FAR_SHARE, 2.5 / len(rows)):
        arguments["base"] = "student"
        why = "columns have heavy tails, so the base is Student's t"
    else:
        components, _ = choose_mixture(z, seed=seed)
        arguments |= {"base": "full-mixture", "components": components}
        gaussians = "a Gaussian" if components == 1 else f"a mixture of {components} Gaussians"
        why = f"the base starts as {gaussians}"
    return AutoChoice(system="nsf", arguments=arguments, label_hidden=hidden, why=why)


@torch.no_grad()
def standardised(schema: Schema, rows: np.ndarray, seed: int = 0) -> Tensor:
    """Return the numbers of rows on the scale on which they are modelled, without a linear effect of the labels: (N, F)."""
    model = table_model(schema, "gaussian")
    x = torch.from_numpy(rows)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        z, code = _before_the_flow(model, x)
    if code is None:
        return z
    given = code.double() - code.double().mean(0)
    gram = given.mT @ given + torch.eye(given.shape[1], dtype=torch.double)
    return z - given @ torch.linalg.solve(gram, given.mT @ (z - z.mean(0)))


def _before_the_flow(model: TableModel, x: Tensor) -> tuple[Tensor, Tensor | None]:
    assert model.numbers is not None  # noqa: S101
    _, code = model._split(x)
    chain = model.numbers.chain
    layers = Chain(*list(chain)[:-1]) if isinstance(chain, Chain) else chain
    return layers(model._numbers_of(x), code)[0].double(), code
