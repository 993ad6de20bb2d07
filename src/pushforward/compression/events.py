"""Coding of events: batches of events of an exact discrete model to bytes, and back.

Decoding builds events from codes, as sampling does, and reads the symbols of every base from the coded data. Encoding takes the
events apart and then repeats the steps of the decoder with known symbols. Both therefore compute the same numbers in the same
order on arrays of the same shapes, and events that the model does not restore exactly are detected before anything is written.
All computations are made as repeatable as possible: in float64, on the CPU, with one thread, on batches of one size (the last
one is padded).
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core import Distribution, Exactness
from ..errors import FileError, ShapeError, SpecError
from ..functional.logistic import discretised_logistic
from ..serialize import tensors_hash
from .frequencies import DIGIT, DIGITS, OFFSET, CategoricalTable, FrequencyTable, LogisticTable, NotCodable, digits
from .rans import TOTAL, Decoder, encode

Array = np.ndarray[Any, np.dtype[Any]]
Segments = list[tuple[Array, Array]]
PROBE_SEED = 20190519
"""Seed of the random bits from which a fingerprint is decoded."""


class EventCoder:
    """Coder of batches of at most `rows` events with a model.

    Args:
        model: Exact discrete model without a context, whose bases can decode events from symbols.
        rows: Number of events in every batch that the networks process.
        dtype: Precision of the networks. With float64, rounding differences between machines matter least.

    Raises:
        SpecError: The model cannot be used; the message has the reason.
    """

    def __init__(self, model: Distribution, rows: int = 256, *, dtype: torch.dtype = torch.float64) -> None:
        if rows < 1:
            raise SpecError(f"expected at least one event in a batch, got rows={rows}")
        if not model.space.discrete:
            raise SpecError(
                f"expected a model of discrete events, got one on {model.space}; densities give no code lengths"
            )
        if model.exactness != Exactness.EXACT:
            raise SpecError(
                "expected an exact model, got one whose log-likelihood is a bound or random; use a discrete or integer flow, "
                "or an autoregressive model of labels"
            )
        if model.context is not None:
            raise SpecError(f"expected a model without a context, got one that needs a context in {model.context}")
        self.model = copy.deepcopy(model).cpu().to(dtype).eval()
        self.rows = rows
        self.reason = ""
        """Reason why the last batch could not be coded; empty if it could."""
        self.bits = 0.0
        """Information content of the last batch in bits, by the model itself."""
        self.fingerprint = self._fingerprint()
        """Hash of the numbers that this machine computes when it decodes a batch from fixed random bits.

        A machine, or version of the numerical libraries, whose results differ in the last digit usually has another
        fingerprint, and may be unable to decode the data that this one encodes.
        """

    @torch.no_grad()
    def encode(self, x: Tensor) -> bytes | None:
        """Return events (n, *event), 1 <= n <= rows, as bytes; None, with an explanation in `reason`, if they cannot be coded.

        Raises:
            ShapeError: There are no events, too many, or they have another shape.
        """
        n = len(x)
        if not 1 <= n <= self.rows or tuple(x.shape[1:]) != self.model.space.shape:
            raise ShapeError(
                f"expected 1 to {self.rows} events of shape {self.model.space.shape}, got an array of shape {tuple(x.shape)}"
            )
        x = x.to(self.model.space.event_dtype(self.model.dtype))
        self.reason, self.bits = "", 0.0
        inside = bool(self.model.space.contains(x).all())
        if not inside:
            self.reason = f"some events are outside {self.model.space}"
            return None
        # All batches have the same shape, because the rounding of matrix products depends on it.
        padded = torch.cat([x, x[-1:].expand(self.rows - n, *x.shape[1:])])
        recorder = _Recorder(n)
        try:
            with one_thread():
                # The codes are listed from the data side. Putting events together starts at the latent side, so it takes
                # the last code first.
                codes = self.model._take_apart(padded, None)

                def known(base: Distribution, context: Tensor | None) -> Tensor:
                    recorder.known = _symbols_of(base, codes.pop())
                    return base._generate(recorder, self.rows, context)

                again = self.model._put_together(known, None)
        except (NotCodable, FloatingPointError) as error:
            self.reason = str(error)
            return None
        self.bits = -recorder.nats / math.log(2)
        if not torch.equal(again[:n], x):
            self.reason = "the model does not restore these events exactly"
            return None
        return encode(recorder.segments)

    @torch.no_grad()
    def decode(self, data: bytes, n: int) -> Tensor:
        """Return the n events that `encode` turned into bytes: (n, *event), integers in float64, or labels in int64.

        Raises:
            FileError: The data are damaged or of another model, or this machine computes other numbers than the encoder's.
        """
        if not 1 <= n <= self.rows:
            raise FileError(f"expected 1 to {self.rows} events in a block, got {n}")
        decoder = Decoder(data)
        try:
            x = self._made(_Archived(decoder, n))[:n]
        except FileError:
            raise
        except (
            NotCodable,
            RuntimeError,
            ArithmeticError,
            LookupError,
            ValueError,
        ) as error:  # from damaged or malicious data
            raise FileError(f"the coded data are damaged, or of another model ({error})") from None
        decoder.finish()
        return x

    @torch.no_grad()
    def _fingerprint(self) -> str:
        probe = _Probe(self.rows)
        try:
            probe.total.update(self._made(probe).double().numpy().tobytes())
        except NotCodable as error:
            # Some models overflow on random symbols; then the hash is of the results before that.
            probe.total.update(str(error).encode())
        return probe.total.hexdigest()[:16]

    def _made(self, symbols: _Symbols) -> Tensor:
        with one_thread():
            return self.model._put_together(lambda base, context: base._generate(symbols, self.rows, context), None)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread inside a `with` block; the split of sums among threads changes their last digits."""
    before = torch.get_num_threads()
    if before != 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if before != 1:
            torch.set_num_threads(before)


