"""`fit`: a flow for an unnormalised density, with the numbers that say whether to trust it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution as TorchDistribution

from ..core import Distribution, Exactness, Flow, Space
from ..core.torch_boundary import space_of
from ..errors import ShapeError, SpecError, suggestion
from ..evaluation.scores import log_likelihoods
from ..objectives.divergence import DIVERGENCES, Divergence, ForwardKL, PathGradient
from ..systems.spec import Spec
from ..training.progress import Progress, make_progress
from ..training.random_state import isolated
from .approximation import CHAINS, Fit
from .coverage import Chains, judge, walk
from .importance_weights import resample
from .optimise import fits, gaussian, require_proper, require_settled, shaped, train, with_langevin
from .proposal import NEIGHBOURS, Heavy, Kernels, Proposal, weigh
from .start import PIECES, Frame, Start, search
from .target import Target
from .verdict import Evidence, verdict

Objective = Literal["reverse-kl", "path", "iwae", "forward-kl"]
WARM = 1.0
"""Nats. Where the Gaussian's bound is nearer to log Z, annealing has nothing to find."""


def fit(
    log_density: Callable[[Any], Tensor] | TorchDistribution,
    space: Space | Mapping[str, Space] | None = None,
    *,
    flow: str | Spec | Flow = "nsf",
    layers: int | None = None,
    objective: Objective | Callable[[Distribution, Target], Divergence] = "reverse-kl",
    steps: int = 3000,
    samples: int = 256,
    lr: float = 5e-3,
    anneal: float = 0.3,
    start: Literal["gaussian", "wide"] = "gaussian",
    scale: float = 1.0,
    langevin: int = 0,
    restarts: int = 1,
    draws: int = 4000,
    chains: int = 128,
    tolerance: float = 0.005,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    progress: bool = True,
) -> Fit:
    """Fit a flow to an unnormalised density, and judge the result.

    Optimisers from many starts find where the mass is, in which units and in how many pieces (`pathfinder`). A Gaussian is
    fitted there, and the flow, behind it, is trained on all of it: it minimises KL(q || p), after it has been led to all pieces
    by the draws of the optimisers where there are several.

    Args:
        log_density: log p of the parameters without its constant: a batch (B, *shape) of points, or a dict of such batches
            by name, to (B,) nats, computed by torch; or a distribution of torch's. Points at which it raises an error (a
            failed Cholesky factorisation, say) count as points without mass.
        space: Space of the parameters: `Real`, `Box` (positive numbers are a box with one bound), `Simplex`; or a dict
            of spaces by name. A distribution has its own.
        flow: Name of a system, a `Spec`, or a flow of your own on `Real((D,))`, D the number of unconstrained parameters,
            which is then trained as it is; with restarts, copies of it are.
        layers: Number of layers of a flow given by its name.
        objective: "reverse-kl"; "path", the same with a gradient of less variance, for exact flows; "iwae", which covers
            more; "forward-kl", on importance-weighted draws; or a function of model and target that makes a `Divergence`.
        steps: Number of steps of the optimiser at most.
        samples: Number of draws in a step.
        lr: Learning rate of Adam; it falls to zero along a cosine.
        anneal: Share of the steps over which log p is multiplied by a temperature that rises from .01 to 1, where the Gaussian
            is far from the density.
        start: "gaussian" searches for the mass and fits a Gaussian first; "wide" starts at a standard normal times `scale`.
        scale: Factor on the width of the region that is searched, or deviation of the wide start.
        langevin: Number of annealed Langevin layers after the flow (a stochastic normalizing flow), trained along.
        restarts: Number of independent runs, of which the one with the largest evidence bound is kept.
        draws: Number of draws kept in `Fit.draws`, a multiple of 4; the weights are those of four times as many.
        chains: Number of short chains that look for missed modes; 0 for none.
        tolerance: Training ends early when the bound is within so many nats of log Z, or within six times as many and no longer
            rises; 0 for never.
        seed: Seed of everything random; torch's random state is the same after as before.
        dtype: Type of the model's numbers; torch's default by default.
        progress: Whether to show progress on stderr.

    Raises:
        SpecError: an option is unknown or out of range, or the flow does not fit the parameters.
        ShapeError: the log-density does not give one number for each point.
        DomainError: it has no gradient, gives a number that is not finite (with the first such point), raises at every point of
            a batch, or is improper.
    """
    _check(steps=steps, samples=samples, restarts=restarts, layers=1 if layers is None else layers)
    if draws < 4 * CHAINS or draws % CHAINS or langevin < 0 or chains < 0 or not 0 <= anneal <= 1 or not scale > 0:
        raise SpecError(
            f"expected draws a multiple of {CHAINS}, langevin and chains >= 0, anneal in [0, 1] and scale > 0, got {draws}, "
            f"{langevin}, {chains}, {anneal} and {scale}"
        )
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if isinstance(log_density, TorchDistribution):
        given = log_density
        if given.batch_shape:
            raise ShapeError(f"expected a distribution of one event, got a batch of them, {tuple(given.batch_shape)}")
        space = space_of(given.support, tuple(given.event_shape)) if space is None else space  # type: ignore[arg-type]
        log_density = given.log_prob
    if space is None:
        raise SpecError("expected the space of the parameters, or a dict of spaces by name, got none")
    target = Target(log_density, space).to(dtype)
    make = _objective(objective)
    if isinstance(flow, Flow):
        fits(flow, target.features)
    options: dict[str, Any] = {"steps": steps, "samples": samples, "lr": lr, "tolerance": tolerance}
    runs = []
    for run in range(restarts):
        with isolated(torch.device("cpu"), seed + run), make_progress(steps, 0, noun="step", shown=progress) as shown:
            found = search(target, scale, dtype) if start == "gaussian" else None
            frame = None if found is None else Frame(*found.found.best)
            wide = gaussian(target.features, 1.0 if start == "gaussian" else scale, frame).to(dtype)
            centre = 0.0 if frame is None else frame.mean
            require_proper(target, wide.sample(64), centre)
            pieces, heat = None, anneal
            if isinstance(flow, Flow):
                model = flow if restarts == 1 else copy.deepcopy(flow)
            else:
                first = copy.deepcopy(wide)
                if start == "gaussian":
                    heat = _warmed(first, target, anneal, **options)
                if found is not None and flow != "gaussian" and found.lacking(target, first) > PIECES:
                    pieces = found
                    first = gaussian(target.features, 1.0, Frame.of(found.draws)).to(dtype)
                model = shaped(flow, layers, first)
            if langevin:
                model = with_langevin(model, wide, target, langevin).to(dtype)
            divergence = make(model, target)
            if pieces is None or model.exactness != Exactness.EXACT:
                history = train(divergence, target, anneal=heat, progress=shown, skip=heat == 0, **options)
            else:
                history = covering(divergence, pieces, target, progress=shown, **options)
            proposal, ends = _probed(model, found, target, chains)
            runs.append((model, history, weigh(proposal, target, 4 * draws), ends, centre))
    model, history, weighed, ends, centre = max(runs, key=lambda run: run[2].own.elbo.value)
    growth = require_settled(history)
    require_proper(target, weighed.z[: weighed.count_own][:256], centre)
    with isolated(torch.device("cpu"), seed):
        # log q is averaged over draws where the flow's density is a random bound.
        log_q = None if ends is None else log_likelihoods(model, ends.x, samples=64)
        report = None if ends is None or log_q is None else judge(ends, log_q, weighed.all.log_z.value)
        kept, _ = target.constrain(weighed.z[resample(weighed.all.log_weights, draws)])
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


