"""Runs of training for test_distributed.py: alone in the tests' process, and shared by the processes of torchrun.

    torchrun ... distributed_worker.py FOLDER SCENARIO ...

writes what each scenario returns to FOLDER/SCENARIO-RANK.pt.
"""

import contextlib
import os
import signal
import sys
import time
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import pushforward as pf
from pushforward.core import Chain, Flow, Inverse, Real
from pushforward.distributions import Normal
from pushforward.errors import FlowError
from pushforward.objectives import NegativeLogLikelihood
from pushforward.training import fit, run_state, step
from pushforward.training.model_weights import snapshot
from pushforward.training.parallel import processes as distributed
from pushforward.transforms import LU, ActNorm, Affine, Coupling, half_mask

RANK = int(os.environ.get("RANK", "0"))
SEVERAL = "RANK" in os.environ
QUICK = {"epochs": 3, "batch_size": 32, "lr": 1e-2, "progress": False}


def table(rows=203, features=2, seed=0):
    x = np.random.default_rng(seed).normal(size=(rows, features))
    return x @ np.triu(np.full((features, features), 0.6)) + 0.3


def small(name="realnvp", seed=0, **fields):
    torch.manual_seed(seed)
    return pf.build(name, **{"features": 2, "layers": 3, "hidden": (8,), **fields})


def fitted(model, x=None, **options):
    result = fit(model, table() if x is None else x, **{**QUICK, **options})
    return {
        "weights": snapshot(model),
        "history": [{k: v for k, v in record.items() if k != "seconds"} for record in result.history],
        "ended": (result.stopped, result.message, result.best_epoch, result.steps),
        "classes": sorted({type(m).__name__ for m in model.modules()}),
        "device": {str(p.device) for p in model.parameters()},
    }


def uneven(seed=0, **options):
    """Weights of odd sizes, batches of 32 in 183 rows: shares of 16 rows, at the end 11 and 12."""
    return fitted(small(seed=seed, features=3, layers=2, hidden=(7, 5)), table(features=3), clip=0.5, **options)


def refused(model, **options):
    try:
        return fitted(model, **options)
    except FlowError as error:
        return {"error": f"{type(error).__name__}: {error}"}


# The same numbers as one process


def ddp(folder):
    return uneven()


def fsdp(folder):
    return uneven(parallel="fsdp")


def fsdp_autoregressive(folder):
    return fitted(small("maf", batch_norm=True), parallel="fsdp", memory="checkpoint", epochs=2)


def fsdp_backwards(folder):
    """A loss of the layers' inverses, as reverse Kullback-Leibler training has it."""

    class Backwards(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, batch):
            x, dlogp = self.model.chain.inverse(batch[0])
            return (x.square().sum(1) - dlogp).mean()

    torch.manual_seed(0)
    space = Real((2,))
    flow = Flow(Chain(*small().chain.layers, Inverse(Chain(LU(space), *small("maf").chain.layers))), Normal(space))
    return fitted(flow, objective=Backwards(flow), parallel="fsdp", memory="checkpoint", epochs=1)


def fsdp_frozen(folder):
    flow = small(features=3)
    for parameter in flow.chain.layers[1].parameters():
        parameter.requires_grad_(False)
    flow.chain.layers[0].net.out.bias.requires_grad_(False)
    return fitted(flow, table(features=3), parallel="fsdp", epochs=2)


def picture_layers(system, **fields):
    """The layers of a model of pictures behind its noise, which would differ among processes."""
    torch.manual_seed(0)
    whole = pf.build(system, shape=(1, 4, 4), scales=2, hidden=6, **fields)
    return Flow(Chain(*whole.chain.layers[2:]), whole.base)


def pictures(folder, **options):
    """Actnorm starts from data, the same in all processes; kernels are laid out channels-last."""
    x = table(83, 16).reshape(-1, 1, 4, 4)
    return fitted(picture_layers("glow", steps=1), x, epochs=2, **options)


def fsdp_pictures(folder):
    return pictures(folder, parallel="fsdp")


def pictures_batch_norm(folder):
    x = table(83, 16).reshape(-1, 1, 4, 4)
    return fitted(picture_layers("realnvp-image", blocks=1, norm="batch"), x, epochs=2, initialise=False)


def one_row(folder):
    """A batch of one row leaves a process without any."""
    return fitted(small(), table(8), batch_size=1, validation=1, epochs=2)


