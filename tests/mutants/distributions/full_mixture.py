"""Faults of `pushforward/distributions/full_mixture.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "full mixture: determinant missing",
        "mixture-[01]",
        [("FullGaussianMixture._log_prob", "log_dets - 0.5 *", "-0.5 *")],
    ),
    Mutant(
        "full mixture: weights not normalised",
        "mixture-1",
        [
            (
                "FullGaussianMixture._parts",
                "(self.logits + made[:, :components]).log_softmax(-1)",
                "(self.logits + made[:, :components])",
            )
        ],
    ),
    Mutant(
        "full mixture: draws without the shift of the context",
        "mixture-1",
        [("FullGaussianMixture._sample", "shift + self.means[k]", "self.means[k]")],
    ),
    Mutant(
        "full mixture: draws with the factor instead of its inverse",
        "mixture-[01]",
        [
            (
                "FullGaussianMixture._sample",
                "torch.linalg.solve_triangular(factors[k], noise, upper=False)[..., 0]",
                "(factors[k] @ noise)[..., 0]",
            )
        ],
    ),
]