def model_hash(model: Distribution, spec: Mapping[str, Any] | None = None) -> str:
    """Return half of the SHA-256 of a model: of its description, and of the name, dtype, shape and values of every tensor.

    Args:
        model: Model, in the precision in which it was saved.
        spec: Description of the model, as from `Spec.to_dict`.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    text = json.dumps([spec, tensors_hash(tensors)], sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class _Symbols:
    """Base class of sources of symbols: tables for the first n rows, and a fixed choice for rows that pad the batch.

    Args:
        n: Number of rows that are not padding.
    """

    def __init__(self, n: int) -> None:
        self.n = n

    def labels(self, logits: Tensor, at: int | None = None) -> Tensor:
        """Return labels, see `core.Symbols`."""
        logp = logits.log_softmax(-1)
        mine = logp[: self.n]
        found = self._take(CategoricalTable(mine.reshape(-1, logp.shape[-1]).double().numpy()), at).astype(np.int64)
        # The padding needs some label too. It is computed from the model's output, so that encoder and decoder have the
        # same.
        return torch.cat([torch.from_numpy(found).reshape(mine.shape[:-1]), logp[self.n :].argmax(-1)])

    def integers(self, log_weights: Tensor, means: Tensor, log_scales: Tensor, at: int | None = None) -> Tensor:
        """Return whole numbers, see `core.Symbols`."""
        mine = means[: self.n]
        parts = (t[: self.n].reshape(-1, means.shape[-1]).double().numpy() for t in (log_weights, means, log_scales))
        found = torch.from_numpy(self._take(LogisticTable(*parts), at)).reshape(mine.shape[:-1]).to(means.dtype)
        heaviest = log_weights[self.n :].argmax(-1, keepdim=True)
        rest = means[self.n :].gather(-1, heaviest).squeeze(-1).round().nan_to_num().clamp(-OFFSET, OFFSET)
        return torch.cat([found, rest])

    def _take(self, table: FrequencyTable, at: int | None) -> Array:
        """Return the values of the symbols of a table."""
        raise NotImplementedError


class _Recorder(_Symbols):
    """Source of known symbols; it records the intervals that code them, and their log-probability by the model itself."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.segments: Segments = []
        self.known = torch.empty(0)
        self.nats = 0.0

    def _part(self, at: int | None) -> Tensor:
        return self.known[: self.n] if at is None else self.known[: self.n].flatten(1)[:, at]

    def labels(self, logits: Tensor, at: int | None = None) -> Tensor:
        """Return the known labels, and record their intervals."""
        found = super().labels(logits, at)
        logp = logits[: self.n].log_softmax(-1).gather(-1, self._part(at).long().unsqueeze(-1))
        self.nats += float(logp.sum())
        return found

    def integers(self, log_weights: Tensor, means: Tensor, log_scales: Tensor, at: int | None = None) -> Tensor:
        """Return the known whole numbers, and record their intervals."""
        found = super().integers(log_weights, means, log_scales, at)
        parts = (t[: self.n] for t in (log_weights, means, log_scales))
        self.nats += float(discretised_logistic(self._part(at), *parts).sum())
        return found

    def _take(self, table: FrequencyTable, at: int | None) -> Array:
        values = self._part(at)
        flat = values.reshape(-1).numpy().astype(np.int64 if isinstance(table, CategoricalTable) else np.float64)
        self.segments.append(table.intervals(flat))
        escaped = flat[table.outside(flat)]
        if len(escaped):
            self.segments += digits(escaped)
        return flat


