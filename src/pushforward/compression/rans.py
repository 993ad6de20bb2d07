"""Entropy coding with many interleaved asymmetric numeral systems, in numpy.

A state x is a whole number that holds the symbols coded so far. A symbol with start s and frequency f, of a total of 2^24, is
pushed by

    x  <-  (x // f) 2^24 + s + x mod f            which multiplies x by about 2^24 / f, its inverse probability,

and popped by reading the slot x mod 2^24, which lies in [s, s + f) and so names the symbol, and

    x  <-  f (x // 2^24) + slot - s.

States stay in [2^31, 2^63): before a push that would overflow the low 32 bits move to a stack of words, and after a pop that
ends below 2^31 they come back (Duda 2013, arXiv:1311.2540, section 3). Consecutive symbols go to consecutive lanes, each with a
state of its own, so that a step works on a whole array (Giesen 2014, arXiv:1402.3392). Symbols are popped in the opposite order
of pushing: the encoder goes through a message backwards.

A lane costs the 31 bits of its first state and what is lost when its last one is written down. Most lanes avoid both.
*Opening*: coding starts with few lanes; once enough words lie on the stack, a new lane's first state is 2^32 plus a word from
there, and the decoder, which arrives at this state, puts the word back. *Closing*: at the end the low 32 bits of most states go
to the stack, and of the bits above them their number, 5 bits, and they themselves are pushed onto the few lanes. A lane
that comes and goes so costs about 5 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import FileError

Array = np.ndarray[Any, np.dtype[Any]]
Find = Callable[[int, Array], tuple[Array, Array]]
"""Given the number of the first of some symbols and their slots: their starts and frequencies, uint64."""

PRECISION = 24
TOTAL = 1 << PRECISION
LOW = np.uint64(1 << 31)
WORD = np.uint64(32)
FEW, MOST = 16, 2048
"""Lanes from the start, and of all, at most."""
SYMBOLS_FOR_A_FIRST_LANE, SYMBOLS_FOR_A_LANE = 16384, 512
_SLOT = np.uint64(TOTAL - 1)
_SHIFT = np.uint64(PRECISION)
_LIMIT = np.uint64(63 - PRECISION)
_MASK = np.uint64((1 << 32) - 1)
_HEAD = struct.Struct("<HHII")


class _Lanes:
    """States and the stack of words, which grows downwards in its array.

    Args:
        states: (lanes,) uint64.
        words: uint32, used from `top` on.
        top: First used place.
    """

    def __init__(self, states: Array, words: Array, top: int) -> None:
        self.states, self.words, self.top = states, words, top

    def push(self, starts: Array, freqs: Array) -> None:
        """At most as many symbols as there are lanes."""
        x = self.states[: len(starts)]
        full = x >= freqs << _LIMIT
        spilt = x[full]
        if len(spilt):
            self.put(spilt & _MASK)
            x = np.where(full, x >> WORD, x)
        quotient = x // freqs
        self.states[: len(starts)] = (quotient << _SHIFT) + (x - quotient * freqs) + starts

    def pop(self, count: int, first: int, find: Find) -> None:
        """So many symbols, `find` told that the first of them is number `first`."""
        x = self.states[:count]
        slots = x & _SLOT
        starts, freqs = find(first, slots)
        x = freqs * (x >> _SHIFT) + slots - starts
        empty = x < LOW
        missing = int(np.count_nonzero(empty))
        if missing:
            x[empty] = (x[empty] << WORD) | self.take(missing)
        self.states[:count] = x

    def put(self, values: Array) -> None:
        """Words onto the stack, to be taken in this order."""
        self.words[self.top - len(values) : self.top] = values
        self.top -= len(values)

    def take(self, count: int) -> Array:
        """Words from the stack.

        Raises:
            FileError: There are not so many.
        """
        if self.top + count > len(self.words):
            raise FileError("the coded data end too early")
        found = self.words[self.top : self.top + count].astype(np.uint64)
        self.top += count
        return found


def encode(segments: Sequence[tuple[Array, Array]]) -> bytes:
    """Code symbols, given as segments in the order in which a decoder asks for them.

    Args:
        segments: Starts and frequencies of each, (n,) integers with 1 <= frequency and start + frequency <= 2^24.

    Returns:
        bytes for `Decoder`.
    """
    sizes = [len(starts) for starts, _ in segments]
    total = sum(sizes)
    parts = [(starts.astype(np.uint64), freqs.astype(np.uint64)) for starts, freqs in segments]
    few, lanes = _lanes_for(total)
    turn = total
    if lanes > few:
        turn = _turn(np.concatenate([freqs for _, freqs in parts]), lanes - few)
        if turn == 0:
            lanes, turn = few, total
    words = np.empty(total + 4 * lanes + 16, dtype=np.uint32)
    coder = _Lanes(np.full(few, LOW), words, len(words))
    pieces = _pieces(sizes, turn)
    opened = lanes == few
    for segment, begin, end in reversed(pieces):
        if not opened and _position(sizes, segment) + begin < turn:
            coder.states = np.concatenate([coder.states, coder.take(lanes - few) + np.uint64(1 << 32)])
            opened = True
        starts, freqs = parts[segment]
        width = len(coder.states)
        for at in reversed(range(begin, end, width)):
            last = min(at + width, end)
            coder.push(starts[at:last], freqs[at:last])
    if len(coder.states) > few:
        _close(coder, few)
    head = _HEAD.pack(few, lanes, turn, len(words) - coder.top)
    return head + coder.states.astype("<u8").tobytes() + words[coder.top :].astype("<u4").tobytes()


class Decoder:
    """The symbols of `encode`, segment after segment.

    Args:
        data: Its bytes.

    Raises:
        FileError: They cannot be.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) < _HEAD.size:
            raise FileError("the coded data end too early")
        self._few, self._wide, self._turn, count = _HEAD.unpack_from(data)
        if not 1 <= self._few <= self._wide <= MOST or len(data) != _HEAD.size + 8 * self._few + 4 * count:
            raise FileError("the coded data are damaged")
        states = np.frombuffer(data, "<u8", self._few, _HEAD.size).astype(np.uint64)
        if ((states < LOW) | (states >> np.uint64(63) > 0)).any():
            raise FileError("the coded data are damaged")
        room = self._wide - self._few  # for the words that go back
        words = np.empty(room + count, dtype=np.uint32)
        words[room:] = np.frombuffer(data, "<u4", count, _HEAD.size + 8 * self._few)
        self._coder, self._done = _Lanes(states, words, room), 0
        if room:
            _reopen(self._coder, room)

    def pop(self, count: int, find: Find) -> None:
        """The next segment, of so many symbols; `find` keeps what it needs of them.

        Raises:
            FileError: The data end before it, or are damaged.
        """
        at = 0
        while at < count:
            self._narrow()
            left = count - at
            if self._done < self._turn:
                left = min(left, self._turn - self._done)
            width = min(left, len(self._coder.states))
            self._coder.pop(width, at, find)
            at += width
            self._done += width

    def finish(self) -> None:
        """Make sure that nothing is left.

        Raises:
            FileError: Something is, so the data or the model are not the ones that were coded.
        """
        self._narrow()
        if self._coder.top != len(self._coder.words) or (self._coder.states != LOW).any():
            raise FileError("the coded data are damaged, or of another model")

    def _narrow(self) -> None:
        """Where the encoder opened lanes, give their words back."""
        coder = self._coder
        if self._done < self._turn or len(coder.states) == self._few:
            return
        opened = coder.states[self._few :] - np.uint64(1 << 32)
        if (opened > _MASK).any() or coder.top < len(opened):
            raise FileError("the coded data are damaged, or of another model")
        coder.put(opened)
        coder.states = coder.states[: self._few].copy()


