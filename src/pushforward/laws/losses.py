"""Laws about the losses with which systems are trained."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from torch.distributions import Beta, kl_divergence
from torch.nn import functional as F

from ..core import Distribution, Flow, Real, layers_of
from ..objectives import DeepDensity, ExpectedChoices, InverseProblem
from ..objectives.inverse_problem import both_ways
from ..transforms import Autoregressive, Coupling, LabelMap, Modular
from .cases import Case, draw, draw_context
from .interface import _name
from .layers import layers_with_data
from .violations import NotApplicable, require, require_close

BATCHES, ROWS = 40, 64
"""Number of batches, and number of events in a batch, from which the mean of a loss is estimated."""


@torch.no_grad()
def law_loss_bounds_the_likelihood(case: Case) -> None:
    """Check on samples of a model that a loss which counts as a likelihood is at least -log_prob in the mean.

    Such a loss is -log q(x) of some density q, or a bound of it. In the mean over events from p, no density has a larger
    logarithm than p itself (Gibbs' inequality). For a model that is a bound, the log-density that comes with its samples
    takes the place of log_prob, because it is at least log p(x) in the mean.
    """
    node = case.build()
    objective = case.spec.loss(node) if case.spec is not None and isinstance(node, Distribution) else None
    if objective is None or not getattr(objective, "likelihood", False) or not isinstance(node, Distribution):
        raise NotApplicable("no loss of its own that counts as a likelihood")
    objective.eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        given = draw_context(node, 1, torch.float64)
        gaps = []
        for _ in range(BATCHES):
            x, upper = node.sample_and_log_prob(ROWS, None if given is None else given[0])
            batch = (x,) if given is None else (x, given.expand(ROWS, *given.shape[1:]))
            # A loss of several samples may be closer to log p than log_prob, if that is a bound.
            logp = upper if node.exactness else node.log_prob(*batch)
            gaps.append(objective(batch) + logp.mean())
    gap = torch.stack(gaps).double()
    mean, error = float(gap.mean()), float(gap.std()) / math.sqrt(BATCHES)
    require(mean > -4 * error - 1e-6, f"the loss is {-mean:.4f} +- {error:.4f} nats below -log_prob")
    require(mean < 10 * max(2, node.space.size), f"the loss is {mean:.1f} nats above -log_prob")


def law_discrepancies(case: Case) -> None:
    """Check the losses of an invertible network against direct sums over all pairs of rows, and their gradients.

    The latent loss has a gradient for the latent variables and none for the observations; the backward draws are those of the
    model; the weight of the backward loss rises from 0.004 to 1.
    """
    if case.spec is None or case.spec.objective != "discrepancies":
        raise NotApplicable("no discrepancies as a loss")
    node = case.build()
    objective = case.spec.loss(node) if isinstance(node, Distribution) else None
    if not isinstance(objective, InverseProblem) or not isinstance(node, Distribution):
        raise NotApplicable("trained by likelihood")
    x, given = draw(node, "space", 5, torch.float64), draw_context(node, 5, torch.float64)
    assert given is not None  # noqa: S101
    objective.eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        pair = both_ways(node, (x, given))
        layer, (fit, latent, rest) = pair.layer, pair.outputs
        state = torch.get_rng_state()
        found = [part.term(pair) for part in objective.parts]
        torch.manual_seed(4)
        whole = objective((x, given))
        torch.set_rng_state(state)
        z = torch.randn_like(latent)
        r = torch.randn_like(pair.padded)
        noise = [torch.randn_like(out) for out in pair.outputs]
    require_close(layer.inputs(fit, latent, rest), pair.padded, 1e-6, "inputs of the outputs, and the padded unknowns")
    squares = ((fit - given) ** 2).sum() / fit.numel()
    forward = ((0.2, 2.0), (1.5, 2.0), (3.0, 2.0))
    backward = ((0.2, 0.1), (0.2, 0.5), (0.2, 2.0))
    ends = [given + layer.noise * r[:, : layer.observed], r[:, layer.observed : layer.observed + layer.latent]]
    ends.append(layer.padding * r[:, layer.observed + layer.latent :])
    drawn, extra = layer.inputs(*ends).tensor_split((x.shape[1],), 1)
    sides = torch.stack([(side**2).sum() / max(1, side.numel()) for side in (rest, extra)]).sum()
    widths = (layer.noise, 0.05, layer.padding)
    starts = (given, latent, torch.zeros_like(rest))
    moved = [out + width * e for out, width, e in zip(starts, widths, noise, strict=True)]
    expected = [
        squares,
        _direct(torch.cat([fit, latent], 1), torch.cat([given, z], 1), forward),
        _direct(drawn, x, backward),
        sides,
        ((layer.inputs(*moved) - pair.padded) ** 2).mean(),
    ]
    for part, got, wanted in zip(objective.parts, found, expected, strict=True):
        require_close(got, wanted, 1e-9, type(part).__name__)
    total = torch.stack([w * t for w, t in zip(objective.weights, expected, strict=True)]).sum()
    require_close(whole, total, 1e-6, "the sum of the weighted losses")
    gradients = torch.autograd.grad(found[1], (fit, latent), allow_unused=True)
    require(gradients[0] is None or not bool(gradients[0].any()), "the latent loss has a gradient for the observations")
    require(gradients[1] is not None and bool(gradients[1].any()), "the latent loss has no gradient for z")
    objective.train()
    shares = []
    for _ in range(objective.ramp + 1):
        shares.append(float(objective.share()))
        objective.seen += 1
    require(abs(shares[0] - 0.004) < 1e-6 and shares[-1] == 1, f"the ramp goes from {shares[0]} to {shares[-1]}")
    middle = 2 * 0.002 ** (1 - (objective.ramp // 2) / objective.ramp)
    require(abs(shares[objective.ramp // 2] - middle) < 1e-6, f"half of the ramp gives {shares[objective.ramp // 2]}")


def law_deep_density(case: Case) -> None:
    """Check the three losses of a deep density model against direct sums over rows, coordinates and eigenvalues."""
    node = case.build()
    objective = case.spec.loss(node) if case.spec is not None and isinstance(node, Distribution) else None
    if not isinstance(objective, DeepDensity) or not isinstance(node, Flow) or type(node.space) is not Real:
        raise NotApplicable("no deep density model of rows")
    decoder = node.chain
    x, rows = (
        draw(node, "space", 7, torch.float64),
        torch.tensor([0.2, 1.8, 1.0, 0.5, 1.5, 0.0, 2.0], dtype=torch.float64),
    )
    share = rows / rows.sum()
    codes = decoder.encode(x)  # type: ignore[operator]
    z = 1 / (1 + (-codes).exp())
    t, again = (1 / (1 + (-v).exp()) for v in (x, decoder.inverse(codes)[0]))
    divergence, entropy, conditioning = (x.new_zeros(()) for _ in range(3))
    for i in range(x.shape[1]):
        mean = (share * z[:, i]).sum()
        variance = (share * (z[:, i] - mean) ** 2).sum()
        k = mean * (1 - mean) / variance - 1
        fitted, target = (
            Beta(mean * k, (1 - mean) * k),
            Beta(x.new_tensor(objective.target[0]), x.new_tensor(objective.target[1])),
        )
        require_close(fitted.mean, mean, 1e-9, "mean of the fitted Beta distribution")
        require_close(fitted.variance, variance, 1e-9, "its variance")
        divergence = divergence + kl_divergence(fitted, target)
        for b, w in enumerate(rows):
            p, q = t[b, i], again[b, i]
            entropy = entropy - w * (p * q.log() + (1 - p) * (1 - q).log()) / len(rows)
    for weight in decoder.weights():  # type: ignore[operator]
        squares = torch.linalg.eigvalsh(weight.mT @ weight)
        conditioning = conditioning + 0.5 * (squares[-1] / squares[0]).log()
    weighted = objective.terms((x,), rows)
    for name, got, wanted in zip(
        ("divergence", "condition numbers", "cross-entropy"),
        weighted,
        (divergence, conditioning, entropy),
        strict=False,
    ):
        require_close(got, wanted, 1e-6, name)
    terms = torch.stack([divergence, conditioning, entropy])
    total = (torch.tensor(objective.weights, dtype=torch.float64) * terms).sum()
    require_close(objective((x,), rows), total, 1e-6, "the sum of the weighted losses")


def _direct(a: Tensor, b: Tensor, kernels: tuple[tuple[float, float], ...]) -> Tensor:
    """Return the squared discrepancy of two samples as sums over pairs of rows."""

    def mean(u: Tensor, v: Tensor) -> Tensor:
        pairs = [((p - q) ** 2).sum() for p in u for q in v]
        return torch.stack([(scale / (scale + d)) ** power for d in pairs for scale, power in kernels]).sum() / len(
            pairs
        )

    return mean(a, a) + mean(b, b) - 2 * mean(a, b)


@torch.no_grad()
def law_costs_of_choices(case: Case) -> None:
    """Check the costs of maps of labels against sums over all choices, each of which the map itself carries out."""
    checked = False
    for layer, x, c in layers_with_data(case):
        if not isinstance(layer, (Autoregressive, Coupling)) or not isinstance(layer.scalar, LabelMap):
            continue
        checked = True
        scalar = layer.scalar
        x, p = layer.mapped(x[:8], None if c is None else c[:8])
        width = scalar.width
        groups = p.unflatten(-1, (-1, width)).movedim(-2, 0)
        counts = [scalar.classes] if isinstance(scalar.classes, int) else scalar.classes
        # The choices of the first group are shifts or labels below K, those of the second are scales that K does not share.
        allowed = torch.tensor(
            [
                [[j < k and (not g or math.gcd(j, k) == 1) for j in range(width)] for k in counts]
                for g in range(len(groups))
            ]
        )
        log_p = groups.masked_fill(~allowed[:, None], -torch.inf).log_softmax(-1)
        log_base = torch.linspace(0, 2, width, dtype=p.dtype).cos().log_softmax(-1)
        of_zero, expected = torch.zeros_like(p[..., 0]), torch.zeros_like(p[..., 0])
        for choice in itertools.product(range(width), repeat=len(groups)):
            logits = F.one_hot(torch.tensor(choice), width).to(p).flatten()
            z = scalar.forward(x, logits.expand_as(p))[0]
            weight = sum(log_p[g, ..., j] for g, j in enumerate(choice)).exp()
            of_zero += weight * z[..., 0]
            expected -= weight * (z * log_base).sum(-1)
        require_close(scalar.cost_of_zero(x, p), -of_zero.log(), 1e-9, f"{_name(layer)}: the cost of zero")
        if isinstance(scalar, Modular):
            entropy = torch.special.entr(log_p.exp()).sum((0, -1))
            scales = torch.tensor([sum(math.gcd(j, k) == 1 for j in range(k)) for k in counts], dtype=p.dtype)
            expected += scales.log() - scalar.temperature * entropy if scalar.scale else -entropy
        else:
            expected = -of_zero.log()
        found = scalar.expected_cost(x, p, log_base)
        require_close(found, expected, 1e-9, f"{_name(layer)}: the expected cost")
    if not checked:
        raise NotApplicable("no map of labels")


def law_expected_choices(case: Case) -> None:
    """Check the loss of a discrete flow with expected choices, layer by layer, and that each layer learns by its own cost."""
    node = case.build(torch.float64)
    objective = case.spec.loss(node) if case.spec is not None and isinstance(node, Distribution) else None
    if not isinstance(objective, ExpectedChoices) or not isinstance(node, Flow):
        raise NotApplicable("no expected choices as a loss")
    objective.double().train()
    objective.seen.fill_(objective.warmup // 4)
    x = draw(node, "space", ROWS, torch.float64)
    loss, likelihood = objective((x,)), node.log_prob(x).mean().detach()
    loss.backward()
    total = -float(likelihood)
    require_close(objective.eval()((x,)), -likelihood, 1e-12, "the loss in evaluation and the negative log-likelihood")
    share = 1 - (objective.warmup // 4) / objective.warmup
    for layer in layers_of(node.chain):
        if isinstance(layer, (Autoregressive, Coupling)) and isinstance(layer.scalar, LabelMap):
            b, p = layer.mapped(x)
            made = layer.scalar.forward(b, p)[0].detach()
            # The running frequencies start at a certain 0, and a batch has a weight of 0.02.
            target = 0.02 * made.mean(0) + 1e-4
            target[:, 0] += 0.98 + 0.05
            log_target = (target / target.sum(1, keepdim=True)).log()
            zero, expected = layer.scalar.cost_of_zero(b, p), layer.scalar.expected_cost(b, p, log_target)
            cost = (share * zero + (1 - share) * expected).sum(1).mean()
            total += cost.item()
            parameters = list(layer.parameters())
            for own, parameter in zip(torch.autograd.grad(cost, parameters), parameters, strict=True):
                require(parameter.grad is not None, f"{type(layer).__name__}: a parameter without a gradient")
                require_close(parameter.grad, own, 1e-9, f"{type(layer).__name__}: the gradient of its own cost")  # type: ignore[arg-type]
        x = layer(x)[0].detach()
    require_close(loss, torch.tensor(total, dtype=torch.float64), 1e-9, "the loss and the sum of the costs")
