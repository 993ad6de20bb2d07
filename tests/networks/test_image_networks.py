"""Networks of images: shapes, conditions, starts, what depends on what, and the transformer's cache against one pass."""

import copy
import pickle
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pushforward.errors import ContextError, ShapeError, SpecError
from pushforward.networks import CausalTransformer, Condition, ConvNet, GatedAttention, ResNet, ViT, lower_precision
from pushforward.networks.attention import attend, concat_elu
from pushforward.networks.conv import WeightNormConv2d

DOUBLE = torch.float64
H, W = 4, 6

NETS = {
    "conv": partial(ConvNet, hidden=8),
    "resnet": partial(ResNet, hidden=8, blocks=2),
    "resnet-plain": partial(ResNet, hidden=8, blocks=1, weight_norm=False, dropout=0.3),
    "resnet-batch-norm": partial(ResNet, hidden=8, blocks=2, batch_norm=True),
    "gated": partial(GatedAttention, size=(H, W), hidden=8, blocks=2, heads=2, dropout=0.3),
    "gated-only": partial(GatedAttention, size=(H, W), hidden=8, blocks=2, heads=2, attention=False),
    "vit": partial(ViT, size=(H, W), hidden=8, blocks=2, heads=2, dropout=0.3),
}
ATTENTIVE = ["gated", "vit"]


def built(name, context=0, *, zero=False, dtype=DOUBLE):
    torch.manual_seed(0)
    net = NETS[name](3, 5, context=context, zero=zero)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
    return net.to(dtype).eval()


def tokens(context=0, *, length=5, zero=False, dtype=DOUBLE, dropout=0.0):
    torch.manual_seed(0)
    net = CausalTransformer(
        2, 3, length=length, hidden=8, blocks=2, heads=2, context=context, zero=zero, dropout=dropout
    )
    return net.to(dtype).eval()


