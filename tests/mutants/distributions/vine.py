"""Faults of `pushforward/distributions/vine.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "vine: rotations are not exchanged for the partner",
        "^vine-of-three$",
        [("Vine._others", "{90: 270, 270: 90}.get(rotation, rotation)", "rotation")],
    ),
    Mutant(
        "vine: densities of logistic scores left out",
        "^vine-0$",
        [("Vine._log_prob", "F.logsigmoid(x) + F.logsigmoid(-x)", "0 * x")],
    ),
    Mutant(
        "vine: higher trees see the variable itself",
        "^vine-of-three$",
        [("Vine._log_prob", "value = pair_h(*made, value, values[key])", "pair_h(*made, value, values[key])")],
    ),
    Mutant(
        "vine: a turned v is not turned back",
        "^vine-of-gumbel-270$",
        [("Vine._inverse", "1 - value if turn else value", "value")],
    ),
    Mutant(
        "vine: the plan is not read after loading",
        "^vine-of-three$",
        [("Vine._load_from_state_dict", "self.read_parts()", "pass")],
    ),
]
