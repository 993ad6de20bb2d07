"""Faults of `pushforward/transforms/injective.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "injective: the volume is not halved",
        "^injective-0$",
        [
            (
                "Injective._log_volume",
                "torch.linalg.slogdet(rows @ rows.mT).logabsdet / 2",
                "torch.linalg.slogdet(rows @ rows.mT).logabsdet",
            )
        ],
    ),
    Mutant(
        "injective: the sign of the volume",
        "^injective-0$",
        [("Injective.forward", "-self._log_volume(z, context)", "self._log_volume(z, context)")],
    ),
    Mutant(
        "injective: the context is left out of the decoder",
        "^injective-1$",
        [("Injective._decoded", "self.decode(z, context)", "self.decode(z, None if context is None else 0 * context)")],
    ),
    Mutant(
        "injective: the start has the inverse variances",
        "^injective-0$",
        [("Injective.init_from", "directions[:, -latent:] / roots", "directions[:, -latent:] * roots")],
    ),
    Mutant(
        "injective: the error is not relative to the scale",
        "^injective-0$",
        [("Injective.forward_aux", "error / self.scale.square()", "error / self.scale")],
    ),
]
