"""Faults of `pushforward/transforms/scalar.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "clamped affine: inverse without the log-scale",
        "^two-way-coupling$",
        [("LogScaleMap.inverse", "(-log_scale).exp(), -log_scale", "(-log_scale).exp(), 0 * log_scale")],
    ),
    Mutant(
        "clamped affine: shift before the scale on the way back",
        "^two-way-coupling$",
        [("LogScaleMap.inverse", "(z - p[..., 1]) * (-log_scale).exp()", "z * (-log_scale).exp() - p[..., 1]")],
    ),
    *(
        Mutant(
            f"affine maps by a log-scale: the inverse multiplies ({cases})",
            cases,
            [("LogScaleMap.inverse", "(-log_scale).exp(), -log_scale", "log_scale.exp(), -log_scale")],
        )
        for cases in ("^scale-", "^volume-preserving$", "^all-in-one$")
    ),
    Mutant("additive inverse adds", "nice-0", [("Additive.inverse", "z - p[..., 0]", "z + p[..., 0]")]),
    Mutant(
        "rounded shift does not round on the way back",
        "rounded-shift",
        [("RoundedShift.inverse", "round_through(self.unit * p[..., 0])", "self.unit * p[..., 0]")],
    ),
    Mutant(
        "rounded shift with a spurious volume",
        "rounded-shift",
        [
            ("RoundedShift.forward", "torch.zeros_like(x)", "torch.zeros_like(x) + 0.1"),
            ("RoundedShift.inverse", "torch.zeros_like(z)", "torch.zeros_like(z) - 0.1"),
        ],
    ),
    Mutant(
        "sigmoidal: log of the gain missing, both ways",
        "sigmoidal-jet",
        [("Sigmoidal._gate", " + math.log(self.gain)", "")],
    ),
    Mutant(
        "sigmoidal: shift outside the gate on the way back",
        "sigmoidal",
        [("Sigmoidal.inverse", "z / g - t", "(z - t) / g")],
    ),
    Mutant(
        "composed: slope of the first map missing, both ways",
        "composed",
        [
            ("Composed.forward", "inner + outer", "outer"),
            ("Composed.inverse", "outer + inner", "outer"),
        ],
    ),
    Mutant(
        "composed: both maps have the same parameters",
        "composed",
        [("Composed.inverse", "p[..., self.first.n:]", "p[..., :self.second.n]")],
    ),
]