def pictures(rows=3, dtype=DOUBLE, seed=1):
    return torch.randn(rows, 3, H, W, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def sequences(rows=3, length=5, seed=1):
    return torch.randn(rows, length, 2, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def conditions(rows=3, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return {
        "none": None,
        "vector": torch.randn(rows, 2, dtype=DOUBLE, generator=generator),
        "coarse": torch.randn(rows, 2, 2, 3, dtype=DOUBLE, generator=generator),
        "fine": torch.randn(rows, 2, 8, 12, dtype=DOUBLE, generator=generator),
    }


CONDITIONS = list(conditions())


def case(name, kind):
    """A network, an x and a condition of some kind; "tokens" is the causal transformer."""
    c = conditions()[kind]
    context = 0 if c is None else 2
    return (tokens(context), sequences(), c) if name == "tokens" else (built(name, context), pictures(), c)


EVERY = [(name, kind) for name in NETS for kind in CONDITIONS] + [("tokens", "none"), ("tokens", "vector")]
every_case = pytest.mark.parametrize(("name", "kind"), EVERY)
some_cases = pytest.mark.parametrize(
    ("name", "kind"), [(name, "coarse") for name in NETS] + [("conv", "none"), ("vit", "vector"), ("tokens", "vector")]
)
every_net = pytest.mark.parametrize("name", NETS)


# What they promise alike


@every_case
def test_shape_and_type_also_of_no_rows(name, kind):
    net, x, c = case(name, kind)
    shape = (5, 3) if name == "tokens" else (5, H, W)
    for dtype in (torch.float64, torch.float32):
        net.to(dtype)
        for rows in (3, 0):
            given = x[:rows].to(dtype).requires_grad_()
            result = net(given, None if c is None else c[:rows].to(dtype))
            assert result.shape == (rows, *shape)
            assert result.dtype == dtype
            assert bool(result.isfinite().all())
            result.sum().backward()
            assert given.grad.shape == given.shape


@every_case
def test_rows_are_independent_in_evaluation_mode(name, kind):
    net, x, c = case(name, kind)
    alone = torch.cat([net(x[i : i + 1], None if c is None else c[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(net(x, c), alone, rtol=1e-12, atol=1e-12)


@every_case
def test_the_last_layer_starts_at_zero_if_asked(name, kind):
    c = conditions()[kind]
    context = 0 if c is None else 2
    for zero in (True, False):
        net = tokens(context, zero=zero) if name == "tokens" else built(name, context, zero=zero)
        result = net(sequences() if name == "tokens" else pictures(), c)
        assert bool((result == 0).all()) == zero
    assert float(result.detach().std()) > 0.01


@every_case
def test_every_parameter_gets_a_gradient(name, kind):
    net, x, c = case(name, kind)
    (net(x, c) * torch.arange(1.0, 6.0, dtype=DOUBLE)[:, None, *([None] * (x.dim() - 3))]).square().sum().backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert float(parameter.grad.abs().max()) > 0, key
    assert bool(torch.stack([p.grad.isfinite().all() for p in net.parameters()]).all())


@some_cases
def test_compiled_whole(name, kind):
    net, x, c = case(name, kind)
    torch._dynamo.reset()
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, c), net(x, c), rtol=1e-10, atol=1e-10)


@some_cases
def test_exported_with_any_number_of_rows(name, kind):
    net, x, c = case(name, kind)
    batch = torch.export.Dim("batch", min=2, max=4096)
    given = (x,) if c is None else (x, c)
    with torch.no_grad():
        program = torch.export.export(net, given, dynamic_shapes=({0: batch},) * len(given)).module()
        more = [torch.cat([v, v[:2]]) for v in given]
        torch.testing.assert_close(program(*more), net(*more), rtol=1e-10, atol=1e-10)


@every_case
def test_gradients_of_rows_by_functional_transforms(name, kind):
    net, x, c = case(name, kind)
    given = (x,) if c is None else (x, c)
    leaves = tuple(v.clone().requires_grad_() for v in given)
    whole = torch.autograd.grad(net(*leaves).sin().sum(), leaves)
    which = tuple(range(len(given)))
    one = torch.func.grad(lambda *row: net(*(v[None] for v in row)).sin().sum(), which)
    for got, expected in zip(torch.func.vmap(one)(*given), whole, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


@every_case
def test_copies_and_pickles_give_the_same_numbers_and_nothing_is_changed(name, kind):
    net, x, c = case(name, kind)
    before = (x.clone(), None if c is None else c.clone(), copy.deepcopy(net.state_dict()))
    expected = net(x, c)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(other(x, c), expected)
    assert torch.equal(x, before[0])
    assert c is None or torch.equal(c, before[1])
    assert all(torch.equal(value, before[2][key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("name", [*NETS, "tokens"])
def test_a_lower_precision_answers_in_its_own(name):
    net, x, c = case(name, "vector")
    net, x, c = net.float(), x.float(), c.float()
    exact = net(x, c)
    with lower_precision(net, torch.bfloat16):
        low = net(x, c)
    assert low.dtype == torch.float32
    assert not torch.equal(low, exact)
    torch.testing.assert_close(low, exact, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("name", ["resnet-plain", "gated", "vit", "tokens"])
def test_dropout_in_training_only(name):
    net = tokens(dropout=0.3) if name == "tokens" else built(name)
    x = sequences() if name == "tokens" else pictures()
    assert torch.equal(net(x), net(x))
    net.train()
    assert not torch.equal(net(x), net(x))


# The condition


@every_net
def test_a_vector_is_a_constant_picture(name):
    net, x = built(name, 2), pictures()
    vector = conditions()["vector"]
    for size in ((1, 1), (2, 3), (H, W), (8, 12)):
        picture = vector[:, :, None, None].expand(-1, -1, *size)
        torch.testing.assert_close(net(x, picture), net(x, vector), rtol=1e-12, atol=1e-12)


@every_net
def test_a_picture_is_brought_to_the_size_by_averages_and_repeats(name):
    net, x = built(name, 2), pictures()
    fine, coarse = conditions()["fine"], conditions()["coarse"]
    averaged = fine.unflatten(3, (W, 2)).unflatten(2, (H, 2)).mean((3, 5))
    repeated = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(net(x, fine), net(x, averaged), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(net(x, coarse), net(x, repeated), rtol=1e-12, atol=1e-12)


@every_net
def test_a_picture_acts_where_it_is(name):
    # A change in a corner of the condition reaches that corner of a net without attention, and no position far from it.
    net, x = built(name, 2), pictures(1)
    c = torch.zeros(1, 2, H, W, dtype=DOUBLE)
    changed = c.clone()
    changed[..., 0, 0] = 1.0
    moved = (net(x, changed) - net(x, c)).abs().amax((0, 1))
    assert moved[0, 0] > 1e-6
    assert (moved[-1, -1] > 1e-9) == (name in ATTENTIVE)


@every_net
def test_what_a_condition_adds_joins_the_first_hidden_layer(name):
    # A shift of the first layer's bias does the same.
    net, x = built(name, 2), pictures(1)
    vector = conditions(1)["vector"]
    expected = net(x, vector)
    with torch.no_grad():
        first = net.embed if name == "vit" else net.first
        first.bias.add_(net.condition.project.weight[:8, :, 0, 0] @ vector[0])
        net.condition.project.weight[:8] = 0.0
    torch.testing.assert_close(net(x, vector), expected)


@pytest.mark.parametrize("name", ["resnet", "gated"])
def test_every_block_has_a_projection_of_its_own(name):
    net, x, c = built(name, 2), pictures(), conditions()["vector"]
    expected = net(x, c)
    for place in range(3):
        other = copy.deepcopy(net)
        with torch.no_grad():
            other.condition.project.weight[8 * place : 8 * place + 8].zero_()
        assert float((other(x, c) - expected).abs().max().detach()) > 1e-6


@every_net
def test_a_net_without_a_condition_ignores_one(name):
    net = built(name)
    assert torch.equal(net(pictures(), conditions()["vector"]), net(pictures()))


@pytest.mark.parametrize("name", [*NETS, "tokens"])
@pytest.mark.parametrize(
    ("bad", "got"), [(None, "got none"), ((3, 1), r"\(3, 1\)"), ((3, 2, 4), r"\(3, 2, 4\)"), ((3, 3, H, W), r"\(3, 3")]
)
def test_a_condition_that_does_not_fit(name, bad, got):
    net, x, _ = case(name, "vector")
    with pytest.raises(ContextError, match=got):
        net(x, None if bad is None else torch.zeros(bad, dtype=DOUBLE))


def test_a_sequence_takes_no_picture():
    with pytest.raises(ContextError, match=r"expected a condition of shape \(B, context\)"):
        tokens(2)(sequences(), conditions()["coarse"])


# What the parts compute


def test_the_condition_alone():
    torch.manual_seed(0)
    condition = Condition(2, 3, 4).double()
    vector, coarse = conditions()["vector"], conditions()["coarse"]
    found = condition(vector, (H, W))
    assert [part.shape for part in found] == [(3, 3, 1, 1)] * 4
    assert [part.shape for part in condition(coarse, (H, W))] == [(3, 3, H, W)] * 4
    torch.testing.assert_close(torch.cat(found, 1)[:, :, 0, 0], F.linear(vector, condition.project.weight[:, :, 0, 0]))


def test_weight_normalisation():
    torch.manual_seed(0)
    conv = WeightNormConv2d(3, 4, 3, padding=1).double()
    x = pictures()
    torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight, conv.bias, padding=1))
    with torch.no_grad():
        conv.gain.copy_(torch.arange(1.0, 5.0)[:, None, None, None])
        conv.weight.mul_(7.0)
    effective = conv(x) - conv.bias[:, None, None]
    norms = conv.weight.flatten(1).norm(dim=1)
    expected = F.conv2d(x, conv.weight, padding=1) * (torch.arange(1.0, 5.0) / norms)[:, None, None]
    torch.testing.assert_close(effective, expected)


def test_batch_norm_learns_running_averages_in_training_only():
    net = built("resnet-batch-norm")
    before = copy.deepcopy(net.state_dict())
    net(pictures())
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    net.train()(pictures())
    assert not torch.equal(net.norm.running_mean, before["norm.running_mean"])
    assert net(pictures(0)).shape == (0, 5, H, W)
    assert all(bool(v.isfinite().all()) for v in net.state_dict().values())


def test_the_residual_network_sums_the_outputs_of_its_blocks():
    net, x = built("resnet"), pictures()
    h = net.first(x)
    total = net.skips[0](h)
    for block, skip in zip(net.blocks, list(net.skips)[1:], strict=True):
        h = h + block.second(F.relu(block.first(F.relu(h))))
        total = total + skip(h)
    torch.testing.assert_close(net(x), net.out(F.relu(total)))


def test_concat_elu():
    x = pictures()
    got = concat_elu(x)
    torch.testing.assert_close(got[:, :3], torch.where(x > 0, x, x.expm1()))
    torch.testing.assert_close(got[:, 3:], torch.where(x < 0, -x, (-x).expm1()))


def test_a_gated_block_by_hand():
    net, x, c = built("gated", 2), pictures(), conditions()["vector"]
    start, *added = net.condition(c, (H, W))
    h = net.first(x) + start
    for block, a in zip(net.blocks, added, strict=True):
        first, gate = block.conv.second(concat_elu(block.conv.first(concat_elu(h)) + a)).chunk(2, 1)
        h = block.first_norm((h + first * gate.sigmoid()).permute(0, 2, 3, 1).reshape(3, H * W, 8))
        heads, qkv = [], block.attention.qkv(h + net.positions)
        for i in range(2):
            q, k, v = (part[..., 4 * i : 4 * i + 4] for part in qkv.chunk(3, -1))
            heads.append((q @ k.mT / 2).softmax(-1) @ v)
        first, gate = block.attention.out(torch.cat(heads, -1)).chunk(2, -1)
        h = block.second_norm(h + first * gate.sigmoid()).reshape(3, H, W, 8).permute(0, 3, 1, 2)
    torch.testing.assert_close(net(x, c), net.out(h))


@pytest.mark.parametrize("causal", [False, True])
def test_a_transformer_block_is_torchs_own(causal):
    block = (tokens() if causal else built("vit")).blocks[0]
    other = nn.TransformerEncoderLayer(8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True).double()
    other.self_attn.in_proj_weight, other.self_attn.in_proj_bias = block.qkv.weight, block.qkv.bias
    other.self_attn.out_proj, other.linear1, other.linear2 = block.attended, block.up, block.down
    other.norm1, other.norm2 = block.first_norm, block.second_norm
    h = torch.randn(3, 7, 8, dtype=DOUBLE)
    mask = nn.Transformer.generate_square_subsequent_mask(7, dtype=DOUBLE) if causal else None
    torch.testing.assert_close(block(h)[0], other(h, mask))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("past", [None, 3])
def test_attention_under_functional_transforms_is_the_fused_one(causal, past):
    torch.manual_seed(0)
    qkv = torch.randn(2, 4, 12, dtype=DOUBLE)
    before = (
        None if past is None else (torch.randn(2, 2, past, 2, dtype=DOUBLE), torch.randn(2, 2, past, 2, dtype=DOUBLE))
    )
    fused = attend(qkv, 2, causal=causal, past=before)[0]
    plain, _ = torch.func.jvp(lambda v: attend(v, 2, causal=causal, past=before)[0], (qkv,), (qkv,))
    torch.testing.assert_close(plain, fused, rtol=1e-12, atol=1e-12)


# What depends on what


@pytest.mark.parametrize(
    ("name", "radius"), [("conv", 2), ("resnet-plain", 3), ("gated-only", 4), ("gated", W), ("vit", W)]
)
def test_attention_is_global_and_convolutions_are_not(name, radius):
    """Which positions the outputs at the first position depend on."""
    jacobian = torch.autograd.functional.jacobian(built(name), pictures(1))[0, :, 0, 0, 0]
    seen = jacobian.abs().amax((0, 1)) > 0
    expected = torch.zeros(H, W, dtype=torch.bool)
    expected[: radius + 1, : radius + 1] = True
    assert torch.equal(seen, expected)


@pytest.mark.parametrize("name", ATTENTIVE)
def test_positions_are_told_apart(name):
    net, x = built(name), torch.ones(1, 3, H, W, dtype=DOUBLE)
    nn.init.normal_(net.positions)
    expected = net(x).detach()
    with torch.no_grad():
        net.positions.copy_(net.positions.flip(0))
    assert float((net(x).detach() - expected).abs().max()) > 1e-3


def test_a_vit_without_positions_commutes_with_their_permutation():
    net, x = built("vit"), pictures()
    nn.init.zeros_(net.positions)
    order = torch.randperm(H * W)
    shuffled = x.flatten(2)[:, :, order].unflatten(2, (H, W))
    torch.testing.assert_close(net(shuffled).flatten(2), net(x).flatten(2)[:, :, order])


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("context", [0, 2])
def test_a_token_sees_all_tokens_before_it_and_no_other(length, context):
    net, c = tokens(context, length=length), conditions(1)["vector"]
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x, c), sequences(1, length))[0, :, :, 0]
    seen = jacobian.abs().amax((1, 3))
    assert torch.equal(seen > 0, torch.ones(length, length).tril(-1) > 0)
    if context:
        jacobian = torch.autograd.functional.jacobian(lambda c: net(sequences(1, length), c), c)[0, :, :, 0]
        assert bool((jacobian.abs().amax((1, 2)) > 0).all())


def test_the_first_output_comes_from_the_start():
    net = tokens()
    first = net(sequences())[:, 0]
    assert torch.equal(first[0], first[1])
    with torch.no_grad():
        net.start.add_(torch.randn(1, 8))
    assert not torch.allclose(net(sequences())[:, 0], first)


# The cache


def extended(net, x, c, lengths):
    """All outputs, a block of positions after the other."""
    outputs, cache, first = [], net.begin(x, c), 0
    for k in lengths:
        output, cache = net.extend(x[:, max(first - 1, 0) : first + k - 1], first, cache)
        assert output.shape[1] == k
        first += k
        assert cache.length == first
        outputs.append(output)
    return torch.cat(outputs, 1)


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("lengths", [(1, 1, 1, 1, 1), (5,), (2, 3), (3, 1, 1), (1, 3, 1), (4, 1)], ids=str)
def test_block_by_block_is_one_pass_with_its_gradients(context, lengths):
    net, c = tokens(context), conditions()["vector"] if context else None
    results = []
    for run in (lambda x: net(x, c), lambda x: extended(net, x, c, lengths)):
        x = sequences().requires_grad_()
        net.zero_grad()
        y = run(x)
        y.sin().sum().backward()
        results.append([y.detach(), x.grad, *(p.grad.clone() for p in net.parameters())])
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rows", [0, 1])
def test_a_cache_of_few_rows(rows):
    net = tokens(2)
    x, c = sequences()[:rows], conditions()["vector"][:rows]
    torch.testing.assert_close(extended(net, x, c, (2, 3)), net(x, c), rtol=1e-12, atol=1e-12)


def test_an_old_cache_stays_usable():
    net, x = tokens().requires_grad_(requires_grad=False), sequences()
    _, cache = net.extend(x[:, :1], 0, net.begin(x))
    before = copy.deepcopy(cache)
    expected, longer = net.extend(x[:, 1:4], 2, cache)
    other, _ = net.extend(-x[:, 1:4], 2, cache)
    assert not torch.allclose(other[:, 1:], expected[:, 1:])
    again, _ = net.extend(x[:, 1:4], 2, cache)
    assert torch.equal(again, expected)
    assert (cache.length, longer.length) == (2, 5)
    for kept, then in zip(cache.known, before.known, strict=True):
        assert torch.equal(kept[0], then[0])
        assert torch.equal(kept[1], then[1])


def test_jacobi_sweeps_on_a_block_find_what_single_steps_find():
    # tokens made from the outputs before them: x_i = tanh(first two outputs of position i)
    net = tokens(2)
    c = conditions()["vector"]
    with torch.no_grad():
        cache, before, made = net.begin(c, c), torch.zeros(3, 0, 2, dtype=DOUBLE), []
        for i in range(5):
            output, cache = net.extend(before, i, cache)
            before = output[..., :2].tanh()
            made.append(before)
        expected = torch.cat(made, 1)
        _, cache = net.extend(expected[:, :1], 0, net.begin(c, c))
        guess = torch.zeros(3, 3, 2, dtype=DOUBLE)
        for _ in range(3):
            guess = net.extend(torch.cat([expected[:, 1:2], guess[:, :-1]], 1), 2, cache)[0][..., :2].tanh()
    torch.testing.assert_close(guess, expected[:, 2:], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(net(expected, c)[..., :2].tanh(), expected, rtol=1e-12, atol=1e-12)


def test_the_cache_through_compilers_and_functional_transforms():
    net, x = tokens(), sequences()
    torch._dynamo.reset()

    def blocks(x):
        return extended(net, x, None, (2, 3))

    torch.testing.assert_close(torch.compile(blocks, fullgraph=True, backend="aot_eager")(x), net(x))
    rows = torch.func.vmap(torch.func.grad(lambda row: blocks(row[None]).sin().sum()))(x)
    leaf = x.clone().requires_grad_()
    torch.testing.assert_close(rows, torch.autograd.grad(net(leaf).sin().sum(), leaf)[0])


def test_positions_that_do_not_follow():
    net, x = tokens(), sequences()
    _, cache = net.extend(x[:, :2], 0, net.begin(x))
    with pytest.raises(ShapeError, match="expected first=3, where the cache ends, got first=2"):
        net.extend(x[:, 1:3], 2, cache)
    with pytest.raises(ShapeError, match="at most 2 further positions, got 3"):
        net.extend(x[:, 2:5], 3, cache)
    with pytest.raises(ShapeError, match="expected 5 tokens"):
        net(x[:, :4])


# What is refused


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ConvNet(0, 2), "inputs >= 1, got 0"),
        (lambda: ConvNet(2, 2, hidden=0), "hidden >= 1, got 0"),
        (lambda: ConvNet(2, 2, context=-1), "context >= 0"),
        (lambda: ResNet(2, 0), "outputs >= 1"),
        (lambda: ResNet(2, 2, blocks=0), "blocks >= 1"),
        (lambda: ResNet(2, 2, dropout=1.0), "0 <= p < 1, got 1.0"),
        (lambda: GatedAttention(2, 2, size=(2, 2), hidden=6, heads=4), "multiple of heads, got hidden=6 and heads=4"),
        (lambda: GatedAttention(2, 2, size=(0, 2)), "height >= 1"),
        (lambda: GatedAttention(2, 2, size=(2, 2), blocks=0), "blocks >= 1"),
        (lambda: ViT(2, 2, size=(2, 0)), "width >= 1"),
        (lambda: ViT(2, 2, size=(2, 2), hidden=6, heads=4), "multiple of heads"),
        (lambda: ViT(2, 2, size=(2, 2), heads=0), "heads >= 1"),
        (lambda: CausalTransformer(2, 2, length=0), "length >= 1"),
        (lambda: CausalTransformer(2, 2, length=3, hidden=6, heads=4), "multiple of heads"),
        (lambda: CausalTransformer(2, 2, length=3, dropout=-0.1), "0 <= p < 1"),
    ],
)
def test_what_cannot_be_built(build, message):
    with pytest.raises(SpecError, match=message):
        build()


@pytest.mark.parametrize("name", ["gated", "gated-only", "vit"])
def test_images_of_another_size(name):
    with pytest.raises(ShapeError, match="expected images of 4 x 6"):
        built(name)(pictures().mT)
