"""On a GPU every case gives the CPU's numbers. Needs torch and pytest only."""

import pytest
import torch

from pushforward.core import Distribution, Exactness
from pushforward.laws import all_cases
from pushforward.laws.interface import example

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_same_numbers_as_on_the_cpu(case):
    node, x, c = example(case)
    if not isinstance(node, Distribution):
        pytest.skip("a layer")
    reference = node.log_prob(x, c)
    node, x, c = node.cuda(), x.cuda(), None if c is None else c.cuda()
    logp = node.log_prob(x, c)
    assert logp.device.type == "cuda"
    if Exactness.NOISY not in node.exactness:
        torch.testing.assert_close(logp.cpu(), reference, atol=1e-8, rtol=1e-8)
    draws = node.sample(3, None if c is None else c[0])
    assert draws.device.type == "cuda"
