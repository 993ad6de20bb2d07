"""Faults of `pushforward/transforms/copula_layer.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "copula layer: log-slope of the marginal turned round, forwards",
        "^copula-layer$",
        [("CopulaLayer.forward", "slope - log_slope", "slope + log_slope")],
    ),
    Mutant(
        "copula layer: log-slope of the marginal left out, both ways",
        "^copula-layer$",
        [
            ("CopulaLayer.forward", "slope - log_slope", "slope"),
            ("CopulaLayer.inverse", "slope + log_slope", "slope"),
        ],
    ),
    Mutant(
        "copula layer: no Newton step records the gradient",
        "^copula-layer$",
        [("CopulaLayer._root", "if torch.is_grad_enabled():", "if False:")],
    ),
    Mutant(
        "copula layer: marginals not taken out in the inverse",
        "^copula-layer$",
        [("CopulaLayer.inverse", "made.append(x)", "made.append(y)")],
    ),
]
