"""Arithmetic modulo K: inverses of whole numbers."""

from __future__ import annotations

import math


def inverse_modulo(a: int, modulus: int) -> int:
    """Return b in 0 ... K - 1 with a b = 1 mod K, by the extended Euclidean algorithm.

    The algorithm divides K by a, then a by the remainder, and so on. Every remainder has the form s K + t a. The last
    one before zero is gcd(a, K) = 1, and its coefficient t is the inverse. Modulo 1 every number is 0, and so is its inverse.

    Raises:
        ValueError: The numbers a and K have a common divisor, so there is no inverse.
    """
    old, new = modulus, a % modulus
    old_t, new_t = 0, 1
    while new:
        quotient = old // new
        old, new = new, old - quotient * new
        old_t, new_t = new_t, old_t - quotient * new_t
    if old != 1:
        raise ValueError(f"{a} has no inverse modulo {modulus}: both are divisible by {old}")
    return old_t % modulus


def inverses(modulus: int, width: int) -> tuple[int, ...]:
    """Return the inverses of 0 ... width - 1 modulo K, with -1 where there is none."""
    return tuple(inverse_modulo(a, modulus) if a < modulus and math.gcd(a, modulus) == 1 else -1 for a in range(width))
