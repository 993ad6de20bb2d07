"""Faults of `pushforward/functional/turning.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "Moebius: wrong side of the direction",
        "^moebius$",
        [
            (
                "moebius_mixture",
                "c = (w1 * sine - w2 * cosine, w1 * cosine + w2 * sine)",
                "c = (w1 * sine - w2 * cosine, w1 * cosine - w2 * sine)",
            )
        ],
    ),
    Mutant("Moebius: displacement not doubled", "^moebius$", [("moebius_mixture", "x + 2 * moved", "x + moved")]),
    Mutant("Moebius: the angle 0 moves", "^moebius-cut$", [("moebius_mixture", "1 - c) - at_zero", "1 - c)")]),
    Mutant(
        "Moebius: slope without the square", "^moebius$", [("moebius_mixture", "rho * (1 - square)", "rho * (1 - c)")]
    ),
    Mutant(
        "Moebius: slope not weighted",
        "^moebius$",
        [("moebius_mixture", "(rho * (1 - square)", "((1 - square) / rho.shape[-1]")],
    ),
    Mutant(
        "projection: shift at the wrong place",
        "^projection$",
        [("projection_mixture", "shifts * cosine", "shifts * sine")],
    ),
    Mutant("projection: slope without alpha", "^projection$", [("projection_mixture", "rho * alpha / (", "rho / (")]),
    Mutant(
        "projection: slope with the wrong denominator",
        "^projection$",
        [("projection_mixture", "+ cosine.square()", "+ sine.square()")],
    ),
    Mutant(
        "circle inverse: no gradient",
        "^moebius$",
        [
            (
                "circle_inverse",
                "implicit_root(residual, newton_bisect(residual, low, torch.full_like(z, TURN), noise))",
                "newton_bisect(residual, low, torch.full_like(z, TURN), noise)",
            )
        ],
    ),
    Mutant("circle inverse: sign of dlogp", "^moebius$", [("circle_inverse", "-f(x)[1].log()", "f(x)[1].log()")]),
]
