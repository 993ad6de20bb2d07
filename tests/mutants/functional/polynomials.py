"""Faults of `pushforward/functional/polynomials.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "sum of squares: too few nodes",
        "^sum-of-squares$",
        [("sum_of_squares", "max(2, 2 * degree)", "2 * degree - 2")],
    ),
    Mutant(
        "sum of squares: slope at another node",
        "^sum-of-squares$",
        [("sum_of_squares", "squares[..., 0]", "squares[..., 1]")],
    ),
    Mutant(
        "sum of squares: linear term missing in the image",
        "^sum-of-squares$",
        [("sum_of_squares", "LEAST_SLOPE * x + ", "")],
    ),
    Mutant(
        "sum of squares: unit of the interval", "^sum-of-squares$", [("sum_of_squares", "bound * integral", "integral")]
    ),
    Mutant(
        "Bernstein: degree of the slope",
        "^bernstein-polynomial$",
        [("bernstein", "(u, degree - 1)", "(u, degree)[..., :-1]")],
    ),
    Mutant("Bernstein: steps not summed", "^bernstein-polynomial$", [("bernstein", "slopes.cumsum(-1)", "slopes")]),
    Mutant(
        "Bernstein: length of the interval",
        "^bernstein-polynomial$",
        [("bernstein", "2 * bound / degree", "bound / degree")],
    ),
    Mutant(
        "Bernstein: powers in the wrong order",
        "^bernstein-polynomial$",
        [("_bernstein_basis", ".flip(-1)", "")],
    ),
]
