"""Faults of `pushforward/functional/splines/terms.py`."""

from ...mutant import Mutant

MUTANTS = [
    Mutant(
        "spline log-slope doubled, both ways",
        "nsf-0|spline$",
        [
            ("image_in_bin", "terms.rise.log().neg_", "2 * terms.rise.log().neg_"),
            (
                "image_in_bin",
                "torch.addcmul(y0, terms.ratio, terms.h), terms.rise.log()",
                "torch.addcmul(y0, terms.ratio, terms.h), 2 * terms.rise.log()",
            ),
        ],
    ),
    Mutant(
        "spline slope without the denominator's square",
        "nsf-0|spline$",
        [("terms_in_bin", "(s * over).square_()", "(s * s * over)")],
    ),
    Mutant(
        "spline slope: end derivatives swapped",
        "nsf-0|spline$",
        [
            (
                "terms_in_bin",
                "(d1 * t2).addcmul_(s, mixed, value=2).addcmul_(d0, r2)",
                "(d0 * t2).addcmul_(s, mixed, value=2).addcmul_(d1, r2)",
            )
        ],
    ),
    Mutant(
        "spline slope: middle term once",
        "nsf-0|spline$",
        [("terms_in_bin", "(d1 * t2).addcmul_(s, mixed, value=2)", "(d1 * t2).addcmul_(s, mixed)")],
    ),
    Mutant(
        "spline value: d1 instead of d0",
        "nsf-0|spline$",
        [("terms_in_bin", "(s * t2).addcmul_(d0, mixed)", "(s * t2).addcmul_(d1, mixed)")],
    ),
    Mutant(
        "spline curvature: one s",
        "nsf-0|spline$",
        [("terms_in_bin", "torch.sub(d0 + d1, s, alpha=2)", "torch.sub(d0 + d1, s)")],
    ),
    Mutant(
        "spline inverse: wrong quadratic coefficient",
        "nsf-0|spline$",
        [("_root", "(s - d0).mul_(h).add_", "(s - d0).mul_(h).sub_")],
    ),
    Mutant("spline inverse: other root", "nsf-0|spline$", [("_root", ".sqrt_().add_(b)", ".sqrt_().neg_().add_(b)")]),
    Mutant(
        "spline inverse: contribution not negated",
        "nsf-0|spline$",
        [("image_in_bin", "terms.rise.log().neg_()", "terms.rise.log()")],
    ),
    Mutant(
        "spline gradient: bend of the log-slope",
        "nsf-0|spline$",
        [
            (
                "gradient_in_bin",
                "bend.addcmul_(tilt.mul_(curve), over, value=-1)",
                "bend.addcmul_(tilt.mul_(curve), over)",
            )
        ],
    ),
    Mutant(
        "spline gradient: slope of the bin",
        "nsf-0|spline$",
        [("gradient_in_bin", "(t2 * over).addcmul_(ratio, flat, value=-1).mul_", "(t2 * over).mul_")],
    ),
    Mutant(
        "spline gradient: width ignores the bin's slope",
        "nsf-0|spline$",
        [("gradient_in_bin", "(g_x * t).addcmul_(g_s, s).neg_", "(g_x * t).neg_")],
    ),
    Mutant(
        "spline gradient: right end's slope",
        "nsf-0|spline$",
        [("gradient_in_bin", "(g_blend * t2).sub_(g_curve)", "g_blend * t2")],
    ),
    Mutant(
        "spline gradient: implicit rule without the log-slope",
        "nsf-0|spline$",
        [("gradient_in_bin", "(g_log * bend).mul_(2).div_(w).sub_(g)", "(-g)")],
    ),
]
