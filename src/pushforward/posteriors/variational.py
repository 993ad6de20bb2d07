"""`fit`: a flow fitted to an unnormalised density, with numbers that show whether to trust it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution as TorchDistribution

from ..core import Exactness, Flow, Space
from ..core.torch_boundary import space_of
from ..errors import ShapeError, SpecError
from ..evaluation.scores import log_likelihoods
from ..objectives.divergence import Divergence, ForwardKL, PathGradient
from ..training.progress import Progress, make_progress
from ..training.random_state import isolated
from .approximation import CHAINS, Fit
from .coverage import Chains, judge, walk
from .curved import curved, fit_curved
from .importance_weights import resample
from .optimise import fits, gaussian, require_proper, require_settled, shaped, train, with_langevin
from .proposal import NEIGHBOURS, Heavy, Kernels, Proposal, Weighed, weigh
from .start import PIECES, Frame, Start, search
from .target import Target
from .variational_config import VariationalConfig
from .verdict import Evidence, verdict

WARM = 1.0
"""Gap in nats: if the Gaussian's bound is closer to log Z than this, annealing is not needed."""


def fit(
    log_density: Callable[[Any], Tensor] | TorchDistribution,
    space: Space | Mapping[str, Space] | None = None,
    *,
    config: VariationalConfig | None = None,
    progress: bool = True,
    **overrides: Any,
) -> Fit:
    """Fit a flow to an unnormalised density and evaluate the result.

    Optimisers from many starts find where the mass is, its units and in how many pieces it lies (`pathfinder`). A
    Gaussian is fitted there. The flow, which starts from this Gaussian, is then trained to minimise KL(q || p). If the
    mass has several pieces, the draws of the optimisers first lead the flow to all of them.

    Args:
        log_density: Log-density log p of the parameters, up to a constant: a function of a batch (B, *shape) of points, or a
            dict of such batches by name, to (B,) in nats, computed by torch; or a distribution of torch. Points at which it
            raises an error (such as a failed Cholesky factorisation) count as points without mass.
        space: Space of the parameters: `Real`, `Box` (positive numbers are a box with one bound), `Simplex`, `Sphere`, `Torus`,
            or a `Product` of lines and circles, whose numbers lie within some tens around zero; or a dict of spaces by name,
            without curved ones. For a distribution it is taken from its support.
        config: Options of the fit.
        progress: Whether to show progress on stderr.
        **overrides: Fields of `config` to replace, such as `flow="realnvp"`, `steps=1000` or `seed=1`.

    On a curved space, such as `Sphere((3,))`, the flow is one on that space, and uniform draws take the place of the
    optimisers, the Gaussian and the chains.

    Raises:
        SpecError: An option is unknown or out of range, or the flow does not fit the parameters.
        ShapeError: The log-density does not return one number per point.
        DomainError: The log-density has no gradient, a value that is not finite (the message has the first such point), an
            error at every point of a batch, or it is improper.
    """
    config = (config or VariationalConfig()).replace(**overrides)
    dtype = torch.get_default_dtype() if config.dtype is None else config.dtype
    if isinstance(log_density, TorchDistribution):
        given = log_density
        if given.batch_shape:
            raise ShapeError(f"expected a distribution of one event, got a batch of them, {tuple(given.batch_shape)}")
        space = space_of(given.support, tuple(given.event_shape)) if space is None else space  # type: ignore[arg-type]
        log_density = given.log_prob
    if space is None:
        raise SpecError("expected the space of the parameters, or a dict of spaces by name, got none")
    target = Target(log_density, space).to(dtype)
    known = curved(space) if isinstance(space, Space) else None
    if isinstance(config.flow, Flow) and known is None:
        fits(config.flow, target.features)
    runs = []
    for run in range(config.restarts):
        with (
            isolated(torch.device("cpu"), config.seed + run),
            make_progress(config.steps, 0, noun="step", shown=progress) as shown,
        ):
            if known is None:
                runs.append(_run(target, config, dtype, shown))
            else:
                found = fit_curved(target, space, known, config, dtype, shown)  # type: ignore[arg-type]
                runs.append(_Run(*found, None, 0.0))
    model, history, weighed, ends, centre = max(runs, key=lambda run: run.weighed.own.elbo.value)
    growth = require_settled(history)
    if known is None:
        require_proper(target, weighed.z[: weighed.count_own][:256], centre)
    with isolated(torch.device("cpu"), config.seed):
        # log q is averaged over samples where the flow's density is a random bound.
        log_q = None if ends is None else log_likelihoods(model, ends.x, samples=64)
        report = None if ends is None or log_q is None else judge(ends, log_q, weighed.all.log_z.value)
        kept, _ = target.constrain(weighed.z[resample(weighed.all.log_weights, config.draws)])
    lacking = None if weighed.proposal.alone else weighed.lacking
    return Fit(
        model=model,
        target=target,
        elbo=weighed.own.elbo,
        log_z=weighed.all.log_z,
        ess=weighed.own.ess,
        k_hat=weighed.all.k_hat,
        draws={name: v.reshape(CHAINS, -1, *v.shape[1:]).numpy() for name, v in kept.items()},
        log_weights=weighed.all.log_weights,
        coverage=report,
        growth=growth,
        lacking=lacking,
        raised=weighed.raised,
        history=history,
        verdict=verdict(Evidence(weighed.all.k_hat, weighed.own.ess, report, growth, lacking, weighed.raised)),
    )


