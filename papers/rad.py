"""RAD on nine Gaussians and on three modes of the line: distance to the entropy, and its discrete codes beside the clusters."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from common import keep, known, mean_and_spread, table, write
from equal_size import options_of, run
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor

from pushforward.distributions.toy import GaussianModes, nine_gaussians
from pushforward.evaluation import encode
from pushforward.systems import RAD, RealNVP


@dataclass(frozen=True)
class ThreeModes:
    """Three Gaussians of deviation 0.4 on the line, at -4, 0 and 3, with masses 0.3, 0.45 and 0.25."""

    centres: tuple[float, ...] = (-4.0, 0.0, 3.0)
    masses: tuple[float, ...] = (0.3, 0.45, 0.25)
    sigma: float = 0.4

    def mixture(self) -> torch.distributions.Distribution:
        """The density in float64."""
        centres, masses = (torch.tensor(v, dtype=torch.float64) for v in (self.centres, self.masses))
        parts = torch.distributions.Normal(centres, torch.full_like(centres, self.sigma))
        return torch.distributions.MixtureSameFamily(torch.distributions.Categorical(masses), parts)

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Draws, (n, 1) in float32."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.mixture().sample((n, 1)).float()

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density in nats: (..., 1) -> (...)."""
        return self.mixture().log_prob(x[..., 0].double())

    def nearest(self, x: Tensor) -> Tensor:
        """The mode of each row."""
        return (x - torch.tensor(self.centres)).abs().argmin(1)

    @property
    def entropy(self) -> float:
        """H in nats, by quadrature."""
        x = torch.linspace(-9, 9, 200_001, dtype=torch.float64)
        logp = self.mixture().log_prob(x)
        return float(-(logp.exp() * logp).sum() * (x[1] - x[0]))


def nearest(density: GaussianModes | ThreeModes, x: Tensor) -> Tensor:
    """The mode of each row."""
    if isinstance(density, ThreeModes):
        return density.nearest(x)
    return torch.cdist(x, torch.tensor(density.centres)).argmin(1)


EXPERIMENTS = {
    "three modes": (ThreeModes(), lambda w: RAD(features=1, hidden=(w, w)), None, 4_000),
    "nine Gaussians": (
        nine_gaussians(),
        lambda w: RAD(features=2, hidden=(w, w)),
        lambda w: RealNVP(features=2, layers=8, hidden=(w, w), activation="silu"),
        20_000,
    ),
}


def main() -> None:
    """Run everything and print the table."""
    options = options_of(__doc__, EXPERIMENTS)
    torch.set_num_threads(1)
    started = time.time()
    for name in options.only:
        density, rad, beside, budget = EXPERIMENTS[name]
        for kind, make in (("RAD", rad), ("affine couplings", beside)):
            if make is None:
                continue
            for seed in options.seeds:
                found, flow = run(make, budget, density, seed, options.steps, lr=3e-3)
                if kind == "RAD":
                    x = density.sample(5_000, seed=77 + seed)
                    codes = encode(flow, x)[0]
                    code = (codes * torch.tensor([3**i for i in range(codes.shape[1])])).sum(1)
                    found["nmi"] = float(normalized_mutual_info_score(nearest(density, x), code))
                print(name, kind, seed, found, flush=True)
                keep("rad", name, kind, str(seed), value=found)
    rows = []
    kept = known("rad")
    for name in (name for name in EXPERIMENTS if name in kept):
        entropy = EXPERIMENTS[name][0].entropy
        for kind, seeds in kept[name].items():
            runs = list(seeds.values())
            nmi = mean_and_spread([r["nmi"] for r in runs]) if "nmi" in runs[0] else ""
            nll = mean_and_spread([r["nll"] for r in runs])
            cost = f"{sum(r['seconds'] for r in runs) / len(runs):.0f}"
            rows.append([f"{name}, {kind}", f"{entropy:.4f}", nll, nmi, f"{runs[0]['parameters']:,}", cost])
    body = (
        "Exact negative log-likelihood in nats on 20,000 fresh rows, as the entropy plus the mean of log p* - log p, and the normalised "
        "mutual information of the discrete codes (the pieces of the first layer) and the nearest modes; mean and deviation of the seeds. "
        f"{options.steps} steps at 3e-3 falling to zero, batches of 512; the ends of the pieces start between the clusters of each coordinate.\n\n"
    )
    head = ["density and model", "entropy", "NLL", "NMI of codes and modes", "parameters", "seconds"]
    write("rad", "Piecewise invertible maps", body + table(head, rows), started)


if __name__ == "__main__":
    main()
