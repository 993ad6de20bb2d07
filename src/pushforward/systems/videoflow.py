"""VideoFlow: one flow for every frame, and the latents of a frame given those of the frames before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ..core import Chain, Flow, Real, Space, Transform
from ..distributions import Normal
from ..transforms import EachFrame, Innovations, Slice, Squeeze
from .clip_spec import ClipSpec
from .glow import CouplingKind, Mixing, glow_step


@dataclass(frozen=True, kw_only=True)
class VideoFlow(ClipSpec):
    """VideoFlow, flow of clips whose next frame depends on the latents of the last ones.

        log p(x) >= sum_t [ sum_l log N(z_t^l; mu_t^l, sigma_t^l) + log |det dz_t/dx_t| ]
        mu_t^l = z_(t-1)^l + delta,    (delta, log sigma) = net(z_(t-1)^l, ..., z_(t-K)^l, z_t^(>l))

    Every frame goes through the same flow with the scales of Glow, to latents z_t^l, coarsest last. The prior of the latents
    of a scale is normal, given those of the K frames before at the same scale and the coarser ones of the frame itself, which
    the network sees before they are mapped on. The first frame has a prior of its own. Clips of any length can be drawn.

    Args:
        memory: Number K of earlier frames that the prior of a frame depends on; with 0 the frames are independent.
        scales: Number of scales; frames are squeezed at each, and between scales half of the channels leave.
        steps: Number of steps of the flow at each scale.
        hidden: Number of hidden channels of the couplings' networks.
        prior_hidden: Number of hidden channels of the networks of past frames.
        blocks: Number of residual blocks of the networks of past frames.
        coupling: Kind of coupling, "affine" or "additive".
        mixing: Mixing of channels, as for `glow`.
    """

    name = "videoflow"
    family = "clips"
    paper = "Kumar, Babaeizadeh, Erhan, Finn, Levine, Dinh, Kingma 2020, arXiv:1903.01434"
    presets = {
        "tiny": {"scales": 1, "steps": 2, "hidden": 16, "prior_hidden": 8, "blocks": 1},
        "small": {"scales": 2, "steps": 4, "hidden": 32, "prior_hidden": 24, "blocks": 1},
        "paper": {"scales": 3, "steps": 24, "hidden": 512, "prior_hidden": 512, "blocks": 5, "memory": 3},
    }

    memory: int = 2
    scales: int = 2
    steps: int = 8
    hidden: int = 64
    prior_hidden: int = 64
    blocks: int = 2
    coupling: CouplingKind = "affine"
    mixing: Mixing = "full"

    def validate(self) -> None:
        """Check the memory and the number of hidden channels, besides the arguments of all systems of clips."""
        super().validate()
        self._at_least("memory", 0)
        self._at_least("prior_hidden", 1)

    def build(self) -> Flow:
        """Return the flow; couplings start as constant maps, and frames as equal to those before them, plus noise."""
        self.require_divisible(2**self.scales, f"{self.scales} scales")
        layers = self.front()
        for scale in range(self.scales):
            channels, _, height, width = layers[-1].z_space.shape
            parts: list[Transform] = [Squeeze(Real((channels, height, width)))]
            frame = Real(parts[0].z_space.shape)
            for i in range(self.steps):
                parts += glow_step(frame, scale * self.steps + i, self.hidden, self.coupling, self.mixing)
            each = EachFrame(Chain(*parts), self.frames)
            layers.append(each.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
            if scale + 1 < self.scales:
                layers.append(self._leave(layers[-1].z_space))
        return self.flow([*layers, self._innovations(layers[-1].z_space)])

    def _leave(self, space: Space) -> Slice:
        """Return the layer after which half of the channels are kept; the others have their prior, given the kept ones."""
        channels, *rest = space.shape
        keep = channels - channels // 2
        gone, kept = Real((channels - keep, *rest)), Real((keep, *rest))
        return Slice(space, keep, Flow(self._innovations(gone, kept), Normal(gone)))

    def _innovations(self, space: Space, context: Space | int = 0) -> Innovations:
        return Innovations(
            Real(space.shape), self.memory, context=context, hidden=self.prior_hidden, blocks=self.blocks
        )

    @classmethod
    def cases(cls) -> Iterator[VideoFlow]:
        """Yield specs of two frames of 2 x 2 pixels, and of three frames of 4 x 4 with two scales and a memory of two."""
        small: dict[str, Any] = {"levels": 2, "alpha": 0.0, "steps": 1, "hidden": 4, "prior_hidden": 3, "blocks": 1}
        yield cls(frames=2, shape=(1, 2, 2), scales=1, memory=1, **small)
        yield cls(frames=3, shape=(1, 4, 4), scales=2, memory=2, given=1, **small)