def one_row_fsdp(folder):
    return fitted(small(), table(8), batch_size=1, validation=1, epochs=1, parallel="fsdp")


def context(folder):
    x = table()
    flow = small(context=2)
    return fitted(flow, x, context=x[:, ::-1].copy(), validation=(x[:51], x[:51]), memory="invert")


def batch_norm(folder):
    return fitted(small(batch_norm=True), initialise=False)


def other_batch_norm(folder):
    """torch's own batch normalisation, which measures each process's rows; all end with the first one's averages."""

    class Network(nn.Sequential):
        def __init__(self, inputs, outputs, context=0):
            super().__init__(nn.Linear(inputs, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, outputs))

        def forward(self, x, context=None):
            return super().forward(x)

    torch.manual_seed(0)
    space = Real((2,))
    return fitted(Flow(Chain(Coupling(Affine(), space, half_mask(2), Network)), Normal(space)), epochs=2)


def start(folder):
    """Different weights to begin with, and a start from data."""
    torch.manual_seed(RANK)
    space = Real((2,))
    flow = Flow(Chain(ActNorm(space), LU(space), *small(seed=RANK).chain.layers), Normal(space))
    return fitted(flow, epochs=1)


def weights(folder):
    x = table()
    return fitted(small(), x, weights=np.arange(len(x)) % 4 + 0.5, epochs=2)


def loader(folder):
    """Shuffled batches, the same ones in all processes."""
    data = DataLoader(TensorDataset(torch.tensor(table(192), dtype=torch.float32)), batch_size=32, shuffle=True)
    return fitted(small(), data, validation=table(51, seed=1), batch_size=None, epochs=2)


def optimizer(folder):
    return fitted(small(), optimizer=partial(torch.optim.SGD, lr=1e-2, momentum=0.9), epochs=2)


def optimizer_fsdp(folder):
    """Sharded, and resumed from a checkpoint of whole tensors."""
    path = folder / f"optimizer-{SEVERAL}.checkpoint"
    options = {"optimizer": partial(torch.optim.SGD, lr=1e-2, momentum=0.9), "parallel": "fsdp", "epochs": 2}
    fitted(small(), max_steps=7, checkpoint=path, **options)
    return fitted(small(seed=3), resume=path, **options)


class Penalised(NegativeLogLikelihood):
    """A likelihood with a parameter of its own, one without a part in it, and a hook for trouble."""

    def __init__(self, model, trouble=None):
        super().__init__(model)
        self.used, self.unused, self.trouble = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2)), trouble

    def forward(self, batch):
        if self.trouble is not None:
            self.trouble(batch)
        return super().forward(batch) + (self.used - 0.3).square().sum()


def unused(folder):
    flow = small()
    objective = Penalised(flow)
    found = fitted(flow, objective=objective, epochs=2)
    return {**found, "own": objective.used.detach(), "idle": objective.unused.detach()}


def compiled(folder):
    """Without a compiler, which takes long to load: whole shares go through what it gives, other rows do not."""
    seen = []

    def compile_for(objective, whole, batch):
        return lambda rows: seen.append(len(rows[0])) or objective(rows)

    before = step.compiled, step.no_recompilation
    step.compiled, step.no_recompilation = compile_for, contextlib.nullcontext
    found = fitted(small(), compile=True, epochs=1)
    step.compiled, step.no_recompilation = before
    return {**found, "seen": seen}


def half(folder):
    return fitted(small(hidden=(64,)), autocast="fp16", epochs=1)


# Random numbers


def dropout(folder):
    """The weights stay the same in all processes though each draws its own numbers."""
    seen = []
    flow = small(dropout=0.5)

    def look(batch):
        if flow.training:
            seen.append(torch.rand(()).item())

    return {**fitted(flow, objective=Penalised(flow, look), validation=None), "seen": seen}


# Ends


def nonfinite(folder):
    """A row that only one process has in its share makes the loss infinite in the second epoch."""
    flow, x = small(), table()
    state = {"epoch": 1}

    class Breaking(NegativeLogLikelihood):
        def forward(self, batch):
            loss = super().forward(batch)
            bad = (batch[0][:, 0] - float(np.float32(x[7, 0]))).abs() < 1e-9
            return loss + torch.where(bad, torch.inf, 0.0).sum() if state["epoch"] > 1 else loss

    def count(record):
        state["epoch"] = record["epoch"] + 1

    return fitted(flow, x, objective=Breaking(flow), callbacks=[count], validation=None)