def _lanes_for(symbols: int) -> tuple[int, int]:
    """Lanes from the start, and lanes in the end."""
    few = min(FEW, max(1, symbols // SYMBOLS_FOR_A_FIRST_LANE))
    return few, min(MOST, max(few, symbols // SYMBOLS_FOR_A_LANE))


def _turn(freqs: Array, words: int) -> int:
    """Return the symbol from which on the message surely fills so many words; 0 if there is none."""
    bits = (PRECISION - np.log2(freqs[::-1].astype(np.float64))).cumsum()
    # Each of the few lanes keeps up to a word for itself, and as much again is lost to rounding at the very most.
    enough = int(np.searchsorted(bits, 32.0 * (words + 2 * FEW) * 1.01))
    return max(0, len(freqs) - enough - 1)


def _position(sizes: Sequence[int], segment: int) -> int:
    return sum(sizes[:segment])


def _pieces(sizes: Sequence[int], turn: int) -> list[tuple[int, int, int]]:
    """Segments as (number, begin, end), the one that the turn falls into as two."""
    pieces, position = [], 0
    for i, size in enumerate(sizes):
        inside = turn - position
        if 0 < inside < size:
            pieces += [(i, 0, inside), (i, inside, size)]
        elif size:
            pieces.append((i, 0, size))
        position += size
    return pieces


def _close(coder: _Lanes, few: int) -> None:
    """Fold all but the first few lanes into these."""
    states = coder.states[few:]
    coder.states = coder.states[:few].copy()
    coder.put(states & _MASK)
    high = states >> WORD
    length = np.frexp(high.astype(np.float64))[1].astype(np.uint64)  # 0 ... 31, exact: high < 2^31
    for at in reversed(range(0, len(states), few)):
        h, n = high[at : at + few], length[at : at + few]
        upper, lower = n // np.uint64(2), n - n // np.uint64(2)
        _push_bits(coder, h & ((np.uint64(1) << lower) - np.uint64(1)), lower)
        _push_bits(coder, h >> lower, upper)
        _push_bits(coder, n, np.full_like(n, 5))


def _reopen(coder: _Lanes, count: int) -> None:
    """Undo `_close`."""
    few = len(coder.states)
    found = []
    for at in range(0, count, few):
        k = min(few, count - at)
        n = _pop_bits(coder, np.full(k, 5, dtype=np.uint64))
        upper, lower = n // np.uint64(2), n - n // np.uint64(2)
        top = _pop_bits(coder, upper)
        found.append((top << lower) | _pop_bits(coder, lower))
    coder.states = np.concatenate([coder.states, (np.concatenate(found) << WORD) | coder.take(count)])


def _push_bits(coder: _Lanes, values: Array, bits: Array) -> None:
    shift = _SHIFT - bits
    coder.push(values << shift, np.uint64(1) << shift)


def _pop_bits(coder: _Lanes, bits: Array) -> Array:
    shift = _SHIFT - bits
    values = (coder.states[: len(bits)] & _SLOT) >> shift
    coder.pop(len(bits), 0, lambda first, slots: (values << shift, np.uint64(1) << shift))
    return values
