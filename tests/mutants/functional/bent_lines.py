"""Faults of `pushforward/functional/bent_lines.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "cubic-rational: slope without the square",
        "^cubic-rational-line$",
        [("cubic_rational", "(2 * over - 1) * over", "(2 * over - 1)")],
    ),
    Mutant(
        "cubic-rational: root of another cubic equation, without Newton steps",
        "^cubic-rational-line$",
        [
            ("cubic_rational_inverse", "(1 + a) / 2 - third", "(1 + a) / 3 - third"),
            ("cubic_rational_inverse", "range(2)", "range(0)"),
        ],
    ),
    Mutant(
        "cubic-rational: no gradient of the root",
        "^cubic-rational-line$",
        [("cubic_rational_inverse", "implicit_root(residual, y)", "y")],
    ),
    Mutant("sinh: slope without the rate", "^sinh-line$", [("stretched", "a + log_cosh(y)", "log_cosh(y)")]),
    Mutant(
        "sinh: far away without its shift",
        "^sinh-line$",
        [("stretched", "torch.log(c + (c.square() + rest).sqrt())", "0 * c")],
    ),
    Mutant("sinh-arcsinh: rate missing", "^sinh-arcsinh-line$", [("sinh_arcsinh", "rate.log() + ", "")]),
    Mutant(
        "sinh-arcsinh: slope of the inner map",
        "^sinh-arcsinh-line$",
        [("sinh_arcsinh", "log_cosh(u) - log_cosh(inner)", "log_cosh(u)")],
    ),
    Mutant(
        "Yeo-Johnson: not divided by the power",
        "^yeo-johnson-line$",
        [("yeo_johnson", "torch.expm1(k * log) / k", "torch.expm1(k * log)")],
    ),
    Mutant(
        "Yeo-Johnson: slope of the inverse", "^yeo-johnson-line$", [("yeo_johnson", "(1 - k) * log", "(k - 1) * log")]
    ),
]
