"""Weights of flows that zuko or nflows trained, as flows of this library with the same log-probabilities.

Hidden units of masked networks are sorted by degree, and rows of last layers are put into this library's order, so imported
autoregressive flows also draw in one pass. Weights under a mask's zeros are set to zero.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .core import Chain, Flow, Real, Transform
from .distributions import Normal
from .errors import SpecError, brief
from .networks import MLP, MaskedMLP
from .transforms import LU, Autoregressive, Coupling, Permutation, RationalQuadratic, Standardise
from .transforms.peer_maps import SaturatingSpline, ScaleRule
from .transforms.scalar import Additive, Scalar

State = dict[str, Tensor]
Parameters = tuple[Scalar, list[int], Callable[[Tensor], Tensor] | None]
"""A scalar map, the peer's number of each of its parameters, and a change of the last layer's rows (D, n, ...) or None."""
FLOOR = 1e-3
"""Smallest scale, and smallest slope of a spline, in both libraries."""


def import_weights(state: Mapping[str, Tensor] | nn.Module, *, activation: str = "relu", bound: float = 5.0) -> Flow:
    """Return a flow with the weights of a RealNVP, MAF or NSF that zuko or nflows trained.

    The sizes, masks, orders and numbers of bins follow from the state dictionary. What it does not hold are arguments.

        flow = pushforward.import_weights(peer.state_dict())
        torch.testing.assert_close(flow.log_prob(x), peer().log_prob(x))     # zuko; peer.log_prob(x) in nflows

    Supported are zuko's `RealNVP`, `MAF` and `NSF`, with or without a context; and nflows'
    `SimpleRealNVP`, `MaskedAutoregressiveFlow` and compositions of its affine and rational-quadratic couplings and
    autoregressive layers, permutations, `LULinear` and `BatchNorm`, without a context. The base is the standard normal.

    Args:
        state: State dictionary of the flow, or the flow itself.
        activation: Activation function of its networks.
        bound: Half-width of the interval on which its splines act; 5 in zuko, the argument `tail_bound` in nflows.

    Returns:
        The flow, in evaluation mode and in the dtype of the weights. It can be trained further and saved.

    Raises:
        SpecError: The dictionary is of another library, or holds a layer that has no counterpart here; the message names it.
    """
    given = state.state_dict() if isinstance(state, nn.Module) else state
    tensors: State = {str(name): value.detach() for name, value in given.items()}
    for prefix, read in (("transform.transforms.", _zuko), ("_transform._transforms.", _nflows)):
        parts = _numbered(tensors, prefix)
        if parts:
            try:
                layers = read(parts, tensors, activation, bound)
            except (KeyError, IndexError, RuntimeError) as error:
                raise SpecError(
                    f"expected complete weights of layers of RealNVP, MAF or NSF, got others: {brief(str(error))}"
                ) from None
            return Flow(Chain(*layers), Normal(layers[0].x_space)).to(_dtype(tensors)).eval()  # type: ignore[arg-type]
    shown = next(iter(tensors), "no entry")
    raise SpecError(
        f"expected the state dictionary of a flow of zuko or nflows, got one that starts with {brief(shown)}"
    )


def _dtype(tensors: State) -> torch.dtype:
    """Return the dtype of the first weights of numbers."""
    return next((t.dtype for name, t in tensors.items() if name.endswith("weight")), torch.get_default_dtype())


def _numbered(tensors: State, prefix: str) -> dict[int, State]:
    """Return the entries "PREFIX i.rest" as dictionaries of rest, by i; in the order of i."""
    found: dict[int, State] = {}
    for name, value in tensors.items():
        match = re.fullmatch(re.escape(prefix) + r"(\d+)\.(.+)", name)
        if match:
            found.setdefault(int(match[1]), {})[match[2]] = value
    return dict(sorted(found.items()))


def _zuko(parts: dict[int, State], tensors: State, activation: str, bound: float) -> list[Transform]:
    """Return the layers of a flow of zuko."""
    if "base.loc" in tensors and bool(tensors["base.loc"].any() or (tensors["base.scale"] != 1).any()):
        raise SpecError("expected a standard normal base, got another one")
    layers: list[Transform] = []
    for number, part in parts.items():
        linears = _numbered(part, "hyper.")
        if not linears or set(part) - {f"hyper.{i}.{name}" for i, one in linears.items() for name in one} - {
            "order",
            "mask",
        }:
            raise SpecError(
                f"expected layers of RealNVP, MAF or NSF, got other weights in layer {number}: {_names(part)}"
            )
        stack = list(linears.values())
        if "mask" in part:
            layers.append(_zuko_coupling(part["mask"].bool(), stack, activation, bound))
        elif "order" in part:
            layers.append(_masked(part["order"].long(), stack, activation, lambda n: _zuko_map(n, bound)))
        else:
            raise SpecError(f"expected an order or a mask in layer {number}, got {_names(part)}")
    return layers


def _zuko_map(parameters: int, bound: float) -> Parameters:
    """Return the map of one feature for a number of parameters."""
    if parameters == 2:
        return ScaleRule("saturating", FLOOR), [1, 0], None
    if parameters % 3 != 2 or parameters < 5:
        raise SpecError(f"expected 2 parameters for each feature, or 3 K - 1 of a spline, got {parameters}")
    return SaturatingSpline((parameters + 1) // 3, bound, FLOOR), list(range(parameters)), None


def _zuko_coupling(mask: Tensor, stack: list[State], activation: str, bound: float) -> Coupling:
    mapped = int((~mask).sum())
    scalar, order, _ = _zuko_map(len(stack[-1]["bias"]) // mapped, bound)
    context = stack[0]["weight"].shape[1] - int(mask.sum())
    last = _rows(stack[-1], mapped, order, by_feature=True)
    net = _filled(
        MLP(int(mask.sum()), len(last["bias"]), hidden=_widths(stack), context=context, activation=activation),
        [*stack[:-1], last],
    )
    return Coupling(scalar, Real((len(mask),)), mask.tolist(), net, context=context)


def _nflows(parts: dict[int, State], tensors: State, activation: str, bound: float) -> list[Transform]:
    """Return the layers of a flow of nflows."""
    if any("context_layer" in name for name in tensors):
        raise SpecError("expected a flow of nflows without a context, got one with context layers")
    if any("batch_norm" in name for name in tensors):
        raise SpecError("expected networks without batch normalisation, got some with it")
    features = _nflows_features(parts)
    return [_nflows_layer(number, part, Real((features,)), activation, bound) for number, part in parts.items()]


def _nflows_features(parts: dict[int, State]) -> int:
    for part in parts.values():
        for name in ("_permutation", "running_mean", "bias"):
            if name in part:
                return len(part[name])
        if "identity_features" in part:
            return len(part["identity_features"]) + len(part["transform_features"])
        if "autoregressive_net.initial_layer.weight" in part:
            return part["autoregressive_net.initial_layer.weight"].shape[1]
    raise SpecError(f"expected layers of RealNVP, MAF or NSF, got {_names(next(iter(parts.values())))}")


def _nflows_layer(number: int, part: State, space: Real, activation: str, bound: float) -> Transform:
    if "_permutation" in part:
        return Permutation(space, part["_permutation"].tolist())
    if "running_mean" in part and "unconstrained_weight" in part:
        eps = 1e-5
        scale = (part["running_var"] + eps).sqrt() / (nn.functional.softplus(part["unconstrained_weight"]) + eps)
        return Standardise(space, part["running_mean"] - part["bias"] * scale, scale)
    if "lower_entries" in part:
        return _nflows_lu(part, space)
    if "transform_features" in part:
        return _nflows_coupling(part, space, activation, bound)
    if "autoregressive_net.initial_layer.weight" in part:
        stack, residual = _nflows_stack(part, "autoregressive_net.")
        order = torch.arange(space.shape[0])
        return _masked(order, stack, activation, lambda n: _nflows_map(n, bound, "softplus"), residual=residual)
    raise SpecError(f"expected layers of RealNVP, MAF or NSF, got other weights in layer {number}: {_names(part)}")


def _nflows_map(parameters: int, bound: float, rule: str, width: int | None = None) -> Parameters:
    """Return the map of one feature for a number of parameters.

    The spline is the one of this library, but for two constants: the sizes are divided by the root of the network's width, and
    the slope of parameter 0 is softplus(0) + 1e-3 instead of 1.
    """
    if parameters == 1:
        return Additive(), [0], None
    if parameters == 2:
        return ScaleRule(rule, FLOOR), [0, 1] if rule == "softplus" else [1, 0], None  # type: ignore[arg-type]
    if parameters % 3 != 2 or parameters < 5:
        raise SpecError(
            f"expected 2 parameters for each feature, or 3 K - 1 of a spline with linear tails, got {parameters}"
        )
    bins = (parameters + 1) // 3

    def adapted(rows: Tensor) -> Tensor:
        rows = rows.clone()
        if width is not None:
            rows[:, : 2 * bins] /= math.sqrt(width)
        if rows.dim() == 2:  # the biases
            rows[:, 2 * bins :] -= math.log(math.expm1(1 - FLOOR))
        return rows

    return RationalQuadratic(bins, bound), list(range(parameters)), adapted


def _nflows_coupling(part: State, space: Real, activation: str, bound: float) -> Coupling:
    if any(name.startswith("unconditional_transform") for name in part):
        raise SpecError("expected couplings without an unconditional transform, got one with it")
    stack, residual = _nflows_stack(part, "transform_net.")
    passed, mapped = part["identity_features"].tolist(), part["transform_features"].tolist()
    width = len(stack[0]["bias"])
    scalar, order, adapted = _nflows_map(
        len(stack[-1]["bias"]) // len(mapped), bound, "sigmoid", width if residual else None
    )
    last = _rows(stack[-1], len(mapped), order, by_feature=scalar.n > 2, adapted=adapted)
    net = MLP(
        len(passed),
        len(last["bias"]),
        hidden=_widths(stack),
        residual=residual,
        activation=activation,
        last_activation=not residual,
    )
    mask = [i in passed for i in range(space.shape[0])]
    return Coupling(scalar, space, mask, _filled(net, [*stack[:-1], last]))


def _nflows_lu(part: State, space: Real) -> LU:
    layer, size = LU(space), space.shape[0]
    with torch.no_grad():
        lower = torch.zeros(size, size, dtype=part["bias"].dtype)
        upper = lower.clone()
        lower[tuple(torch.tril_indices(size, size, -1))] = part["lower_entries"]
        upper[tuple(torch.triu_indices(size, size, 1))] = part["upper_entries"]
        layer.to(lower.dtype)
        layer.lower.copy_(lower)
        layer.upper.copy_(upper)
        layer.log_diagonal.copy_((nn.functional.softplus(part["unconstrained_upper_diag"]) + FLOOR).log())
        layer.bias.copy_(part["bias"])
    return layer


def _nflows_stack(part: State, prefix: str) -> tuple[list[State], bool]:
    """Return the linear layers of a network in running order, and whether it is residual."""
    found: dict[str, State] = {}
    for name, value in part.items():
        if name.startswith(prefix):
            layer, _, kind = name.removeprefix(prefix).rpartition(".")
            found.setdefault(layer, {})[kind] = value
    blocks = sorted({int(match[1]) for name in found if (match := re.match(r"blocks\.(\d+)\.", name))})
    residual = any(".linear_layers." in name for name in found)
    names = ["initial_layer"]
    for block in blocks:
        names += [f"blocks.{block}.linear_layers.{i}" for i in (0, 1)] if residual else [f"blocks.{block}.linear"]
    names.append("final_layer")
    if set(names) != set(found):
        raise SpecError(f"expected the networks of nflows, got the layers {', '.join(sorted(found)[:8])}")
    # Without blocks a residual network is a linear map after a linear map; there is no activation in it.
    return [found[name] for name in names], residual or not blocks


def _masked(
    rank: Tensor,
    stack: list[State],
    activation: str,
    map_of: Callable[[int], Parameters],
    *,
    residual: bool = False,
) -> Autoregressive:
    """Return an autoregressive layer whose masked network has the weights of a stack of masked layers."""
    features = len(rank)
    if any("mask" not in layer for layer in stack) or len(stack) < 2:
        raise SpecError("expected masked layers without residual blocks of their own kind, got others")
    if sorted(rank.tolist()) != list(range(features)):
        raise SpecError("expected an order of single features, got one of groups (passes); it has no counterpart")
    context = stack[0]["weight"].shape[1] - features
    scalar, order, adapted = map_of(len(stack[-1]["bias"]) // features)
    before = torch.cat([rank, rank.new_full((context,), -1)])
    degrees, sorts, columns = [], [], torch.arange(len(before))
    weights: list[State] = []
    for layer in stack[:-1]:
        seen = torch.where(layer["mask"].bool(), before[None], -1)
        degree = seen.amax(1)
        by_degree = degree.argsort(stable=True)
        masked = layer["weight"] * layer["mask"]
        weights.append({"weight": masked[by_degree][:, columns], "bias": layer["bias"][by_degree]})
        degrees.append(degree[by_degree].tolist())
        sorts.append(by_degree)
        before, columns = degree, by_degree
    if residual and any(not torch.equal(one, sorts[0]) for one in sorts):
        raise SpecError("expected residual blocks whose units keep their degrees, got others")
    final = stack[-1]
    seen_by_last = {"weight": (final["weight"] * final["mask"])[:, columns], "bias": final["bias"]}
    # All features' first parameter comes first here.
    weights.append(_rows(seen_by_last, features, order, by_feature=True, adapted=adapted))
    net = MaskedMLP(
        features,
        scalar.n,
        hidden=_widths(stack),
        context=context,
        order=rank.tolist(),
        residual=residual,
        activation=activation,
        degrees=degrees,
        last_activation=not residual,
    ).to(final["weight"].dtype)
    if net.embed is not None:
        net.embed.weight.data.copy_(weights[0]["weight"][:, features:])
        weights[0]["weight"] = weights[0]["weight"][:, :features]
    return Autoregressive(scalar, Real((features,)), _filled(net, weights), context=context)


def _rows(
    layer: State,
    features: int,
    order: list[int],
    *,
    by_feature: bool,
    adapted: Callable[[Tensor], Tensor] | None = None,
) -> State:
    """Return a last layer with the first parameter of all features first, then the second, in our order of the parameters.

    Args:
        layer: Weight (features n, units) and bias.
        features: Number of features.
        order: Number of the peer's parameter, for each of ours.
        by_feature: Whether the peer has all parameters of one feature together.
        adapted: Change of the rows, as (features, n, ...), or None.
    """
    made = {}
    for name in ("weight", "bias"):
        value = layer[name]
        rows = value.unflatten(0, (features, -1)) if by_feature else value.unflatten(0, (-1, features)).transpose(0, 1)
        rows = rows if adapted is None else adapted(rows)
        made[name] = rows[:, order].transpose(0, 1).flatten(0, 1)
    return made


def _widths(stack: list[State]) -> tuple[int, ...]:
    return tuple(len(layer["bias"]) for layer in stack[:-1])


def _filled(net: Any, stack: list[State]) -> Any:
    """Return a network with the weights of a stack of linear layers."""
    net = net.to(stack[0]["weight"].dtype)
    for layer, state in zip([*net.hidden, net.out], stack, strict=True):
        if layer.weight.shape != state["weight"].shape:
            raise SpecError(
                f"expected weights of shape {tuple(layer.weight.shape)}, got {tuple(state['weight'].shape)}"
            )
        layer.weight.data.copy_(state["weight"])
        layer.bias.data.copy_(state["bias"])
    return net


def _names(part: State) -> str:
    return ", ".join(sorted(part)[:4])
