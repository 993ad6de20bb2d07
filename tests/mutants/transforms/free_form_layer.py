"""Faults of `pushforward/transforms/free_form_layer.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "free form: half of the log-determinant",
        "^free-form-",
        [
            (
                "_with_log_det",
                "torch.linalg.slogdet(columns.unflatten(0, (-1, size))).logabsdet",
                "0.5 * torch.linalg.slogdet(columns.unflatten(0, (-1, size))).logabsdet",
            )
        ],
    ),
    Mutant(
        "free form: the context is left out",
        "^free-form-1$",
        [("_with_log_det", "x + network(x, context)", "x + network(x, None if context is None else 0 * context)")],
    ),
]
