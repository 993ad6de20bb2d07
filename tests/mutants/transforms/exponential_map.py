"""Faults of `pushforward/transforms/exponential_map.py`."""

from ..mutant import Mutant

RADIAL, POLYNOMIAL = "^exponential-map-radial$", "^exponential-map-polynomial$"

MUTANTS = [
    Mutant(
        "exponential map: normal part of the gradient kept",
        POLYNOMIAL,
        [("ExponentialMap._image", "v = g - radial * x", "v = g")],
    ),
    Mutant(
        "exponential map: derivative without the change of the length",
        RADIAL,
        [("ExponentialMap._image", "2 * s_slope * v", "0 * v")],
    ),
    Mutant(
        "exponential map: derivative without the normal part of the gradient",
        POLYNOMIAL,
        [("ExponentialMap._image", "c - s * radial", "c")],
    ),
    Mutant(
        "exponential map: Hessian left out",
        RADIAL,
        [("ExponentialMap._image", "a = hessian @ p", "a = 0 * hessian @ p")],
    ),
    Mutant(
        "exponential map: tangent space not completed by x",
        POLYNOMIAL,
        [("ExponentialMap._image", "[v + w, w, x]", "[v + w, w, 0 * x]")],
    ),
    Mutant(
        "exponential map: no recorded step in the inverse",
        RADIAL,
        [
            (
                "ExponentialMap.inverse",
                "self.x_space.nearest(start - torch.linalg.solve(slopes, image - z))",
                "start",
            )
        ],
    ),
    Mutant(
        "exponential map: dlogp of the inverse with the sign of the forward map",
        POLYNOMIAL,
        [("ExponentialMap.inverse", "-torch.linalg.slogdet", "torch.linalg.slogdet")],
    ),
    Mutant(
        "exponential map: quadratic potential folds",
        "^exponential-map-polynomial$",
        [
            (
                "QuadraticPotential._made",
                "return (m / size[..., None], matrix / size[..., None, None])",
                "return (4 * m, 4 * matrix)",
            ),
        ],
    ),
    Mutant(
        "exponential map: gradient of the quadratic potential doubled",
        POLYNOMIAL,
        [
            (
                "QuadraticPotential.derivatives",
                "m + (a @ x.unsqueeze(-1)).squeeze(-1)",
                "m + 2 * (a @ x.unsqueeze(-1)).squeeze(-1)",
            )
        ],
    ),
    Mutant(
        "exponential map: Hessian of the radial potential without its rate",
        RADIAL,
        [("RadialPotential.derivatives", "(b * c).unsqueeze(-1)", "c.unsqueeze(-1)")],
    ),
    Mutant(
        "exponential map: centres not normalised",
        RADIAL,
        [("RadialPotential._made", "m / m.norm(dim=-1, keepdim=True)", "3 * m")],
    ),
    Mutant(
        "exponential map: sign of the series",
        RADIAL,
        [("cosine_and_sinc", "slopes * low - sign * (k + 1)", "slopes * low + sign * (k + 1)")],
    ),
]
