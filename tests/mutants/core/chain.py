"""Faults of `pushforward/core/chain.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "chain: codes of earlier layers are lost", "slice$", [("Chain.take_apart", "codes += more", "codes = more")]
    ),
    Mutant(
        "chain: last contribution lost", "realnvp-0|nsf-0", [("Chain.forward", "total + dlogp", "total + 0 * dlogp")]
    ),
    Mutant(
        "chain: inverse in the wrong order", "nsf-0|realnvp-0", [("Chain.inverse", "layers[-2::-1]", "layers[:-1]")]
    ),
    Mutant(
        "inverse does not flip bounds",
        "dequantise|vae",
        [("Inverse.exactness", "self.layer.exactness.flipped", "self.layer.exactness")],
    ),
    Mutant(
        "inverse of a surjection declared exact",
        "^absolute-value-inverse$",
        [("Inverse.exactness", "if self.layer.draws_back", "if False")],
    ),
]
