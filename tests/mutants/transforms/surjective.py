"""Faults of `pushforward/transforms/surjective.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "slice: the rest is not scored, both ways",
        "slice",
        [
            ("Slice.forward", "self.rest", "0 * self.rest"),
            ("Slice.inverse", "-logp", "-0 * logp"),
        ],
    ),
    Mutant(
        "slice: the rest does not get the context",
        "slice-given-a-label",
        [("Slice._given", "at_positions", "0 * at_positions")],
    ),
    Mutant(
        "slice: the code of the rest is lost",
        "slice$",
        [("Slice.take_apart", "self.rest._take_apart(forgotten, self._given(z, context))", "[]")],
    ),
    Mutant(
        "slice: the rest is put together from a fresh draw",
        "slice$",
        [
            (
                "Slice.put_together",
                "self.rest._put_together(code_of, self._given(z, context))",
                "self.rest._sample(z.shape[0], self._given(z, context))[0]",
            )
        ],
    ),
    Mutant("slice: sampling scores with the wrong sign", "slice", [("Slice.inverse", "-logp", "logp")]),
]
