"""Faults of `pushforward/transforms/competing.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "competing: posterior not scored, both ways",
        "^competing-coupling$|^lwta-0$",
        [("WinnerCoupling.forward", "log_p - log_q", "log_p"), ("WinnerCoupling.inverse", "log_q - self", "-self")],
    ),
    Mutant(
        "competing: noise undeclared",
        "^lwta-0$",
        [("WinnerCoupling.own", "Exactness.NOISY | Exactness.LOWER", "Exactness.EXACT")],
    ),
    Mutant(
        "competing: winners of the inverse are not drawn from the prior",
        "^lwta-0$|^competing-coupling$",
        [
            (
                "WinnerCoupling.inverse",
                "parameters[0])[0]",
                "parameters[0] + torch.arange(self.experts.units))[0]",
            )
        ],
    ),
    Mutant(
        "competing: winners lost when taken apart",
        "^lwta-0$",
        [("WinnerCoupling.take_apart", "[winners]", "[0 * winners]")],
    ),
    Mutant(
        "competing: enumeration forgets the probability of winners",
        "^lwta-0$",
        [
            (
                "WinnerCoupling.every_branch",
                "self.experts.log_joint(winners, parameters)",
                "self.experts.log_joint(winners, parameters) + 1",
            )
        ],
    ),
]
