"""Automatic choice of a model for a table: by its size, its columns, and its validation rows."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core import Chain
from ..functional.mixture_em import COMPONENTS, choose_mixture
from ..networks import MaskedMLP
from ..training import FitResult, TrainConfig, fit
from ..training.random_state import isolated
from .model_choice import table_model
from .schema import Schema
from .table_model import TableModel

SMALL = 5000
"""Number of training rows below which the networks use dropout."""
TINY = 1000
"""Number of training rows below which the flow has half as many layers."""
REFITTED = 2000
"""Number of rows below which the best model is trained once more, on training and validation rows together."""
MOST_FOR_ALTERNATIVES = 200_000
"""Largest number of rows for which other models are tried."""
QUICK_SECONDS = 15.0
"""Length of training of a quick run, in seconds."""
QUICK_ROWS, QUICK_COMPONENTS = 2000, (1, 4, 16)
"""Number of rows, and numbers of mixture components to try, for a quick choice."""
DROPOUT = 0.2
LABEL_DROPOUT = 0.5
"""Dropout of a masked network for a table of labels only; its direct connections carry what is linear."""
MOST_CODES = 1000
"""Largest number of labels in all columns for which a mixture that is gated by them is tried."""
MASKS = 8
"""Number of masks of the alternative for a small table of labels only."""
PATIENCE = 30
"""Number of epochs without a better validation score after which training stops, for fewer than `SMALL` rows."""
FAR = 6.0
"""Number of standard deviations beyond which a value is far out in a tail."""
FAR_SHARE = 5e-4
"""Share of far values from which the tails of a column are called heavy; a normal distribution has 2e-9."""
LABEL_WIDTHS = (64, 512)
"""Smallest and largest width of the network of labels."""

Arguments = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class AutoChoice:
    """System and its arguments, chosen for a table, and other systems to compare it with on the validation rows.

    Args:
        system: Name of the system.
        arguments: Arguments of the system.
        label_hidden: Widths of the hidden layers of the network of labels.
        label_dropout: Share of the hidden units of that network that are dropped in training.
        alternatives: Names and arguments of the other systems.
        patience: Number of epochs without improvement after which training stops; None for the default.
        why: Reason of the choice, as a part of a sentence.
    """

    system: str
    arguments: Arguments = field(default_factory=dict)
    label_hidden: tuple[int, ...] = (64, 64)
    label_dropout: float = 0.0
    alternatives: tuple[tuple[str, Arguments], ...] = ()
    patience: int | None = None
    why: str = ""

    def with_label_hidden(self, widths: tuple[int, ...]) -> AutoChoice:
        """Return the choice with other widths of the hidden layers of the network of labels."""
        if "direct" not in self.arguments:
            return replace(self, label_hidden=widths)
        alternatives = tuple((system, {**arguments, "hidden": widths}) for system, arguments in self.alternatives)
        return replace(self, arguments={**self.arguments, "hidden": widths}, alternatives=alternatives)

    def of(self, system: str, arguments: Arguments) -> AutoChoice:
        """Return the choice with another system."""
        return replace(self, system=system, arguments=arguments)


def label_widths(schema: Schema) -> tuple[int, ...]:
    """Return the widths of the hidden layers of the network of labels; they grow with the number of labels in all columns."""
    labels = sum(column.classes for column in schema.columns if column.classes > 1)
    smallest, largest = LABEL_WIDTHS
    width = min(largest, max(smallest, 2 * labels))
    return (width,) if all(not column.numeric for column in schema.columns) else (width, width)


def choose(schema: Schema, rows: np.ndarray, seed: int = 0, *, quick: bool = False) -> AutoChoice:
    """Return the systems that suit a table.

    Numbers get a neural spline flow. Its base is a mixture of Gaussians that starts from a fit to the training rows, so the
    flow only has to learn the difference between the data and the mixture. If columns have heavy tails, the base is Student's t
    instead. The alternative is the mixture without a flow, which can be the better model of a small table. A table of labels
    only gets a masked network with direct connections; the alternative for a small table has several masks. A table with angles
    or positions gets splines on circles, heights and lines.

    Args:
        schema: Schema of the table.
        rows: Encoded training rows (N, C).
        seed: Seed of the choice.
        quick: Whether a coarse choice on fewer rows is enough.
    """
    hidden = label_widths(schema)
    small = len(rows) < SMALL
    patience, dropout = (PATIENCE, DROPOUT) if small else (None, 0.0)
    features = sum(column.numeric for column in schema.columns)
    if features == 0:
        arguments: Arguments = {"hidden": hidden, "direct": True, "dropout": LABEL_DROPOUT if small else 0.0}
        averaged = ("made", {**arguments, "masks": MASKS, "dropout": DROPOUT})
        return AutoChoice(
            system="made",
            arguments=arguments,
            alternatives=(averaged,) if small else (),
            patience=patience,
            why="all columns are labels",
        )
    if any(column.axis != "number" for column in schema.columns):
        return AutoChoice(
            system="mixed",
            arguments={"layers": 2 if len(rows) < TINY else 4},
            label_hidden=hidden,
            label_dropout=dropout,
            patience=patience,
            why="some columns are angles or positions",
        )
    z, codes = standardised(schema, rows[:: max(1, len(rows) // QUICK_ROWS)] if quick else rows, seed)
    arguments, alternatives, why = choose_flow(z, len(rows), seed, codes=codes, quick=quick)
    return AutoChoice(
        system="nsf",
        arguments=arguments,
        label_hidden=hidden,
        label_dropout=dropout,
        alternatives=alternatives,
        patience=patience,
        why=why,
    )


def choose_flow(
    z: Tensor, rows: int, seed: int = 0, *, codes: Tensor | None = None, quick: bool = False
) -> tuple[Arguments, tuple[tuple[str, Arguments], ...], str]:
    """Return the arguments of a neural spline flow for standardised numbers, the alternatives, and the reason.

    Args:
        z: Standardised numbers (N, F), all or some of the training rows.
        rows: Number of training rows.
        seed: Seed of the choice.
        codes: One-hot codes of the labels of each row, (N, L); None without labels.
        quick: Whether a coarse choice is enough.
    """
    small = rows < SMALL
    common: Arguments = ({"dropout": DROPOUT} if small else {}) | ({"layers": 2} if rows < TINY else {})
    numbers = QUICK_COMPONENTS if quick else COMPONENTS
    found = choose_mixture(z, numbers, codes=codes, seed=seed)
    if small and codes is not None and codes.shape[1] <= MOST_CODES:
        gated = choose_mixture(z, numbers, codes=codes, gated=True, seed=seed)
        found = gated if gated.score > found.score else found
    components = found.components
    gaussians = "a Gaussian" if components == 1 else f"a mixture of {components} Gaussians"
    mixed = {**common, "base": "full-mixture", "components": components}
    alone: tuple[str, Arguments] = ("mixture", {"components": components})
    one: Arguments = ({"dropout": DROPOUT} if small else {}) | {"base": "full-mixture", "components": 1}
    others = (("nsf", one), alone) if small and components > 1 else (alone,)
    # Of normal numbers, fewer than 1 in 10^8 lie so far out. More than two such rows in a column are a heavy tail, not chance.
    far = float(((z - z.mean(0)).abs() > FAR * z.std(0)).double().mean(0).max())
    if far >= max(FAR_SHARE, 2.5 / rows):
        alternatives = (("nsf", mixed), alone) if small else (alone,)
        return {**common, "base": "student"}, alternatives, "columns have heavy tails, so the base is Student's t"
    return mixed, others, f"the base starts as {gaussians}"


@dataclass(frozen=True)
class Improvement:
    """Best model after the comparison with the alternatives.

    Args:
        model: Best model.
        system: Name of its system.
        tried: System, base and validation score (nats per row) of each model that was tried.
        refitted: Whether the model was trained again on all rows.
        interrupted: Number of the signal that interrupted the comparison; 0 for none.
    """

    model: TableModel
    system: str
    tried: list[dict[str, Any]]
    refitted: bool = False
    interrupted: int = 0


def improve(
    model: TableModel,
    result: FitResult,
    choice: AutoChoice,
    rows: np.ndarray,
    validation: float | None,
    config: TrainConfig,
    *,
    seed: int,
) -> Improvement:
    """Return the best of a trained model and its alternatives, compared on the validation rows.

    If there are fewer than `REFITTED` rows, the best model is then trained again, on training and validation rows together.
    Early stopping is not possible without validation rows, so training runs for the number of epochs that was best before. The
    additional rows improve the model of a small table.

    Args:
        model: Trained model of the chosen system.
        result: Record of its training.
        choice: Chosen system and alternatives.
        rows: Encoded rows (N, C) for training and validation.
        validation: Share or number of the validation rows, as in `fit`.
        config: Options of the training.
        seed: Seed of fresh weights.
    """
    schema = model.schema
    best, epochs, score = (choice.system, choice.arguments), result.best_epoch or 0, result.best_validation
    tried = [{"system": choice.system, **choice.arguments, "validation": score}]
    if score is None or not validation or len(rows) > MOST_FOR_ALTERNATIVES:
        return Improvement(model, choice.system, tried)
    for system, arguments in choice.alternatives:
        other = fresh(schema, choice.of(system, arguments), seed).to(model.device)
        found = fit(other, rows, validation=validation, config=config, progress=False)
        if found.stopped == "interrupted":
            return Improvement(model, best[0], tried, interrupted=found.signal or signal.SIGINT)
        tried.append({"system": system, **arguments, "validation": found.best_validation})
        if found.best_validation is not None and found.best_validation > score:
            model, best, epochs, score = other, (system, arguments), found.best_epoch or 0, found.best_validation
    if len(rows) >= REFITTED or epochs < 1:
        return Improvement(model, best[0], tried)
    again = fresh(schema, choice.of(*best), seed).to(model.device)
    # Without validation rows there is no early stopping, so the best number of epochs of the first run is used.
    config = config.replace(epochs=epochs, schedule="constant")
    found = fit(again, rows, validation=None, config=config, progress=False)
    if found.stopped == "interrupted":
        return Improvement(model, best[0], tried, interrupted=found.signal or signal.SIGINT)
    return Improvement(again.eval(), best[0], tried, refitted=True)


def fresh(schema: Schema, choice: AutoChoice, seed: int, labels: str | None = None) -> TableModel:
    """Return a model of a table with new random weights that depend only on the seed.

    Args:
        schema: Schema of the table.
        choice: System and its arguments.
        seed: Seed of the weights.
        labels: Name of a system for the labels; by default a network of softmaxes.
    """
    with isolated(torch.device("cpu"), seed):
        hidden = choice.label_hidden
        model = table_model(schema, choice.system, labels=labels, label_hidden=hidden, **choice.arguments)
    network = getattr(model.labels, "net", None)
    if isinstance(network, MaskedMLP) and choice.label_dropout > 0:
        network.dropout = nn.Dropout(choice.label_dropout)
    return model


@torch.no_grad()
def standardised(schema: Schema, rows: np.ndarray, seed: int = 0) -> tuple[Tensor, Tensor | None]:
    """Return the numbers of rows (N, F) as the flow receives them, and the code of their discrete facts (N, L) or None."""
    model = table_model(schema, "gaussian")
    x = torch.from_numpy(rows)
    with isolated(torch.device("cpu"), seed):
        return _before_the_flow(model, x)


def _before_the_flow(model: TableModel, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the numbers of rows after the layers of `column_layers`, and the one-hot code of their discrete facts."""
    assert model.numbers is not None  # noqa: S101
    _, code = model._split(x)
    chain = model.numbers.chain
    layers = Chain(*list(chain)[:-1]) if isinstance(chain, Chain) else chain
    return layers(model._numbers_of(x), code)[0].double(), code
