"""Faults of `pushforward/networks/pixel_lstm.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "Diagonal BiLSTM: the second direction is not moved down",
        "pixelrnn-0",
        [("_DiagonalLSTM.states", "down(second.flip(-1))", "second.flip(-1)")],
    ),
    Mutant(
        "Diagonal BiLSTM: the second direction is not mirrored back",
        "pixelrnn-0",
        [("_DiagonalLSTM.states", "second.flip(-1)", "second")],
    ),
    Mutant(
        "Diagonal BiLSTM: the state above is the state before",
        "pixelrnn-0",
        [("_DiagonalLSTM.states", "torch.cat([h, above], 1)", "torch.cat([h, h], 1)")],
    ),
    Mutant(
        "Diagonal BiLSTM: the rows of a batch are mixed",
        "pixelrnn-0",
        [("_DiagonalLSTM.states", "F.pad(h, (rows, 0))", "F.pad(h, (1, 0))")],
    ),
    Mutant(
        "Diagonal BiLSTM: a walk goes from left to right in both directions",
        "pixelrnn-0",
        [("_DiagonalLSTM.start_row", "reversed(range(walk.width))", "range(walk.width)")],
    ),
    Mutant(
        "Diagonal BiLSTM: a walk carries states from the end of a row",
        "pixelrnn-4",
        [
            (
                "_DiagonalLSTM.state",
                "(walk.i, walk.j - 1), (walk.i - 1, walk.j)",
                "(walk.i - 1, walk.j), (walk.i, walk.j - 1)",
            )
        ],
    ),
    Mutant(
        "Row LSTM: states of the first row only",
        "pixelrnn-2",
        [("_RowLSTM.states", "self.above(rows[-1])", "self.above(rows[0])")],
    ),
    Mutant(
        "Row LSTM: a walk takes the cell from the row above and the column before",
        "pixelrnn-1",
        [("_RowLSTM.state", "get(walk.i - 1, walk.j)", "get(walk.i - 1, walk.j - 1)")],
    ),
    Mutant(
        "Row LSTM: the row is reversed in a walk",
        "pixelrnn-1",
        [("_RowLSTM.start_row", "self.above(row)", "self.above(row.flip(-1))")],
    ),
]
