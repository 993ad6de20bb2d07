"""The vine is fitted to the codes after the training, on the command line and in Python."""

import numpy as np
import torch
from command_line import run

import pushforward as pf
from pushforward.distributions import VineCopula
from pushforward.systems import VineAutoencoder


def test_the_vine_follows_the_codes_of_the_trained_encoder(tmp_path):
    torch.manual_seed(0)
    rows = torch.randint(0, 4, (200, 1), generator=torch.Generator().manual_seed(0))
    x = torch.cat([rows, 3 - rows, rows, rows], 1).reshape(200, 1, 2, 2)
    model = VineAutoencoder(shape=(1, 2, 2), levels=4, latent=2, hidden=(16,), pairs="gaussian").build()
    pf.fit(model, x.float(), epochs=15, lr=1e-2, batch_size=50, progress=False)
    with torch.no_grad():
        codes = model.chain(x.float())[0]
        drawn = model.base.sample(2000)
        assert torch.allclose(codes.mean(0), drawn.mean(0), atol=0.4)
        assert torch.allclose(codes.std(0), drawn.std(0), rtol=0.3)
        pairs = torch.stack([torch.corrcoef(z.mT)[0, 1] for z in (codes, drawn)])
    assert abs(pairs[0] - pairs[1]) < 0.25
    vine = next(part for part in model.modules() if isinstance(part, VineCopula))
    assert bool(vine.fitted)
    # Pictures are decoded codes: the second pixel is 3 minus the first one.
    drawn = model.sample(400).flatten(1)
    assert torch.corrcoef(torch.stack([drawn[:, 0], drawn[:, 1]]))[0, 1] < -0.5
    pf.save(model, tmp_path / "m.flow")
    again = pf.load(tmp_path / "m.flow").model
    torch.manual_seed(1)
    first = model(x.float())
    torch.manual_seed(1)
    assert torch.equal(again(x.float()), first)


def test_on_the_command_line(tmp_path):
    x = np.random.default_rng(0).integers(0, 2, (60, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    options = ["--levels", 2, "--set", "latent=2", "--set", "pairs=gaussian", "--set", "hidden=8", "--max-steps", 3]
    code, out, err = run("fit", tmp_path / "x.npy", "--flow", "vine-autoencoder", *options, "-o", tmp_path / "m.flow")
    assert code == 0, err
    assert "bits" in out
    assert run("sample", tmp_path / "m.flow", "-n", 3, "-o", tmp_path / "s.npy")[0] == 0
    assert np.load(tmp_path / "s.npy").shape[0] == 3
