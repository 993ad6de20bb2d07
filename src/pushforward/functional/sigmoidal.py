"""Deep sigmoidal maps: layers of convex combinations of sigmoids, each followed by the logit (Huang et al. 2018).

A layer maps h in R^I to h' in R^O through K sigmoids, with positive rates a_k and rows of positive weights that sum to one:

    r_k = a_k sum_i u_ki h_i + b_k,    h'_o = logit sum_k w_ok sigmoid(r_k)

As h' is the logit of a mean of sigmoids, min_k r_k <= h'_o <= max_k r_k: every layer, and so the whole map, reaches every real
number. The sums of w_ok sigmoid(r_k) and of w_ok sigmoid(-r_k) are computed in logarithms, and so are the slopes:

    log dh'_o/dx = log sum_k w_ok sigmoid(r_k) sigmoid(-r_k) dr_k/dx - log (mean) - log (1 - mean)

The image of the map is (1 - LEAK) h + LEAK x with the last h. Far-apart sigmoids have plateaus between them, where the slope
of h underflows; the slope of the image is at least LEAK.

For the inverse, let the last layer have the value z. Then r_k <= z for some k and r_k >= z for another, so some h_i lie below
max_k (z - b_k) / a_k and some above min_k (z - b_k) / a_k. Layer after layer this gives an interval that contains the root of
h, which is the first guess for the root of the image.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .bounds import soft_clip
from .hand_gradients import Pair
from .logistic import mixed_logit
from .roots import monotone_inverse

LEAK = 1e-3
"""Weight of x itself in the image, which is the least slope."""
LEAN = 2.0
"""Largest difference at the start between the log-weights of one mean of sigmoids."""


class SigmoidLayer(NamedTuple):
    """Parameters of one layer; a weight matrix of a single column or row is None where it could only be one.

    Args:
        log_rates: Logarithms of the rates a, (..., K).
        shifts: Shifts b, (..., K).
        log_weights: Logarithms of the weights w, (..., O, K).
        log_inputs: Logarithms of the weights u of the inputs, (..., K, I); None for one input.
    """

    log_rates: Tensor
    shifts: Tensor
    log_weights: Tensor
    log_inputs: Tensor | None


def layer_sizes(width: int, layers: int, *, dense: bool) -> list[tuple[int, int]]:
    """Return the numbers (I, O) of inputs and outputs of each layer: one of each, or `width` between dense layers."""
    inner = [width if dense else 1] * (layers - 1)
    return list(zip([1, *inner], [*inner, 1], strict=True))


def parameter_count(width: int, sizes: list[tuple[int, int]]) -> int:
    """Return the number of free parameters: 2 K + O K + K I for each layer, without the weights of a single input."""
    return sum(width * (2 + outputs + (inputs if inputs > 1 else 0)) for inputs, outputs in sizes)


def sigmoid_layers(
    p: Tensor, width: int, sizes: list[tuple[int, int]], bound: float, spread: float
) -> list[SigmoidLayer]:
    """Return the parameters of the layers from free parameters.

    At p = 0 all rates are sqrt 2, and the shifts are evenly spaced. The weights of several outputs lean to different sigmoids,
    because equal units would receive equal gradients and stay equal.

    Args:
        p: Free parameters (..., n), with n of `parameter_count`.
        width: Number of sigmoids K of a layer.
        sizes: Numbers of inputs and outputs of each layer.
        bound: Upper bound of the distance of the log-rates from their start.
        spread: Half-width of the interval on which the centres of the sigmoids start.
    """
    options = {"dtype": p.dtype, "device": p.device}
    start = 0.5 * math.log(2.0)
    centres = torch.linspace(-spread, spread, width, **options)  # type: ignore[call-overload]
    made, used = [], 0
    for inputs, outputs in sizes:
        counts = [width, width, outputs * width, width * inputs if inputs > 1 else 0]
        rates, shifts, weights, mixed = p[..., used : used + sum(counts)].split(counts, -1)
        used += sum(counts)
        weights = weights.unflatten(-1, (outputs, width))
        log_inputs = None
        if outputs > 1:
            weights = weights + _lean(outputs, width, options)
        if inputs > 1:
            log_inputs = (mixed.unflatten(-1, (width, inputs)) + _lean(width, inputs, options)).log_softmax(-1)
        made.append(
            SigmoidLayer(
                soft_clip(rates, bound) + start,
                shifts - math.sqrt(2.0) * centres,
                weights.log_softmax(-1),
                log_inputs,
            )
        )
    return made


def _lean(rows: int, columns: int, options: dict[str, object]) -> Tensor:
    """Return logits (rows, columns) that are largest near the diagonal, between -LEAN and 0."""
    down, across = (torch.linspace(0, 1, n, **options) for n in (rows, columns))  # type: ignore[call-overload]
    return -LEAN * (down[:, None] - across).square()


def sigmoidal(x: Tensor, layers: list[SigmoidLayer]) -> Pair:
    """Return the image of x and log dz/dx, both (...).

    Args:
        x: Real numbers (...).
        layers: Parameters of the layers; the first has one input, and the last one output.
    """
    h, log_slope = x.unsqueeze(-1), torch.zeros_like(x).unsqueeze(-1)
    for log_rates, shifts, log_weights, log_inputs in layers:
        if log_inputs is not None:
            h = (log_inputs.exp() * h.unsqueeze(-2)).sum(-1)
            log_slope = (log_inputs + log_slope.unsqueeze(-2)).logsumexp(-1)
        u = log_rates.exp() * h + shifts
        # The log-slope of r_k is log a_k plus that of its input.
        h, log_slope = mixed_logit(u.unsqueeze(-2), (log_rates + log_slope).unsqueeze(-2), log_weights)
    leak = math.log(LEAK)
    image = torch.lerp(h.squeeze(-1), x, LEAK)
    return image, torch.logaddexp(log_slope.squeeze(-1) + math.log1p(-LEAK), torch.full_like(x, leak))


def sigmoidal_inverse(z: Tensor, layers: list[SigmoidLayer]) -> Pair:
    """Return x with the image z, and log dx/dz, both (...)."""
    low = high = z.detach()
    for log_rates, shifts, _, _ in reversed(layers):
        rates, shifts = log_rates.detach().exp(), shifts.detach()
        low = ((low.unsqueeze(-1) - shifts) / rates).amin(-1)
        high = ((high.unsqueeze(-1) - shifts) / rates).amax(-1)
    return monotone_inverse(lambda x: sigmoidal(x, layers), z, low, high, "a deep sigmoidal map")
