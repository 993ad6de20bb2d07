"""Faults of `pushforward/tables/table_coding.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "table coding: cells of whole numbers are half as wide",
        "^orderless-table$",
        [("TableCoding._cells", "self._images(k + 1)", "self._images(k + 0.5)")],
    ),
    Mutant(
        "table coding: density in standard deviations",
        "^orderless-table$",
        [("TableCoding._images", "log_slopes - scale.log()", "log_slopes")],
    ),
    Mutant(
        "table coding: the last cell ends at its upper end",
        "^orderless-table$",
        [("TableCoding._cells", "k >= last", "k > last + 1")],
    ),
    Mutant(
        "table coding: whole numbers are rounded up",
        "^orderless-table$",
        [("TableCoding.raw", "x.floor()", "x.ceil()")],
    ),
]
