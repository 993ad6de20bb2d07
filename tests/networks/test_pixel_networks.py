"""Networks of pixels: what depends on what, drawing with kept features against one pass, starts, skewed maps."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pushforward.errors import ShapeError, SpecError
from pushforward.functional.skewing import skew, unskew
from pushforward.networks import CausalTransformer, PixelConvNet, PixelGatedNet, PixelLSTMNet
from pushforward.networks.pixel_lstm import cell
from pushforward.networks.pixel_masks import MaskedConv2d, gate, group_slice, groups_of

DOUBLE = torch.float64
NETS = {
    "plain": partial(PixelConvNet, blocks=2, first_kernel=5),
    "gated": partial(PixelGatedNet, blocks=2, first_kernel=3),
    "row": partial(PixelLSTMNet, diagonal=False, layers=2, first_kernel=5),
    "diagonal": partial(PixelLSTMNet, diagonal=True, layers=1, first_kernel=3),
}
SEEING = ["gated", "row", "diagonal"]
"""Networks without a blind spot; that of the Row LSTM is outside of the small pictures here."""


def built(name, *, channels=1, height=3, width=4, context=0, hidden=6, zero=False, inputs=2, **fields):
    torch.manual_seed(0)
    net = NETS[name](inputs, 3, size=(channels, height, width), hidden=hidden, context=context, zero=zero, **fields).to(
        DOUBLE
    )
    for p in net.parameters():
        p.data += 0.3 * torch.randn_like(p)
    return net.eval()


def tokens(net, rows=2):
    channels, height, width = net.size
    generator = torch.Generator().manual_seed(1)
    return torch.randn(rows, channels * height * width, net.inputs, dtype=DOUBLE, generator=generator)


def condition(kind, rows=2):
    shapes = {"none": None, "vector": (rows, 2), "picture": (rows, 2, 3, 4), "coarse": (rows, 2, 1, 2)}
    return None if shapes[kind] is None else torch.randn(shapes[kind], dtype=DOUBLE)


def felt(net, rows=8):
    """Sum over some inputs of |d output i / d token j|, (T, T)."""
    total = 0
    for x in tokens(net, rows):
        jacobian = torch.autograd.functional.jacobian(lambda v: net(v[None])[0], x)
        total = total + jacobian.abs().sum((1, 3))
    return total


def unrolled(net, x, context):
    outputs = []

    def step(i, p):
        outputs.append(p)
        return x[:, i]

    net.unroll(step, x[:, 0], x.shape[1], context)
    return torch.stack(outputs, 1)


# Dependence


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NETS)
def test_no_output_depends_on_its_own_token_or_a_later_one(name, channels):
    assert torch.triu(felt(built(name, channels=channels), rows=3)).abs().max() == 0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", SEEING)
def test_every_earlier_token_is_felt(name, channels):
    found = felt(built(name, channels=channels, height=3, width=3, hidden=12))
    earlier = torch.ones_like(found).tril(-1).bool()
    assert bool((found[earlier] > 0).all())


def test_masked_convolutions_have_a_blind_spot_and_gated_ones_have_none():
    # With kernels of 3 x 3, a stack sees at most one column to the right for each row that it goes up.
    spot, at = 1 * 7 + 6, 3 * 7 + 3
    for name, seen in {"plain": False, "gated": True}.items():
        net = built(name, height=4, width=7, inputs=1, blocks=4, first_kernel=3)
        found = felt(net, rows=2)
        assert bool(found[at, spot] > 0) == seen
        assert bool(found[at, 2 * 7 + 4] > 0)


def test_row_lstms_see_a_triangle():
    net = built("row", height=4, width=9, inputs=1, layers=1, first_kernel=3)
    found = felt(net, rows=2)[3 * 9 + 4].unflatten(0, (4, 9)) > 0
    # Each row further up widens the context by one column on the right, and by one on the left as far as the picture goes.
    assert [row.nonzero().flatten().tolist() for row in found] == [
        [0, 1, 2, 3, 4, 5, 6, 7],
        [0, 1, 2, 3, 4, 5, 6],
        [1, 2, 3, 4, 5],
        [2, 3],
    ]


def test_diagonal_lstms_see_the_end_of_the_row_above():
    net = built("diagonal", height=2, width=9, inputs=1)
    assert bool((felt(net, rows=2)[9, :9] > 0).all())


# Walks


@pytest.mark.parametrize("kind", ["none", "vector", "picture", "coarse"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NETS)
def test_drawing_with_kept_features_equals_one_pass(name, channels, kind):
    net = built(name, channels=channels, context=0 if kind == "none" else 2)
    x, context = tokens(net), condition(kind)
    with torch.no_grad():
        torch.testing.assert_close(unrolled(net, x, context), net(x, context), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", NETS)
def test_a_walk_can_be_continued_twice(name):
    net = built(name, channels=2)
    x = tokens(net)
    with torch.no_grad():
        whole = net(x)
        first, walk = net.extend(x[:, :4], 0, net.begin(x))
        again = [net.extend(x[:, 4:12], 5, walk)[0] for _ in range(2)]
    torch.testing.assert_close(torch.cat([first, again[0]], 1), whole[:, :13], atol=1e-12, rtol=0)
    assert torch.equal(*again)


@pytest.mark.parametrize("name", NETS)
def test_gradients_through_a_walk_are_those_of_a_pass(name):
    net = built(name, context=2)
    x, context = tokens(net).requires_grad_(), condition("picture")
    weight = torch.randn(2, 12, 3, dtype=DOUBLE)
    given = [x, *net.parameters()]
    a, b = (torch.autograd.grad((made * weight).sum(), given) for made in (net(x, context), unrolled(net, x, context)))
    for one, other in zip(a, b, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NETS)
def test_a_walk_takes_the_operations_of_one_pass(name, channels):
    net = built(name, channels=channels, height=6, width=6)
    x = tokens(net)
    with torch.no_grad(), FlopCounterMode(display=False) as whole:
        net(x)
    with torch.no_grad(), FlopCounterMode(display=False) as walk:
        unrolled(net, x, None)
    assert walk.get_total_flops() <= 1.1 * whole.get_total_flops()


def test_walks_refuse_other_positions():
    net = built("plain")
    x = tokens(net)
    walk = net.begin(x)
    with pytest.raises(ShapeError, match="expected first=0"):
        net.extend(x[:, :1], 1, walk)
    with pytest.raises(ShapeError, match="at most 12 positions"):
        net.extend(x, 0, walk)
    with pytest.raises(ShapeError, match="12 tokens"):
        net(x[:, :3])


# Starts and parts


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NETS)
def test_a_fresh_network_starts_at_the_mean_over_the_pixels(name, channels):
    net = NETS[name](2, 3, size=(channels, 2, 2), hidden=6).to(DOUBLE)
    values = torch.randn(channels * 4, 3, dtype=DOUBLE)
    net.start_at(values)
    mean = values.unflatten(0, (4, channels)).mean(0)
    torch.testing.assert_close(net(tokens(net)), mean.repeat(4, 1).expand(2, -1, -1))


@pytest.mark.parametrize("name", NETS)
def test_counts_are_checked(name):
    for fields in ({"hidden": 2}, {"first_kernel": 0}, {"dropout": 1.0}, {"context": -1}):
        with pytest.raises(SpecError):
            NETS[name](1, 1, **{"size": (3, 2, 2), **fields})


def test_groups_are_blocks_of_neighbours():
    for channels, count in ((6, 3), (7, 3), (8, 3), (5, 1)):
        groups = groups_of(channels, count)
        for g in range(count):
            assert (groups == g).nonzero().flatten().tolist() == list(range(channels))[group_slice(channels, count, g)]


def test_masks_are_those_of_the_paper():
    mask = MaskedConv2d(3, 3, (1, 1), sees="before", tokens=3).mask
    assert mask[:, :, 0].all()
    assert mask[:, :, 1, 0].all()
    assert not mask[:, :, 1, 2].any()
    assert mask[:, :, 1, 1].tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
    assert MaskedConv2d(3, 3, (0, 0), sees="here", tokens=3).mask[..., 0, 0].tolist() == [
        [1, 0, 0],
        [1, 1, 0],
        [1, 1, 1],
    ]


def test_gates_are_those_of_the_papers():
    torch.manual_seed(0)
    a, b = torch.randn(2, 3, 4, 2, 2)
    for made in (gate(torch.cat([a, b], 1)), gate(torch.cat([a, b], 1)[0, :, 0]).unsqueeze(0)):
        expected = torch.tanh(a) * torch.sigmoid(b)
        torch.testing.assert_close(made, expected if made.dim() == 4 else expected[:1, :, 0])
    # torch has the order i, f, g, o of the gates.
    known = nn.LSTMCell(3, 4)
    x, h, c = torch.randn(5, 3), torch.randn(5, 4), torch.randn(5, 4)
    i, f, g, o = (x @ known.weight_ih.mT + h @ known.weight_hh.mT + known.bias_ih + known.bias_hh).chunk(4, 1)
    for made, expected in zip(cell(torch.cat([o, f, i, g], 1), c, 1), known(x, (h, c)), strict=True):
        torch.testing.assert_close(made, expected)


def test_skewed_maps():
    x = torch.arange(1.0, 7.0).reshape(1, 2, 3)
    assert skew(x).tolist() == [[[1, 2, 3, 0], [0, 4, 5, 6]]]
    for shape in ((2, 3, 4), (1, 4, 1), (3, 1, 5)):
        y = torch.randn(shape)
        assert torch.equal(unskew(skew(y)), y)


def test_transformers_of_pixels_see_all_earlier_tokens():
    torch.manual_seed(0)
    net = CausalTransformer(1, 3, length=9, hidden=8, blocks=1, heads=2, zero=False).to(DOUBLE)
    net.size = (1, 3, 3)
    found = felt(net, rows=1)
    assert found.triu().max() == 0
    assert bool((found[torch.ones_like(found).tril(-1).bool()] > 0).all())
