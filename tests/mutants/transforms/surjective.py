"""Faults of `pushforward/transforms/surjective.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "surjection: the lost part is not scored, both ways",
        "slice",
        [("Surjection.forward", "self.rest", "0 * self.rest"), ("Surjection.inverse", "-logp", "-0 * logp")],
    ),
    Mutant(
        "surjection: the log-determinant left out, both ways",
        "^sort$",
        [("Surjection.forward", " + volume", ""), ("Surjection.inverse", "-logp - volume", "-logp")],
    ),
    Mutant("surjection: sampling scores with the wrong sign", "slice", [("Surjection.inverse", "-logp", "logp")]),
    Mutant(
        "surjection: the code of the lost part is lost",
        "slice$",
        [("Surjection.take_apart", "self.rest._take_apart(lost, self.given(z, context))", "[]")],
    ),
    Mutant(
        "surjection: the lost part is put together from a fresh draw",
        "slice$",
        [
            (
                "Surjection.put_together",
                "self.rest._put_together(code_of, self.given(z, context))",
                "self.rest._sample(z.shape[0], self.given(z, context))[0]",
            )
        ],
    ),
    Mutant(
        "surjection: the rest does not get the context",
        "slice-given-a-label",
        [("beside", "at_positions(context", "0 * at_positions(context")],
    ),
    Mutant("slice: the wrong entries are kept", "^slice$", [("Slice.merge", "[z, lost]", "[lost, z]")]),
    Mutant("surjection: declared a bijection", "absolute-value-inverse", [("Surjection.many_to_one", "True", "False")]),
]
