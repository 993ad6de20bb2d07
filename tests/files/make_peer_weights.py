"""Write peer_weights.npz: weights of small flows of zuko and nflows, rows and their log-probabilities, in double precision.

Run it where both libraries are installed: python tests/files/make_peer_weights.py
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
import zuko
from nflows.distributions import StandardNormal
from nflows.flows import MaskedAutoregressiveFlow, SimpleRealNVP
from nflows.flows.base import Flow
from nflows.nn import nets
from nflows.transforms import (
    CompositeTransform,
    LULinear,
    MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
    PiecewiseRationalQuadraticCouplingTransform,
    RandomPermutation,
)

D = 4


def spline_flow() -> Flow:
    """A flow of nflows with every kind of spline layer."""
    layers = []
    for i in range(2):
        mask = torch.tensor([1.0, -1.0] * (D // 2)) * (-1) ** i
        net = partial(nets.ResidualNet, hidden_features=6, num_blocks=1)
        layers += [
            LULinear(D),
            PiecewiseRationalQuadraticCouplingTransform(mask, net, num_bins=4, tails="linear", tail_bound=3.0),
            RandomPermutation(D),
            MaskedPiecewiseRationalQuadraticAutoregressiveTransform(D, 6, num_bins=3, tails="linear", tail_bound=3.0),
        ]
    return Flow(CompositeTransform(layers), StandardNormal([D]))


def main() -> None:
    """Write the file beside this script."""
    torch.manual_seed(0)
    small = {"transforms": 2, "hidden_features": (6, 5)}
    flows = {
        "zuko-realnvp": zuko.flows.RealNVP(D, 2, randmask=True, **small),
        "zuko-maf": zuko.flows.MAF(D, 0, randperm=True, **small),
        "zuko-maf-context": zuko.flows.MAF(D, 2, **small),
        "zuko-nsf": zuko.flows.NSF(D, 2, bins=4, **small),
        "nflows-realnvp": SimpleRealNVP(D, 6, 2, 1, batch_norm_between_layers=True),
        "nflows-nice": SimpleRealNVP(D, 6, 2, 1, use_volume_preserving=True),
        "nflows-maf": MaskedAutoregressiveFlow(D, 6, 2, 2),
        "nflows-maf-plain": MaskedAutoregressiveFlow(
            D, 6, 2, 2, use_residual_blocks=False, use_random_masks=True, use_random_permutations=True
        ),
        "nflows-nsf": spline_flow(),
    }
    x, c = 2 * torch.randn(20, D).double(), torch.randn(20, 2).double()
    arrays = {"x": x.numpy(), "c": c.numpy()}
    for name, flow in flows.items():
        for part in [*flow.parameters(), *(b for n, b in flow.named_buffers() if "running" in n)]:
            part.data += 0.2 * torch.rand_like(part)
        flow.double().eval()
        with torch.no_grad():
            if name.startswith("nflows"):
                scores = flow.log_prob(x)
            else:
                scores = (flow(c) if name in ("zuko-realnvp", "zuko-maf-context", "zuko-nsf") else flow()).log_prob(x)
        arrays[f"{name}/scores"] = scores.numpy()
        arrays |= {f"{name}/weights/{key}": value.numpy() for key, value in flow.state_dict().items()}
    np.savez_compressed(Path(__file__).with_name("peer_weights.npz"), **arrays)


if __name__ == "__main__":
    main()
