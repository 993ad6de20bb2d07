"""Entropy coding by many interleaved asymmetric numeral systems (rANS), in NumPy.

A state x is a whole number that encodes the symbols pushed so far. Let a symbol have the start s and frequency f out of a total
of 2^24: its slots are s ... s + f - 1. The symbol is pushed by

    x  <-  (x // f) 2^24 + s + x mod f            which multiplies x by about 2^24 / f, its inverse probability,

and popped by reading the slot x mod 2^24. The slot lies in [s, s + f), which identifies the symbol, and the inverse of
the push is

    x  <-  f (x // 2^24) + slot - s.

States stay in [2^31, 2^63). Before a push that would overflow, the low 32 bits of a state move to a stack of words; after a pop
that ends below 2^31, they come back (Duda 2013, arXiv:1311.2540, section 3). Consecutive symbols go to consecutive lanes, each
with its own state, so that each step works on a whole array (Giesen 2014, arXiv:1402.3392). Symbols are popped in the opposite
order of pushing, so the encoder goes through a message backwards.

A lane costs the 31 bits of its first state, and the unused bits of its last state when it is written. Most lanes avoid both
costs. *Opening*: coding starts with few lanes. Once enough words are on the stack, new lanes take words from it: the
first state of a new lane is 2^32 plus a word, and the decoder, when it arrives at this state, puts the word back.
*Closing*: at the end the low 32 bits of most states go to the stack. Of the bits above them, their number (5 bits) and
the bits themselves are pushed onto the few lanes. A lane that is opened and closed in this way costs about 5 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import FileError

Array = np.ndarray[Any, np.dtype[Any]]
Find = Callable[[int, Array], tuple[Array, Array]]
"""Function (index of the first of some symbols, their slots) that returns their starts and frequencies in uint64."""

PRECISION = 24
TOTAL = 1 << PRECISION
LOW = np.uint64(1 << 31)
WORD = np.uint64(32)
FEW, MOST = 16, 2048
"""Largest number of lanes at the start, and of all lanes."""
SYMBOLS_FOR_A_FIRST_LANE, SYMBOLS_FOR_A_LANE = 16384, 512
_SLOT = np.uint64(TOTAL - 1)
_SHIFT = np.uint64(PRECISION)
_LIMIT = np.uint64(63 - PRECISION)
_MASK = np.uint64((1 << 32) - 1)
_HEAD = struct.Struct("<HHII")


class _Lanes:
    """States of the lanes, and the stack of words, which grows downwards in its array.

    Args:
        states: States (lanes,) in uint64.
        words: Words in uint32, used from index `top` on.
        top: First used index.
    """

    def __init__(self, states: Array, words: Array, top: int) -> None:
        self.states, self.words, self.top = states, words, top

    def push(self, starts: Array, freqs: Array) -> None:
        """Push at most as many symbols as there are lanes."""
        x = self.states[: len(starts)]
        # The new state (x // f) 2^24 + ... reaches 2^63 if and only if x >= f 2^39. After the low word is removed,
        # x // f >= 2^7 still, so the new state is at least 2^31.
        full = x >= freqs << _LIMIT
        spilt = x[full]
        if len(spilt):
            self.put(spilt & _MASK)
            x = np.where(full, x >> WORD, x)
        quotient = x // freqs
        self.states[: len(starts)] = (quotient << _SHIFT) + (x - quotient * freqs) + starts

    def pop(self, count: int, first: int, find: Find) -> None:
        """Pop `count` symbols; `find` is called with the index `first` of the first one."""
        x = self.states[:count]
        slots = x & _SLOT
        starts, freqs = find(first, slots)
        # f (x // 2^24) + slot - s inverts the push. If the result is below 2^31, a word was removed before the push.
        x = freqs * (x >> _SHIFT) + slots - starts
        empty = x < LOW
        missing = int(np.count_nonzero(empty))
        if missing:
            x[empty] = (x[empty] << WORD) | self.take(missing)
        self.states[:count] = x

    def put(self, values: Array) -> None:
        """Put words onto the stack, in the order in which they are taken."""
        self.words[self.top - len(values) : self.top] = values
        self.top -= len(values)

    def take(self, count: int) -> Array:
        """Take words from the stack.

        Raises:
            FileError: The stack has fewer words.
        """
        if self.top + count > len(self.words):
            raise FileError("the coded data end too early")
        found = self.words[self.top : self.top + count].astype(np.uint64)
        self.top += count
        return found


def encode(segments: Sequence[tuple[Array, Array]]) -> bytes:
    """Code symbols, given as segments in the order in which a decoder asks for them.

    Args:
        segments: Starts and frequencies of each segment, integers (n,) with frequency >= 1 and start + frequency <= 2^24.

    Returns:
        Bytes for `Decoder`.
    """
    sizes = [len(starts) for starts, _ in segments]
    total = sum(sizes)
    parts = [(starts.astype(np.uint64), freqs.astype(np.uint64)) for starts, freqs in segments]
    few, lanes = _lanes_for(total)
    # Symbols from `turn` on are coded, backwards, with the few lanes; symbols before it with all lanes.
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
        # All symbols from `turn` on are pushed: open the other lanes with words from the stack.
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
    """Decoder of the symbols that `encode` coded, segment after segment.

    Args:
        data: Bytes from `encode`.

    Raises:
        FileError: The bytes are not from `encode`, or are damaged.
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
        room = self._wide - self._few  # for the words of opened lanes, which go back onto the stack
        words = np.empty(room + count, dtype=np.uint32)
        words[room:] = np.frombuffer(data, "<u4", count, _HEAD.size + 8 * self._few)
        self._coder, self._done = _Lanes(states, words, room), 0
        if room:
            _reopen(self._coder, room)

    def pop(self, count: int, find: Find) -> None:
        """Decode the next segment, of `count` symbols; `find` stores the symbols that it looks up.

        Raises:
            FileError: The data end before the segment, or are damaged.
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
        """Check that no data are left.

        Raises:
            FileError: Some are left, so the data or the model are not those that were coded.
        """
        self._narrow()
        # Each first state of the encoder was 2^31 (LOW), so decoding must end there, with an empty stack.
        if self._coder.top != len(self._coder.words) or (self._coder.states != LOW).any():
            raise FileError("the coded data are damaged, or of another model")

    def _narrow(self) -> None:
        """Put the words of opened lanes back onto the stack, at the symbol where the encoder opened the lanes."""
        coder = self._coder
        if self._done < self._turn or len(coder.states) == self._few:
            return
        opened = coder.states[self._few :] - np.uint64(1 << 32)
        if (opened > _MASK).any() or coder.top < len(opened):
            raise FileError("the coded data are damaged, or of another model")
        coder.put(opened)
        coder.states = coder.states[: self._few].copy()


def _lanes_for(symbols: int) -> tuple[int, int]:
    """Return the number of lanes at the start and the number of all lanes."""
    few = min(FEW, max(1, symbols // SYMBOLS_FOR_A_FIRST_LANE))
    return few, min(MOST, max(few, symbols // SYMBOLS_FOR_A_LANE))


def _turn(freqs: Array, words: int) -> int:
    """Return the first index from which on the symbols certainly fill `words` words; 0 if there is none."""
    bits = (PRECISION - np.log2(freqs[::-1].astype(np.float64))).cumsum()
    # A push adds log2(2^24 / f) bits. Each of the few lanes keeps up to a word in its state, and rounding costs at most
    # another word per lane, hence 2 FEW more words.
    enough = int(np.searchsorted(bits, 32.0 * (words + 2 * FEW) * 1.01))
    return max(0, len(freqs) - enough - 1)


def _position(sizes: Sequence[int], segment: int) -> int:
    return sum(sizes[:segment])


def _pieces(sizes: Sequence[int], turn: int) -> list[tuple[int, int, int]]:
    """Return the segments as (index, begin, end); the segment that contains the turn becomes two."""
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
    """Fold all lanes but the first few into these: low words to the stack, high bits onto the few lanes."""
    states = coder.states[few:]
    coder.states = coder.states[:few].copy()
    coder.put(states & _MASK)
    high = states >> WORD
    length = np.frexp(high.astype(np.float64))[1].astype(np.uint64)  # 0 ... 31, exact: high < 2^31
    for at in reversed(range(0, len(states), few)):
        h, n = high[at : at + few], length[at : at + few]
        # One push holds at most 24 bits, so the up to 31 high bits are pushed in two halves. The decoder pops in the
        # opposite order: first their number n, then the upper and the lower half.
        upper, lower = n // np.uint64(2), n - n // np.uint64(2)
        _push_bits(coder, h & ((np.uint64(1) << lower) - np.uint64(1)), lower)
        _push_bits(coder, h >> lower, upper)
        _push_bits(coder, n, np.full_like(n, 5))


def _reopen(coder: _Lanes, count: int) -> None:
    """Restore the lanes that `_close` folded."""
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
