"""Six posteriors of posteriordb (github.com/stan-dev/posteriordb), as log-densities, with their reference draws.

Each builder below is one Stan model: its parameters, its density and the quantities that the reference draws name.
Densities leave out constants, as Stan's `~` statements may, and carry no Jacobians of bounds. Everything is float64.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from common import data
from torch import Tensor

from pushforward.core import Box, Real, Space

Values = dict[str, Tensor]
"""Tensors by name: parameters (B, *shape), reported quantities (B,), or the data of a model."""
Model = tuple[dict[str, Space], Callable[[Values], Tensor], Callable[[Values], Values]]
"""The space, the log-density and the reported quantities of a posterior."""

NUMBER, POSITIVE, SHARE = Real(()), Box((), 0.0, float("inf")), Box((), 0.0, 1.0)


@dataclass(frozen=True)
class Posterior:
    """A posterior, and draws from it that posteriordb vouches for.

    Args:
        name: in posteriordb, DATASET-MODEL.
        space: of each parameter.
        log_density: of the parameters, each (B, *shape) -> (B,); nats, constants may be missing.
        reported: the quantities of the reference draws by their names there, each (B,).
        draws: the reference draws of these quantities, each (10000,): ten chains of 1000, one after the other.
    """

    name: str
    space: dict[str, Space]
    log_density: Callable[[Values], Tensor]
    reported: Callable[[Values], Values]
    draws: dict[str, np.ndarray]


def load(name: str) -> Posterior:
    """One of the posteriors in NAMES, from posteriordb.npz in the folder that PUSHFORWARD_DATA names.

    Raises:
        ValueError: the name is not in NAMES.
    """
    if name not in BUILDERS:
        raise ValueError(f"expected one of {', '.join(NAMES)}, got {name!r}")
    build, dataset = BUILDERS[name]
    with data("posteriordb.npz") as arrays:
        observed = json.loads(arrays[f"data__{dataset}"].tobytes())
        labels = arrays[f"{name}__names"].tolist()
        columns = arrays[f"{name}__draws"].reshape(-1, len(labels)).T.astype(np.float64)
    space, log_density, reported = build({k: torch.tensor(v, dtype=torch.float64) for k, v in observed.items()})
    return Posterior(name, space, log_density, reported, dict(zip(labels, columns, strict=True)))


def eight_schools(d: Values) -> Model:
    """Effects theta = mu + tau theta_trans of coaching in eight schools, seen with known errors."""

    def effects(p: Values) -> Tensor:
        return p["mu"][:, None] + p["tau"][:, None] * p["theta_trans"]

    def log_density(p: Values) -> Tensor:
        prior = normal(p["theta_trans"]).sum(-1) + normal(p["mu"], scale=5.0) + half_cauchy(p["tau"], 5.0)
        return prior + normal(d["y"], effects(p), d["sigma"]).sum(-1)

    def reported(p: Values) -> Values:
        return entries("theta", effects(p)) | {"mu": p["mu"], "tau": p["tau"]}

    return {"theta_trans": Real(d["y"].shape), "mu": NUMBER, "tau": POSITIVE}, log_density, reported


def kidscore(d: Values) -> Model:
    """Scores of children, linear in the IQ of their mothers; beta is flat."""
    return regression(with_intercept(d["mom_iq"]), d["kid_score"], lambda p: half_cauchy(p["sigma"], 2.5))


def mesquite(d: Values) -> Model:
    """Log-weights of mesquite bushes, linear in the logarithms of their measures and in their group; all is flat."""
    measures = ("diam1", "diam2", "canopy_height", "total_height", "density")
    x = with_intercept(*(d[name].log() for name in measures), d["group"])
    return regression(x, d["weight"].log(), lambda p: torch.zeros_like(p["sigma"]))


def blr(d: Values) -> Model:
    """A linear regression without intercept."""
    return regression(d["X"], d["y"], lambda p: normal(p["beta"], scale=10.0).sum(-1) + normal(p["sigma"], scale=10.0))


def autoregression(d: Values) -> Model:
    """A series, linear in its last K values; beta[k] belongs to lag k, and the first K values are given."""
    y, k = d["y"], int(d["K"])
    lags = y.unfold(0, k, 1)[:-1].flip(1)

    def log_density(p: Values) -> Tensor:
        prior = normal(p["alpha"], scale=10.0) + normal(p["beta"], scale=10.0).sum(-1) + half_cauchy(p["sigma"], 2.5)
        return prior + normal(y[k:], p["alpha"][:, None] + p["beta"] @ lags.T, p["sigma"][:, None]).sum(-1)

    def reported(p: Values) -> Values:
        return {"alpha": p["alpha"]} | entries("beta", p["beta"]) | {"sigma": p["sigma"]}

    return {"alpha": NUMBER, "beta": Real((k,)), "sigma": POSITIVE}, log_density, reported


def garch(d: Values) -> Model:
    """A series with variances v[t] = alpha0 + alpha1 (y[t-1] - mu)² + beta1 v[t-1]; flat where alpha1 + beta1 < 1."""

    def log_density(p: Values) -> Tensor:
        squares = (d["y"] - p["mu"][:, None]).square()
        alpha0, alpha1, beta1 = p["alpha0"], p["alpha1"], p["share"] * (1 - p["alpha1"])
        variances = [d["sigma1"].square().expand_as(alpha0)]
        for square in squares.unbind(1)[:-1]:
            variances.append(alpha0 + alpha1 * square + beta1 * variances[-1])
        v = torch.stack(variances, 1)
        # Stan's density is one of beta1; `share` stands for it here, and d beta1 / d share = 1 - alpha1.
        return -0.5 * (squares / v + v.log()).sum(-1) + (-p["alpha1"]).log1p()

    def reported(p: Values) -> Values:
        return {name: p[name] for name in ("mu", "alpha0", "alpha1")} | {"beta1": p["share"] * (1 - p["alpha1"])}

    return {"mu": NUMBER, "alpha0": POSITIVE, "alpha1": SHARE, "share": SHARE}, log_density, reported


def regression(x: Tensor, y: Tensor, prior: Callable[[Values], Tensor]) -> Model:
    """A linear regression y ~ N(x beta, sigma) of N values on a matrix (N, D), with a log-prior of beta and sigma."""

    def log_density(p: Values) -> Tensor:
        return prior(p) + normal(y, p["beta"] @ x.T, p["sigma"][:, None]).sum(-1)

    def reported(p: Values) -> Values:
        return entries("beta", p["beta"]) | {"sigma": p["sigma"]}

    return {"beta": Real((x.shape[1],)), "sigma": POSITIVE}, log_density, reported


def normal(x: Tensor, mean: Tensor | float = 0.0, scale: Tensor | float = 1.0) -> Tensor:
    """Log-density of N(mean, scale) at each entry, less log(2 pi) / 2; of its positive half too, up to log 2."""
    return -0.5 * ((x - mean) / scale).square() - torch.as_tensor(scale, dtype=x.dtype).log()


def half_cauchy(x: Tensor, scale: float) -> Tensor:
    """Log-density of a half-Cauchy at each positive entry, without its constant."""
    return -(x / scale).square().log1p()


def with_intercept(*columns: Tensor) -> Tensor:
    """The matrix (N, 1 + n) of a column of ones and n columns (N,)."""
    return torch.stack((torch.ones_like(columns[0]), *columns), 1)


def entries(name: str, x: Tensor) -> Values:
    """The columns of (B, n) as name[1], ..., name[n]."""
    return {f"{name}[{i}]": column for i, column in enumerate(x.unbind(1), 1)}


BUILDERS: dict[str, tuple[Callable[[Values], Model], str]] = {
    "eight_schools-eight_schools_noncentered": (eight_schools, "eight_schools"),
    "kidiq-kidscore_momiq": (kidscore, "kidiq"),
    "mesquite-logmesquite": (mesquite, "mesquite"),
    "garch-garch11": (garch, "garch"),
    "sblrc-blr": (blr, "sblrc"),
    "arK-arK": (autoregression, "arK"),
}
"""The model of each posterior, and its data set."""
NAMES: tuple[str, ...] = tuple(BUILDERS)
