"""The entropy coder, its tables, and events to bytes and back."""

from __future__ import annotations

import contextlib
import copy
import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import logistic

from pushforward.compression import EventCoder, model_hash, one_thread
from pushforward.compression.frequencies import WINDOW, CategoricalTable, LogisticTable, NotCodable, digits
from pushforward.compression.rans import TOTAL, Decoder, encode
from pushforward.core import Chain, Flow, Integers, Real
from pushforward.distributions import AutoregressiveCategorical, DiscretisedLogistic, Normal
from pushforward.errors import FileError, ShapeError, SpecError
from pushforward.networks import MLP, DenseNet
from pushforward.systems import IDF, Discrete
from pushforward.transforms import Affine, Coupling, Elementwise, RoundedShift, Slice, half_mask


def shaken(module, size=0.2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for p in module.parameters():
        p.data.add_(size * torch.randn(p.shape, generator=generator))
    return module


def finder(starts, freqs):
    """Finds what is known, and makes sure that the slot lies in its interval."""
    starts, freqs = starts.astype(np.uint64), freqs.astype(np.uint64)

    def find(first, slots):
        s, f = starts[first : first + len(slots)], freqs[first : first + len(slots)]
        assert ((slots >= s) & (slots < s + f)).all()
        return s, f

    return find


def intervals(rng, n, *, wild=True):
    freqs = np.clip((2.0 ** rng.uniform(0, 24, n)).astype(np.int64), 1, TOTAL)
    if wild and rng.random() < 0.3:
        freqs[:] = [1, TOTAL, TOTAL - 1][rng.integers(3)]
    return (rng.random(n) * (TOTAL - freqs + 1)).astype(np.int64), freqs


# the coder


def test_ten_thousand_messages_come_back():
    rng = np.random.default_rng(0)
    for _ in range(10_000):
        segments = [intervals(rng, int(rng.integers(0, 12))) for _ in range(rng.integers(1, 4))]
        decoder = Decoder(encode(segments))
        for starts, freqs in segments:
            decoder.pop(len(starts), finder(starts, freqs))
        decoder.finish()


@pytest.mark.parametrize("sizes", [(0,), (1,), (511,), (512,), (40_000,), (9_000, 3, 0, 30_000), (100_000, 100_000)])
@pytest.mark.parametrize("freq", [None, 1, TOTAL // 2, TOTAL - 1, TOTAL])
def test_lanes_open_and_close(sizes, freq):
    rng = np.random.default_rng(sum(sizes))
    segments = []
    for n in sizes:
        starts, freqs = intervals(rng, n, wild=False)
        if freq is not None:
            freqs[:] = freq
            starts[:] = rng.integers(0, TOTAL - freq + 1, n)
        segments.append((starts, freqs))
    decoder = Decoder(encode(segments))
    for starts, freqs in segments:
        decoder.pop(len(starts), finder(starts, freqs))
    decoder.finish()


def test_the_rate_is_the_entropy_within_half_a_percent():
    rng = np.random.default_rng(0)
    n = 300_000
    starts, freqs = intervals(rng, n, wild=False)
    freqs = np.maximum(freqs, TOTAL >> 12)
    starts = np.minimum(starts, TOTAL - freqs)
    ideal = float((24 - np.log2(freqs)).sum())
    assert ideal < 8 * len(encode([(starts, freqs)])) < 1.005 * ideal


def test_many_lanes_cost_little_even_in_small_messages():
    rng = np.random.default_rng(0)
    for n, lanes in ((2_000, 3), (40_000, 78)):
        starts, freqs = intervals(rng, n, wild=False)
        over = 8 * len(encode([(starts, freqs)])) - float((24 - np.log2(freqs)).sum())
        assert over < 96 + 2 * 64 + 7 * lanes


def test_what_constriction_needs_is_what_is_needed_here():
    constriction = pytest.importorskip("constriction")
    rng = np.random.default_rng(0)
    n = 100_000
    means, scales = rng.uniform(20, 230, n), rng.uniform(2, 20, n)
    x = np.clip(np.rint(rng.normal(means, scales)), 0, 255).astype(np.int32)
    family = constriction.stream.model.QuantizedGaussian(0, 255)
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(x, family, means, scales)
    from scipy.stats import norm

    below = norm.cdf(np.arange(257)[None] - 0.5, means[:, None], scales[:, None])
    below[:, 0], below[:, -1] = 0, 1
    table = CategoricalTable(np.log(np.diff(below).clip(1e-300)))
    ours = 8 * len(encode([table.intervals(x)]))
    assert abs(ours / coder.num_bits() - 1) < 0.01


def test_damaged_data_end_with_one_error():
    rng = np.random.default_rng(0)
    table = CategoricalTable(np.log(rng.dirichlet(np.ones(20), 3000)))
    labels = rng.integers(0, 20, 3000)
    data = encode([table.intervals(labels)])

    def decode(found):
        values = np.zeros(3000, dtype=np.int64)

        def find(first, slots):
            start, freq, values[first : first + len(slots)] = table.find(first, slots)
            return start.astype(np.uint64), freq.astype(np.uint64)

        decoder = Decoder(found)
        decoder.pop(3000, find)
        decoder.finish()
        return values

    assert np.array_equal(decode(data), labels)
    for length in (*range(0, 120), len(data) - 1):
        with pytest.raises(FileError):
            decode(data[:length])
    for place in range(12, len(data), 97):
        broken = bytearray(data)
        broken[place] ^= 16
        with pytest.raises(FileError):
            decode(bytes(broken))
    with pytest.raises(FileError):
        Decoder(b"\xff" * 200)


# tables


def test_categorical_tables_leave_a_place_for_every_label():
    rng = np.random.default_rng(0)
    logp = np.log(rng.dirichlet(np.full(50, 0.05), 200).clip(1e-320))
    logp[0] = -np.inf
    logp[0, 7] = 0.0
    table = CategoricalTable(logp)
    freqs = np.diff(table.cumulative)
    assert freqs.min() >= 1
    assert (table.cumulative[:, -1] == TOTAL).all()
    p = np.exp(logp)
    loss = (p * (np.where(p > 0, logp, 0) / math.log(2) - np.log2(freqs / TOTAL))).sum(1)
    assert loss.max() < 1e-3
    slots = rng.integers(0, TOTAL, 200).astype(np.uint64)
    start, freq, value = table.find(0, slots)
    assert ((slots >= start) & (slots < start + freq)).all()
    again = table.intervals(value)
    assert np.array_equal(again[0], start)
    assert np.array_equal(again[1], freq)
    with pytest.raises(NotCodable, match="not numbers"):
        CategoricalTable(np.full((2, 3), np.nan))


@pytest.mark.parametrize("components", [1, 5])
@pytest.mark.parametrize("spread", [0.0, 30.0, 1e6])
def test_logistic_tables_find_what_they_tell(components, spread):
    rng = np.random.default_rng(0)
    n = 2000
    weights = np.log(rng.dirichlet(np.ones(components), n))
    means, scales = rng.normal(100, spread, (n, components)), rng.normal(1, 2, (n, components)).clip(-4, 6)
    table = LogisticTable(weights, means, scales)
    slots = np.concatenate([rng.integers(0, TOTAL, n - 2), [0, TOTAL - 1]]).astype(np.uint64)
    start, freq, value = table.find(0, slots)
    assert (freq >= 1).all()
    assert ((slots >= start) & (slots < start + freq)).all()
    inside = ~np.isnan(value)
    again = table.intervals(np.where(inside, value, table.low - 1))
    assert np.array_equal(again[0], start)
    assert np.array_equal(again[1], freq)


def test_logistic_tables_have_the_models_probabilities():
    k = np.arange(-60, 61).astype(float)
    one = np.ones((len(k), 1))
    _, freqs = LogisticTable(0 * one, 0.3 * one, math.log(4.0) * one).intervals(k)
    law = logistic(0.3, 4.0)
    exact = law.cdf(k + 0.5) - law.cdf(k - 0.5)
    assert np.abs(freqs / TOTAL - exact).max() < 2.0 * WINDOW / TOTAL
    assert (exact * np.log2(exact * TOTAL / freqs)).sum() < 1e-3


def test_whole_numbers_outside_the_window_take_the_escape():
    far = np.array([2.0**53 - 1, 1 - 2.0**53, 1e6 + 1, -12345.0, 2.0**52 + 1, 3.0])
    ones = np.ones((6, 1))
    table = LogisticTable(0 * ones, 0 * ones, 0 * ones)
    assert table.outside(far).tolist() == [True] * 5 + [False]
    total = np.zeros(5, dtype=np.int64)
    for start, freq in digits(far[:5]):
        assert (freq == 64).all()
        total = (total << 18) | (start >> 6)
    assert (total - (1 << 53)).tolist() == [int(v) for v in far[:5]]
    with pytest.raises(NotCodable, match=r"not smaller than 2\^53"):
        table.intervals(np.full(6, 2.0**54))
    for bad in (np.nan, np.inf, 1e300):
        with pytest.raises(NotCodable, match=r"not finite|too large"):
            LogisticTable(0 * ones, bad * ones, 0 * ones)


# events


def integer_flow():
    space = Integers((3,))
    net = partial(MLP, hidden=(8,))
    layers = [Coupling(RoundedShift(unit=4.0), space, half_mask(3, flip=f), net) for f in (False, True)]
    return shaken(Flow(Chain(*layers), DiscretisedLogistic((3,), components=2, unit=4.0)))


def conditional_slice():
    space = Integers((4, 2, 2))
    prior = DiscretisedLogistic((2, 2, 2), context=Real((2, 2, 2)), network=partial(DenseNet, hidden=4, depth=1))
    return shaken(Flow(Slice(space, 2, prior), DiscretisedLogistic((2, 2, 2))))


MODELS = {
    "integer flow": integer_flow,
    "slice": conditional_slice,
    "idf": lambda: shaken(IDF(shape=(2, 4, 4), levels=32, scales=2, steps=2, hidden=8, depth=2).build(), 0.1),
    "labels": lambda: shaken(AutoregressiveCategorical((3, 2, 4), hidden=(8,), order=(2, 0, 1))),
    "discrete": lambda: shaken(Discrete(classes=(3, 5, 2), hidden=(8,), scale=True).build(), 0.5),
    "discrete, bipartite": lambda: shaken(
        Discrete(classes=(3, 5), structure="bipartite", base="factorised", hidden=(8,)).build(), 0.5
    ),
    "lstm": lambda: shaken(Discrete(classes=(5,) * 6, network="lstm", hidden=(8,), layers=1).build(), 0.5),
    "table": lambda: shaken(Discrete(classes=(3,) * 4, network="table", layers=1).build(), 0.5),
}


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("n", [1, 37, 64])
def test_events_come_back_at_the_cost_the_model_says(name, n):
    torch.manual_seed(0)
    model = MODELS[name]()
    x = model.sample(n)
    coder = EventCoder(model, rows=64)
    data = coder.encode(x)
    assert data is not None, coder.reason
    assert torch.equal(coder.decode(data, n).to(x.dtype), x)
    exact = -float(model.double().log_prob(x.to(model.space.event_dtype(torch.float64))).detach().sum()) / math.log(2)
    assert math.isclose(coder.bits, exact, rel_tol=1e-9, abs_tol=1e-9)
    assert 8 * len(data) < 1.01 * exact + 300


def test_outliers_escape():
    torch.manual_seed(0)
    model = conditional_slice()
    coder = EventCoder(model, rows=16)
    x = model.sample(10)
    x[3, 0, 0, 0], x[4, 1, 0, 1], x[9, 3, 1, 1] = 1e6 + 1, -(2.0**40), 2.0**24
    data = coder.encode(x)
    assert data is not None, coder.reason
    assert torch.equal(coder.decode(data, 10), x.double())


def test_what_cannot_be_coded_is_said():
    coder = EventCoder(integer_flow(), rows=4)
    assert coder.encode(torch.full((2, 3), 2.0**53).double()) is None
    assert coder.reason
    assert coder.encode(torch.full((2, 3), 0.5)) is None
    assert "outside" in coder.reason
    broken = integer_flow()
    broken.base.free.data.fill_(math.nan)
    coder_of_nothing = EventCoder(broken, rows=4)
    assert coder_of_nothing.encode(torch.zeros(2, 3)) is None
    assert "not finite" in coder_of_nothing.reason
    for x in (torch.zeros(0, 3), torch.zeros(5, 3), torch.zeros(2, 4)):
        with pytest.raises(ShapeError, match="expected 1 to 4 events of shape"):
            coder.encode(x)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (lambda: Flow(Elementwise(Affine(), Real((2,))), Normal(Real((2,)))), "a model of discrete events"),
        (lambda: AutoregressiveCategorical((3, 2), context=2), "without a context"),
        (lambda: IDF(shape=(1, 4, 4), scales=1, classes=3).build(), "without a context"),
    ],
)
def test_models_that_give_no_code_lengths_are_refused(model, sentence):
    with pytest.raises(SpecError, match=sentence):
        EventCoder(model())


def test_a_bound_is_refused():
    from pushforward.systems import Glow

    with pytest.raises(SpecError, match="expected an exact model"):
        EventCoder(Glow(shape=(1, 2, 2), levels=2, scales=1, steps=1, hidden=4).build())


@pytest.mark.parametrize("name", ["idf", "discrete"])
def test_the_number_of_threads_does_not_matter(name):
    torch.manual_seed(0)
    model = MODELS[name]()
    x = model.sample(40)
    coder = EventCoder(model, rows=64)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            data = coder.encode(x)
            found.append((data, coder.fingerprint))
            assert torch.equal(coder.decode(data, 40).to(x.dtype), x)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_events_of_another_model_or_damaged_ones_are_not_taken_for_good():
    torch.manual_seed(0)
    model = MODELS["idf"]()
    x = model.sample(60)
    coder = EventCoder(model, rows=64)
    data = coder.encode(x)
    other = EventCoder(shaken(copy.deepcopy(model), 0.3, seed=5), rows=64)
    with pytest.raises(FileError):
        other.decode(data, 60)
    for place in range(0, len(data), 211):
        broken = bytearray(data)
        broken[place] ^= 1
        with contextlib.suppress(FileError):
            assert not torch.equal(coder.decode(bytes(broken), 60), x.double())
    with pytest.raises(FileError, match="1 to 64 events"):
        coder.decode(data, 65)


def test_hashes_and_fingerprints_tell_models_apart():
    model = integer_flow()
    same, other = copy.deepcopy(model), shaken(copy.deepcopy(model), 1e-3)
    assert model_hash(model) == model_hash(same) != model_hash(other)
    assert model_hash(model, {"a": 1}) != model_hash(model)
    assert EventCoder(model, 8).fingerprint == EventCoder(same, 8).fingerprint != EventCoder(other, 8).fingerprint


def test_one_thread_gives_back_what_it_took():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
