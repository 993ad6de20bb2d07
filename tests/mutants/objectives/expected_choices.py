"""Faults of `pushforward/objectives/expected_choices.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "expected choices: the two costs change places",
        "^discrete-2$",
        [("ExpectedChoices.forward", "1 - self.seen / self.warmup", "self.seen / self.warmup")],
    ),
    Mutant(
        "expected choices: no preference for a label",
        "^discrete-2$",
        [("ExpectedChoices._cost", "target[:, 0] += PREFERENCE", "pass")],
    ),
    Mutant(
        "expected choices: the likelihood of the input instead of the last labels",
        "^discrete-0$",
        [("ExpectedChoices._cost", "layer.replaced(x, made)", "x")],
    ),
    Mutant(
        "expected choices: frequencies that forget at once",
        "^discrete-2$",
        [("RATE", "0.02", "0.2")],
    ),
]
