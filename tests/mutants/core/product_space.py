"""Faults of `pushforward/core/product_space.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "weights of a product rule: one factor only",
        "^side-by-side$",
        [
            (
                "Product.quadrature",
                "weights.repeat_interleave(len(factor)) * factor.repeat(len(weights))",
                "weights.repeat_interleave(len(factor))",
            )
        ],
    ),
    Mutant(
        "tangent basis: second part left out",
        "^coupling-of-kinds$",
        [("Product.tangent", "part.tangent(v)", "part.tangent(v) * (row == 0)")],
    ),
]
