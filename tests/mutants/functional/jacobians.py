"""Faults of `pushforward/functional/jacobians.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "norms: gradient of the weights",
        "otflow-0",
        [("_Norms.backward", "2 * cotangents[i][piece].T.unsqueeze(-1)", "cotangents[i][piece].T.unsqueeze(-1)")],
    ),
    Mutant(
        "norms: gradient of the deeper slopes",
        "otflow-1|potential",
        [("_Norms.backward", "of_slopes[i + 1][piece] = h * torch", "of_slopes[i + 1][piece] = torch")],
    ),
    Mutant(
        "norms: Jacobian without the layers before",
        "otflow-1|potential",
        [
            (
                "_walk",
                "torch.addcmul(jacobian, slopes[i + 1].T.unsqueeze(-1), product, value=h, out=places[2 * i + 2])",
                "torch.mul(slopes[i + 1].T.unsqueeze(-1), h * product, out=places[2 * i + 2])",
            )
        ],
    ),
]
