"""Torch distributions split into a recipe and tensors, so that a model can hold the tensors as buffers or parameters."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution as TorchDistribution
from torch.distributions import Independent, MixtureSameFamily, TransformedDistribution

from ..errors import SpecError

ALTERNATIVES = (("probs", "logits"), ("covariance_matrix", "precision_matrix", "scale_tril"))
"""Groups of arguments of which a distribution takes exactly one."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Recipe that builds a torch distribution from named tensors.

    Args:
        kind: Class of the distribution.
        names: Names of the arguments that are tensors.
        parts: Recipes of the arguments that are distributions, by name; the tensors of a part are named `part_argument`.
        fixed: Names and values of all other arguments.
    """

    kind: type[TorchDistribution]
    names: tuple[str, ...] = ()
    parts: tuple[tuple[str, Recipe], ...] = ()
    fixed: tuple[tuple[str, Any], ...] = ()

    def __call__(self, **tensors: Tensor) -> TorchDistribution:
        """Return the distribution, built without validation of its arguments."""
        inner = {
            part: recipe(**{k.removeprefix(f"{part}_"): v for k, v in tensors.items() if k.startswith(f"{part}_")})
            for part, recipe in self.parts
        }
        own = {name: tensors[name] for name in self.names}
        arguments: dict[str, Any] = {**own, **inner, **dict(self.fixed)}
        return self.kind(**arguments, validate_args=False)

    def __str__(self) -> str:
        """Return the class name, with inner distributions in brackets, such as `Independent(Normal)`."""
        inside = ", ".join(str(recipe) for _, recipe in self.parts)
        return f"{self.kind.__name__}({inside})" if inside else self.kind.__name__


def take_apart(distribution: TorchDistribution) -> tuple[Recipe, dict[str, Tensor]]:
    """Return the recipe of a distribution and the tensors that the recipe needs.

    An `nn.Parameter` is returned as the same object, so training changes it. Other tensors are copied.

    Raises:
        SpecError: The distribution cannot be rebuilt from its arguments.
    """
    parts, fixed = _parts_of(distribution)
    recipes: list[tuple[str, Recipe]] = []
    tensors: dict[str, Tensor] = {}
    for name, part in parts.items():
        recipe, found = take_apart(part)
        recipes.append((name, recipe))
        tensors |= {f"{name}_{key}": value for key, value in found.items()}
    own = {} if parts else {name: _held(getattr(distribution, name)) for name in _arguments(distribution)}
    recipe = Recipe(type(distribution), tuple(own), tuple(recipes), tuple(fixed.items()))
    tensors |= own
    try:
        made = recipe(**tensors)
    except Exception:  # a user's class may raise anything
        raise _refusal(distribution) from None
    if (made.batch_shape, made.event_shape) != (distribution.batch_shape, distribution.event_shape):
        raise _refusal(distribution)
    return recipe, tensors


def _refusal(distribution: TorchDistribution) -> SpecError:
    name = type(distribution).__name__
    return SpecError(
        f"expected a distribution that can be rebuilt from its arguments, got {name}; "
        f"use pushforward.distributions.FromTorch({name}, space, argument=value, ...)"
    )


def _parts_of(distribution: TorchDistribution) -> tuple[dict[str, TorchDistribution], dict[str, Any]]:
    """Return the arguments that are distributions, and the arguments that are neither distributions nor tensors."""
    if isinstance(distribution, Independent):
        count = distribution.reinterpreted_batch_ndims
        return {"base_distribution": distribution.base_dist}, {"reinterpreted_batch_ndims": count}
    if isinstance(distribution, MixtureSameFamily):
        return {
            "mixture_distribution": distribution.mixture_distribution,
            "component_distribution": distribution.component_distribution,
        }, {}
    if type(distribution) is TransformedDistribution:
        if any(isinstance(value, Tensor) for t in distribution.transforms for value in vars(t).values()):
            raise SpecError(
                "expected transforms without tensors in a TransformedDistribution, got one with tensors, which a model "
                "cannot hold; put the transform into the chain with FromTorchTransform"
            )
        return {"base_distribution": distribution.base_dist}, {"transforms": list(distribution.transforms)}
    return {}, {}


def _arguments(distribution: TorchDistribution) -> list[str]:
    """Return the names of the tensor arguments; from a group of alternatives, the one that the user gave."""
    constrained = distribution.arg_constraints
    names = [name for name in inspect.signature(type(distribution).__init__).parameters if name in constrained]
    for group in ALTERNATIVES:
        # torch computes the other alternatives lazily as properties, so only the given one is in the instance's dict.
        given = [name for name in group if name in names and name in vars(distribution)]
        names = [name for name in names if name not in group or name in given[:1]]
    return names


def _held(value: Any) -> Tensor:
    return value if isinstance(value, nn.Parameter) else torch.as_tensor(value).detach().clone()