class _Found(_Symbols):
    """Source of symbols that are looked up in their tables from slots."""

    def _pop(self, count: int, find: Callable[[int, Array], tuple[Array, Array]]) -> None:
        raise NotImplementedError

    def _take(self, table: FrequencyTable, at: int | None) -> Array:
        count = len(table)
        values = np.empty(count)

        def find(first: int, slots: Array) -> tuple[Array, Array]:
            start, freq, value = table.find(first, slots)
            values[first : first + len(slots)] = value
            return start.astype(np.uint64), freq.astype(np.uint64)

        self._pop(count, find)
        # NaN marks escaped values: their digits follow, in the same order.
        escaped = np.isnan(values) if table.escape else np.zeros(count, dtype=bool)
        if escaped.any():
            values[escaped] = self._digits(int(escaped.sum()))
        return values

    def _digits(self, count: int) -> Array:
        total = np.zeros(count, dtype=np.int64)
        shift = 24 - DIGIT
        for _ in range(DIGITS):
            part = np.empty(count, dtype=np.int64)

            def find(first: int, slots: Array, part: Array = part) -> tuple[Array, Array]:
                # A digit is uniform over its 2^DIGIT values. So among 2^24 slots its value is the upper DIGIT bits, and
                # its interval has 2^(24 - DIGIT) slots.
                digit = slots >> np.uint64(shift)
                part[first : first + len(slots)] = digit
                return digit << np.uint64(shift), np.full(len(slots), 1 << shift, dtype=np.uint64)

            self._pop(count, find)
            total = (total << DIGIT) | part
        return (total - OFFSET).astype(np.float64)


class _Archived(_Found):
    """Source of symbols from coded data."""

    def __init__(self, decoder: Decoder, n: int) -> None:
        super().__init__(n)
        self._pop = decoder.pop  # type: ignore[method-assign]


class _Probe(_Found):
    """Source of symbols from fixed random slots, with a hash of all results."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self._random = np.random.RandomState(PROBE_SEED)
        self.total = hashlib.sha256()

    def _pop(self, count: int, find: Callable[[int, Array], tuple[Array, Array]]) -> None:
        # Not from the ends of the distributions: far values would show overflows instead of the machine's rounding.
        slots = self._random.randint(TOTAL // 16, TOTAL - TOTAL // 16, count).astype(np.uint64)
        for found in find(0, slots):
            self.total.update(found.tobytes())


def _symbols_of(base: Distribution, code: Tensor) -> Tensor:
    """Return the labels or whole numbers of a base's events."""
    return code.argmax(-1) if base.space.one_hot else code
