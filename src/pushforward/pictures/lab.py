"""Lab colours: lightness L and the colour coordinates a and b, as bytes.

    f(t) = t^(1/3) above (6/29)^3, else t / (3 (6/29)^2) + 4/29
    L = 116 f(Y) - 16,    a = 500 (f(X) - f(Y)),    b = 200 (f(Y) - f(Z))

X, Y and Z are linear functions of linear RGB, divided by those of white (CIE 15:2004; sRGB with the white D65, IEC 61966-2-1).
L is in [0, 100], and for sRGB a and b are in [-86.2, 98.3] and [-107.9, 94.5], so a + 128 and b + 128 fit into bytes.
"""

from __future__ import annotations

import numpy as np

TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = TO_XYZ.sum(1)
EDGE = 6 / 29
MIDDLE = 128
"""Byte of the colour coordinate 0."""


def to_lab(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lightness and the colour coordinates of sRGB pictures.

    Args:
        pictures: Pictures (N, 3, H, W) in uint8.

    Returns:
        L scaled to 0 ... 255, (N, 1, H, W), and a + 128 and b + 128, (N, 2, H, W), both rounded to uint8.
    """
    byte = np.arange(256) / 255
    linear = np.where(byte <= 0.04045, byte / 12.92, ((byte + 0.055) / 1.055) ** 2.4)[pictures]
    t = np.einsum("kc,nchw->nkhw", TO_XYZ / WHITE[:, None], linear)
    x, y, z = np.moveaxis(np.where(t > EDGE**3, np.cbrt(t), t / (3 * EDGE**2) + 4 / 29), 1, 0)
    lightness = (116 * y - 16) * 2.55
    colours = np.stack([500 * (x - y), 200 * (y - z)], 1) + MIDDLE
    return _bytes(lightness[:, None]), _bytes(colours)


def from_lab(lightness: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return the sRGB pictures (N, 3, H, W) of the results of `to_lab`; colours that no screen has are clipped."""
    y = (lightness[:, 0] / 2.55 + 16) / 116
    a, b = np.moveaxis(colours.astype(float) - MIDDLE, 1, 0)
    f = np.stack([y + a / 500, y, y - b / 200], 1)
    t = np.where(f > EDGE, f**3, 3 * EDGE**2 * (f - 4 / 29))
    linear = np.einsum("ck,nkhw->nchw", np.linalg.inv(TO_XYZ / WHITE[:, None]), t).clip(0, 1)
    return _bytes(255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.round(values).clip(0, 255).astype(np.uint8)
