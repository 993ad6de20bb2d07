"""Faults of `pushforward/transforms/free_form_layer.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "free form: half of the log-determinant",
        "^free-form-",
        [
            (
                "FreeForm.forward",
                "torch.linalg.slogdet(jacobian(self._encoded, x, context)).logabsdet",
                "0.5 * torch.linalg.slogdet(jacobian(self._encoded, x, context)).logabsdet",
            )
        ],
    ),
    Mutant(
        "free form: the context is left out",
        "^free-form-1$",
        [
            (
                "FreeForm._encoded",
                "self.encode(x, context)",
                "self.encode(x, None if context is None else 0 * context)",
            )
        ],
    ),
]
