"""Faults of `pushforward/distributions/resampled.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "resampled: not divided by the normaliser",
        "^resampled-normal$",
        [("ResampledNormal._log_prob", "self.acceptance(x) / z", "self.acceptance(x)")],
    ),
    Mutant(
        "resampled: the last draw forgotten",
        "^resampled-normal$",
        [
            (
                "ResampledNormal._log_prob",
                "((1 - left) * self.acceptance(x) / z + left).log()",
                "(self.acceptance(x) / z).log()",
            )
        ],
    ),
    Mutant(
        "resampled: one draw too many",
        "^resampled-normal$",
        [("ResampledNormal._sample", "self.truncation - 1", "self.truncation + 3")],
    ),
    Mutant(
        "resampled: accepts what it should reject",
        "^resampled-normal$",
        [
            (
                "ResampledNormal._sample",
                "accepted = torch.rand(len(waiting), device=x.device) < ",
                "accepted = torch.rand(len(waiting), device=x.device) > ",
            )
        ],
    ),
]
