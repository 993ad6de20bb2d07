"""Faults of `pushforward/networks/potential.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant("potential: second derivative of log cosh", "otflow-0", [("_weighted", "slope.square()", "slope")]),
    Mutant(
        "potential: quadratic term missing in the trace",
        "otflow-0",
        [("Potential._laplacian", "total + self.quadratic[:, :self.features].square().sum()", "total")],
    ),
    Mutant(
        "potential: step of the residual layers missing in the trace",
        "otflow-1|potential",
        [
            (
                "Potential._laplacian",
                "self.step * (_weighted(slope, back) * norm).sum(1)",
                "(_weighted(slope, back) * norm).sum(1)",
            )
        ],
    ),
]
