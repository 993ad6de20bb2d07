"""Faults of `pushforward/distributions/learned_cdf.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "product network: density without the scales",
        "^cdf-network-0$",
        [
            (
                "ProductCDF._log_prob",
                "F.logsigmoid(u) + F.logsigmoid(-u) - self.log_scales",
                "F.logsigmoid(u) + F.logsigmoid(-u)",
            )
        ],
    ),
    Mutant(
        "product network: draws from equal weights",
        "^cdf-network-0$",
        [("ProductCDF._sample", "self.logits.softmax(0)", "torch.ones_like(self.logits)")],
    ),
    Mutant(
        "product network: draws with half of the scale",
        "^cdf-network-0$",
        [("ProductCDF._sample", "self.log_scales[k].exp() *", "0.5 * self.log_scales[k].exp() *")],
    ),
]
