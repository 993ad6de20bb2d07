"""Random step of competing units between two layers, with a learned step back: a bound in the space of paths.

    forward  z ~ K(z|x),    dlogp = log R(x|z) - log K(z|x)

K and R are two local-winner-takes-all steps (`WinnerKernel`), in both of which the winners are summed over. Nothing has to be
invertible, so the losers may be set to zero (Wu, Koehler, Noe 2020, arXiv:2002.06707, for such bounds).
"""

from __future__ import annotations

from torch import Tensor

from ..distributions.winner_kernel import WinnerKernel
from .experts import WINNERS
from .stochastic import Stochastic


class WinnerPath(Stochastic):
    """Random step K(z|x) of competing units with a learned reverse step R(x|z).

    Args:
        step: Distribution of z given x and the layer's context.
        reverse: Distribution of x given z and the layer's context.
        context: Length of the layer's context, 0 for none.
    """

    encoder: WinnerKernel

    def __init__(self, step: WinnerKernel, reverse: WinnerKernel, *, context: int = 0) -> None:
        super().__init__(step, reverse, context=context)

    def forward_aux(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the results of `forward`, and the log-probability of the winners of K by the name `WINNERS`."""
        z, log_k, log_winners = self.encoder.drawn(self.beside(x, context))
        return z, self.decoder._log_prob(x, self.beside(z, context)) - log_k, {WINNERS: log_winners}
