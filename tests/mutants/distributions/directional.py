"""Faults of `pushforward/distributions/directional.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "directional: squared distance not halved",
        "^von-mises-fisher$",
        [("_Concentrated._log_densities", "-kappa * squares / 2", "-kappa * squares")],
    ),
    Mutant(
        "directional: mean not normalised",
        "^von-mises-fisher$",
        [("VonMisesFisher.mean", "self.direction / self.direction.norm()", "self.direction")],
    ),
    Mutant(
        "directional: weights of the mixture not normalised",
        "^von-mises-fisher-mixture$",
        [("VonMisesFisherMixture._log_prob", "self.logits.log_softmax(0)", "self.logits")],
    ),
    Mutant(
        "directional: draws of the mixture with equal weights",
        "^von-mises-fisher-mixture$",
        [("VonMisesFisherMixture._sample", "self.logits.softmax(0)", "torch.ones_like(self.logits)")],
    ),
    Mutant(
        "directional: angles on one side of the mean only",
        "^von-mises$",
        [("VonMises._sample", "torch.where(torch.rand_like(angles) < 0.5, -1.0, 1.0) * angles", "angles")],
    ),
    Mutant(
        "directional: whole angle and not half of it in the distance",
        "^von-mises$",
        [("VonMises._log_prob", "(x - self.mean) / 2", "x - self.mean")],
    ),
    Mutant(
        "directional: draws with the noise not made orthogonal",
        "^von-mises-fisher$",
        [("draw_around", "noise - (noise * mean).sum(1, keepdim=True) * mean", "noise")],
    ),
]