def patience(folder):
    return fitted(small(), epochs=30, patience=2, lr=1e-30, weight_decay=0.0)


def one_clock(folder):
    """Only the second process thinks that time is up, only it wants to stop after an epoch: all stop."""
    if RANK == 1 or not SEVERAL:
        run_state.time = SimpleNamespace(monotonic=lambda: 1e6 * time.monotonic())
    late = fitted(small(), epochs=10_000, patience=0, max_seconds=1e3)
    run_state.time = time
    told = fitted(small(), epochs=50, callbacks=[lambda record: RANK == 1 or not SEVERAL])
    return {"late": late["ended"], "told": told["ended"], "epochs": len(told["history"])}


def interrupted(folder):
    """Ctrl-C in one process stops all and saves; what is done after is tested by going on from it."""
    path = folder / "interrupted.checkpoint"
    flow, steps = small(), []

    def look(batch):
        steps.append(1)
        if len(steps) == 9 and RANK == 1 and flow.training:
            os.kill(os.getpid(), signal.SIGINT)

    class Slow(NegativeLogLikelihood):
        def forward(self, batch):
            look(batch)
            time.sleep(0.02)
            return super().forward(batch)

    result = fit(flow, table(), objective=Slow(flow), **{**QUICK, "epochs": 200}, checkpoint=path)
    return {"ended": (result.stopped, result.message), "steps": result.steps}


# Files


def files(folder):
    """Each process gets paths of its own; only those of the first are written."""
    fitted(small(), metrics=folder / f"metrics-{RANK}", checkpoint=folder / f"state-{RANK}", max_steps=7)
    return {"there": sorted(p.name for p in folder.glob("*-?") if p.is_file())}


def no_folder(folder):
    return refused(small(), checkpoint=folder / "nowhere" / "state")


def half_a_run(folder, name="first", **options):
    return uneven(max_steps=8, checkpoint=folder / f"{name}.checkpoint", **options)


def half_a_run_fsdp(folder):
    return half_a_run(folder, "second", parallel="fsdp")


def second_half(folder, **options):
    state = folder / "alone.checkpoint"
    return uneven(seed=3, resume=state, checkpoint=folder / "rest.checkpoint", **options)


def second_half_fsdp(folder):
    return second_half(folder, parallel="fsdp")


def random_run(folder, **options):
    return fitted(small(dropout=0.5), checkpoint=folder / f"random-{len(options)}.checkpoint", **options)


def random_halves(folder):
    """With dropout: the processes' random numbers go on where they were."""
    whole = random_run(folder)
    random_run(folder, max_steps=8)
    rest = fitted(small(dropout=0.5), resume=folder / "random-1.checkpoint")
    return {"whole": whole, "rest": rest}


# Refusals


def other_data(folder):
    return refused(small(), x=table(seed=RANK))


def other_options(folder):
    return refused(small(), lr=1e-2 * (1 + RANK))


def not_a_part(folder):
    flow = small()

    class Apart(nn.Module):
        def forward(self, batch):
            return -flow(*batch).mean()

    return refused(flow, objective=Apart())


def fsdp_options(folder):
    flow = small()
    scalar = small()
    scalar.scale = nn.Parameter(torch.zeros(()))
    return {
        "invert": refused(flow, parallel="fsdp", memory="invert")["error"],
        "compile": refused(flow, parallel="fsdp", compile=True)["error"],
        "number": refused(scalar, parallel="fsdp")["error"],
    }


def broken(folder):
    """The second process fails on its own; the last scenario, as the first one has lost it for good."""
    flow = small()

    def fail(batch):
        if RANK == 1:
            raise RuntimeError("out of luck")

    try:
        fit(flow, table(), objective=Penalised(flow, fail), checkpoint=folder / "broken.checkpoint", **QUICK)
    except (RuntimeError, FlowError) as error:
        return {"error": f"{type(error).__name__}: {error}", "silent": distributed.silent()}


if __name__ == "__main__":
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    for scenario in sys.argv[2:]:
        began = time.perf_counter()
        found = globals()[scenario](Path(sys.argv[1]))
        torch.save(found, Path(sys.argv[1]) / f"{scenario}-{RANK}.pt")
        if RANK == 0:
            print(f"{scenario}: {time.perf_counter() - began:.2f} s", flush=True)
