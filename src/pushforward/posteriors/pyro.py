"""Automatic guide of a Pyro model whose distribution is a flow; needs pyro-ppl."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..core import Flow
from ..systems.spec import Spec
from .optimise import gaussian, shaped

try:
    from pyro.contrib.zuko import ZukoToPyro
    from pyro.infer.autoguide import AutoContinuous, init_to_feasible
except ImportError:
    raise ImportError("guides of Pyro models need Pyro: pip install pyro-ppl") from None


class FlowGuide(AutoContinuous):
    """Guide for the joint posterior of all continuous latent variables of a Pyro model: a Gaussian followed by a flow.

    guide = FlowGuide(model, "nsf"); pyro.infer.SVI(model, guide, optimiser, pyro.infer.Trace_ELBO()).step(data)

    Args:
        model: Pyro model with a fixed structure.
        flow: Name of a system, a `Spec`, or a function of the number of unconstrained latent variables that returns a flow.
        layers: Number of layers of a flow given by its name.
        scale: Initial standard deviation, in unconstrained units.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        flow: str | Spec | Callable[[int], Flow] = "nsf",
        *,
        layers: int | None = None,
        scale: float = 0.1,
    ) -> None:
        super().__init__(model, init_loc_fn=init_to_feasible)
        self._make, self._layers, self._scale = flow, layers, scale

    def _setup_prototype(self, *args: Any, **kwargs: Any) -> None:
        super()._setup_prototype(*args, **kwargs)
        if isinstance(self._make, (str, Spec)):
            self.flow = shaped(self._make, self._layers, gaussian(self.latent_dim, self._scale))
        else:
            self.flow = self._make(self.latent_dim)

    def get_posterior(self, *args: Any, **kwargs: Any) -> ZukoToPyro:
        """Return the flow as a Pyro distribution of the concatenated unconstrained latent variables."""
        return ZukoToPyro(self.flow.at())

    @torch.no_grad()
    def draws(self, count: int) -> dict[str, Tensor]:
        """Return draws of every latent variable by name, (count, *shape)."""
        from torch.distributions import biject_to

        latent = self.flow.sample(count)
        return {site["name"]: biject_to(site["fn"].support)(v) for site, v in self._unpack_latent(latent)}