def _warmed(first: Flow, target: Target, anneal: float, *, steps: int, lr: float, **options: Any) -> float:
    """Fit a Gaussian, and return the share of the flow's steps over which log p is to be tempered."""
    last = train(PathGradient(first, target), target, steps=max(1, steps // 4), lr=4 * lr, anneal=anneal, **options)[-1]
    return anneal if last["gap"] > WARM else 0.0


def _probed(model: Flow, found: Start | None, target: Target, chains: int) -> tuple[Proposal, Chains | None]:
    """Run short chains, and return the proposal that covers what the flow, the optimisers and the chains have found."""
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
    """Train a flow on a density whose mass a Gaussian does not cover.

    The draws of the optimisers lead the flow to all of the mass first, by a forward divergence. Then the divergence that was
    asked for is tried. If it gives up a piece, as reverse divergences do where modes are far apart, the flow is put back and
    trained on by the forward one, with draws of its own and wider ones.

    Returns:
        The state at some steps, see `look`.
    """
    model: Flow = divergence.model  # type: ignore[assignment]
    train(ForwardKL(model, target.tolerant, pieces.found), target, steps=max(1, steps // 4), anneal=0.0, **training)
    led = copy.deepcopy(model.state_dict())
    bearable = pieces.lacking(target, model) + PIECES
    history = train(
        divergence,
        target,
        steps=steps,
        anneal=0.0,
        progress=progress,
        lost=lambda: pieces.lacking(target, model) > bearable,
        **training,
    )
    if pieces.lacking(target, model) <= bearable:
        return history
    model.load_state_dict(led)
    wider = ForwardKL(model, target.tolerant, Proposal(model, [Heavy(pieces.found)]))
    return train(wider, target, steps=steps, anneal=0.0, progress=progress, **training)


def _objective(objective: Any) -> Callable[[Distribution, Target], Divergence]:
    if callable(objective):
        return objective
    if objective not in DIVERGENCES:
        raise SpecError(f"unknown objective {objective!r}; {suggestion(str(objective), sorted(DIVERGENCES), 'known:')}")
    return DIVERGENCES[objective]


def _check(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise SpecError(f"expected {name} >= 1, got {value}")