class _Run(NamedTuple):
    """Result of one of several independent runs.

    Args:
        model: Flow.
        history: State at some steps, see `look`.
        weighed: Draws with their weights.
        ends: Ends of the short chains; None without chains.
        centre: Centre of the mass that the optimisers found.
    """

    model: Flow
    history: list[dict[str, float]]
    weighed: Weighed
    ends: Chains | None
    centre: Tensor | float


def _run(target: Target, config: VariationalConfig, dtype: torch.dtype, progress: Progress) -> _Run:
    """Find the mass, fit a flow there, and weigh its draws, with torch's current random state."""
    flow, wide_start = config.flow or "nsf", config.start != "gaussian"
    options: dict[str, Any] = {
        "steps": config.steps,
        "samples": config.samples,
        "lr": config.lr,
        "tolerance": config.tolerance,
    }
    found = None if wide_start else search(target, config.scale, dtype)
    frame = None if found is None else Frame(*found.found.best)
    wide = gaussian(target.features, config.scale if wide_start else 1.0, frame).to(dtype)
    centre = 0.0 if frame is None else frame.mean
    require_proper(target, wide.sample(64), centre)
    pieces, heat = None, config.anneal
    if isinstance(flow, Flow):
        model = flow if config.restarts == 1 else copy.deepcopy(flow)
    else:
        first = copy.deepcopy(wide)
        if not wide_start:
            heat = _warmed(first, target, config.anneal, **options)
        if found is not None and flow != "gaussian" and found.lacking(target, first) > PIECES:
            pieces = found
            first = gaussian(target.features, 1.0, Frame.of(found.draws)).to(dtype)
        model = shaped(flow, config.layers, first)
    if config.langevin:
        model = with_langevin(model, wide, target, config.langevin).to(dtype)
    divergence = config.divergence(model, target)
    if pieces is None or model.exactness != Exactness.EXACT:
        history = train(divergence, target, anneal=heat, progress=progress, skip=heat == 0, **options)
    else:
        history = covering(divergence, pieces, target, progress=progress, **options)
    proposal, ends = _probed(model, found, target, config.chains)
    return _Run(model, history, weigh(proposal, target, 4 * config.draws), ends, centre)


def _warmed(first: Flow, target: Target, anneal: float, *, steps: int, lr: float, **options: Any) -> float:
    """Fit a Gaussian, and return the share of the flow's steps over which log p must be tempered."""
    last = train(PathGradient(first, target), target, steps=max(1, steps // 4), lr=4 * lr, anneal=anneal, **options)[-1]
    return anneal if last["gap"] > WARM else 0.0


def _probed(model: Flow, found: Start | None, target: Target, chains: int) -> tuple[Proposal, Chains | None]:
    """Run short chains, and return a proposal that covers what the flow, the optimisers and the chains have found."""
    others: list[Kernels | Heavy] = [] if found is None else [Heavy(found.found)]
    if not chains:
        return Proposal(model, others), None
    starts = None if found is None else found.found.sample(chains)
    ends = walk(model, target.unchecked, starts=starts, chains=chains)
    if int(ends.arrived.sum()) > 2 * NEIGHBOURS:
        others.append(Kernels(ends.x[ends.arrived]))
    return Proposal(model, others), ends


def covering(
    divergence: Divergence, pieces: Start, target: Target, *, steps: int, progress: Progress, **training: Any
) -> list[dict[str, float]]:
    """Train a flow on a density whose mass one Gaussian does not cover.

    First the draws of the optimisers lead the flow to all of the mass, by a forward divergence. Then the requested
    divergence is tried. If it loses a piece, as reverse divergences do when modes are far apart, the flow is reset and
    trained further by the forward divergence, with draws of its own and wider ones.

    Returns:
        State at some steps, see `look`.
    """
    model: Flow = divergence.model  # type: ignore[assignment]
    train(ForwardKL(model, target.tolerant, pieces.found), target, steps=max(1, steps // 4), anneal=0.0, **training)
    covering_weights = copy.deepcopy(model.state_dict())
    allowed = pieces.lacking(target, model) + PIECES
    history = train(
        divergence,
        target,
        steps=steps,
        anneal=0.0,
        progress=progress,
        lost=lambda: pieces.lacking(target, model) > allowed,
        **training,
    )
    if pieces.lacking(target, model) <= allowed:
        return history
    model.load_state_dict(covering_weights)
    wider = ForwardKL(model, target.tolerant, Proposal(model, [Heavy(pieces.found)]))
    return train(wider, target, steps=steps, anneal=0.0, progress=progress, **training)
