"""Upper halves of real digits, completed pixel by pixel."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import pushforward as pf
from pushforward.evaluation import bits_per_dimension


def main(out: Path, *, quick: bool = False) -> None:
    """Fit a gated PixelCNN, and draw the lower halves of test digits given the upper ones."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.tensor(load_digits().images[:, None]).float()
    train, test = x[:1500], x[1500:]
    spec = pf.systems.PixelCNN(shape=(1, 8, 8), levels=17, hidden=24, blocks=3, first_kernel=5, dropout=0.2)
    model = spec.build()
    pf.fit(
        model,
        train,
        validation=0.1,
        epochs=1 if quick else 40,
        max_steps=1 if quick else None,
        batch_size=64,
        lr=5e-3,
        clip=320.0,
        schedule="cosine",
        progress=False,
    )
    model.eval()
    bits = bits_per_dimension(model, test[: 10 if quick else None])
    rows = 2 if quick else 4
    started = test[:10]
    completed = complete(model.base, started.repeat(rows, 1, 1, 1), known=4)

    figure = Figure(figsize=(9, 5), layout="constrained")
    panel = figure.subplots()
    panel.imshow(tiled(torch.cat([started, completed])[:, 0]), cmap="gray_r")
    panel.axhline(9.5, color="#D55E00")
    panel.set_title(f"real digits, and completions of their upper halves; {bits.value:.2f} bits per dimension, exact")
    panel.set_axis_off()
    figure.savefig(out, dpi=100)


@torch.no_grad()
def complete(pixels: pf.distributions.AutoregressiveModel, x: torch.Tensor, known: int) -> torch.Tensor:
    """Return pictures with the first rows of x; the other pixels are drawn one after the other."""
    values = pixels.entries(x).clone()
    rows = values.new_zeros(len(x))

    def step(i: int, p: torch.Tensor) -> torch.Tensor:
        if i >= known * x.shape[3]:
            values[:, i] = torch.distributions.Categorical(logits=p).sample().to(values)
        return pixels.factor.codes(values[:, i], rows.dtype)

    pixels.net.unroll(step, rows, pixels.length)
    return pixels.events(values)


def tiled(pictures: torch.Tensor) -> torch.Tensor:
    """Return one picture of all pictures, ten in a row, with a gap between them."""
    padded = torch.nn.functional.pad(pictures.float(), (1, 1, 1, 1))
    return padded.unflatten(0, (-1, 10)).permute(0, 2, 1, 3).flatten(2, 3).flatten(0, 1)


if __name__ == "__main__":
    main(Path("pixel_by_pixel.png"))
