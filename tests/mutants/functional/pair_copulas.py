"""Faults of `pushforward/functional/pair_copulas.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "Clayton: another power of the sum", "^vine-of-clayton-90$", [("Clayton.log_density", "2 + 1 / t", "1 + 1 / t")]
    ),
    Mutant("Clayton: h with another power", "^vine-of-three$", [("Clayton.h", "1 + 1 / t", "1 / t")]),
    Mutant(
        "Clayton: inverse h with another power", "^vine-of-clayton-90$", [("Clayton.h_inverse", "-t / (1 + t)", "-t")]
    ),
    Mutant(
        "Gumbel: the last factor left out",
        "^vine-of-gumbel-270$",
        [("Gumbel.log_density", "+ (log_s.exp() + t - 1).log()", "+ log_s")],
    ),
    Mutant(
        "Gumbel: another equation of the root",
        "^vine-of-gumbel-270$",
        [("Gumbel.h_inverse", "x + (t - 1) * x.log() - w.log()", "x - w.log()")],
    ),
    Mutant(
        "Frank: normaliser without log t",
        "^vine-of-frank-0$",
        [("Frank.log_density", "(t * -torch.expm1(-t))", "(-torch.expm1(-t))")],
    ),
    Mutant(
        "Frank: inverse h without the share of u",
        "^vine-of-frank-0$",
        [("Frank.h_inverse", "near + w * -torch.expm1(-t * u)", "near + w")],
    ),
    Mutant(
        "Gaussian: log-determinant left out",
        "^vine-of-three$|^vine-0$",
        [("GaussianPair.log_density", "-0.5 * rest.log() - ", "-")],
    ),
    Mutant(
        "Student: exponent of the joint density",
        "^vine-of-student-0$",
        [("student_pair_log_density", "(df + 2) / 2", "(df + 1) / 2")],
    ),
    Mutant(
        "rotations: 90 and 270 exchanged for v",
        "^vine-of-clayton-90$|^vine-of-three$",
        [("rotated", "rotation in (180, 270)", "rotation in (90, 180)")],
    ),
]
