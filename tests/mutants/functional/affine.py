"""Faults of `pushforward/functional/affine.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "affine log-determinant doubled, both ways",
        "realnvp-0|maf-0|affine$",
        [
            ("_Affine.evaluate", "(torch.addcmul(shift, v, scale), s)", "(torch.addcmul(shift, v, scale), 2 * s)"),
            ("_Affine.evaluate", "(image, s)", "(image, 2 * s)"),
        ],
    ),
    Mutant(
        "affine log-determinant sign, both ways",
        "realnvp-0",
        [
            ("_Affine.evaluate", "(torch.addcmul(shift, v, scale), s)", "(torch.addcmul(shift, v, scale), -s)"),
            ("_Affine.evaluate", "(image, s)", "(image, -s)"),
        ],
    ),
    Mutant(
        "affine inverse adds the shift", "realnvp-0", [("_Affine.evaluate", "(v - shift).mul_", "(v + shift).mul_")]
    ),
    Mutant(
        "affine inverse forgets its contribution", "realnvp-0", [("_Affine.evaluate", "(image, s)", "(image, 0 * s)")]
    ),
    Mutant(
        "affine: compilers see another map",
        "realnvp-0",
        [("_Affine.plain", "v * s.exp() + shift", "v * s.exp() - shift")],
    ),
    Mutant(
        "affine gradient: the bound's rate is missing",
        "realnvp-0|maf-0|affine$",
        [
            (
                "_Affine.gradient",
                "torch.mul(torch.addcmul(slope, g, v), rate, out=g_free)",
                "torch.addcmul(slope, g, v, out=g_free)",
            )
        ],
    ),
    Mutant(
        "affine gradient: the log-slope's part is missing",
        "realnvp-0|maf-0|affine$",
        [("_Affine.gradient", "torch.addcmul(slope, g, v)", "g * v")],
    ),
    Mutant(
        "affine gradient of the inverse: the shift's sign",
        "maf-0|affine$",
        [("_Affine.gradient", "torch.neg(g, out=g_shift)", "g_shift.copy_(g)")],
    ),
    Mutant(
        "gate: log of the complement",
        "iaf-0|gated-affine",
        [("_Gated.evaluate", "F.logsigmoid(s)", "F.logsigmoid(-s)")],
    ),
    Mutant(
        "gate: mean not weighted on the way back",
        "iaf-0|gated-affine",
        [("_Gated.evaluate", "mean + from_mean", "from_mean")],
    ),
    Mutant(
        "gate gradient: the complement is missing",
        "iaf-0|gated-affine",
        [("_Gated.gradient", ".mul_(root).mul_(1 - gate)", ".mul_(root)")],
    ),
    Mutant(
        "gate gradient: the mean's share",
        "iaf-0|gated-affine",
        [("_Gated.gradient", "torch.sub(image, g, out=g_mean)", "g_mean.copy_(g)")],
    ),
]
