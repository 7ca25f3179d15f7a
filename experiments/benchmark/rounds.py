"""The rounds that the benchmark times: ours, compiled, and PyTorch's where it is installed."""

import functools
import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from wgan_jax.data.images import to_float
from wgan_jax.data.synthetic import DENSITIES, draw
from wgan_jax.training.settings import Settings
from wgan_jax.training.state import init_state
from wgan_jax.training.step import train_steps

from .cases import CASES, TOY_DENSITY, build_case, case_data, matmul_rate, round_products


class Ours:
    """A case's compiled round.

    Args:
        case: name in ``CASES``.
        settings: of the case.
        seed: of the initial state.
    """

    def __init__(self, case: str, settings: Settings, seed: int):
        gan, hyperparameters = build_case(case, settings)
        pixels = case_data(case, settings)
        self.arguments = jax.device_put((hyperparameters, pixels))
        self.rate = matmul_rate(jnp.dtype(settings.precision))
        self.state = init_state(gan, hyperparameters, seed)
        self.images = settings.n_critic * settings.batch_size
        self.products = round_products(case, settings)
        began = time.perf_counter()
        steps = jax.jit(functools.partial(train_steps, gan, capacity=1), donate_argnums=1)
        self.compiled = steps.lower(hyperparameters, self.state, pixels, np.int32(1)).compile()
        self.compile_seconds = time.perf_counter() - began
        memory = self.compiled.memory_analysis()
        self.peak_bytes = memory.argument_size_in_bytes + memory.temp_size_in_bytes + memory.output_size_in_bytes
        self.peak_bytes -= memory.alias_size_in_bytes
        self()

    def __call__(self) -> None:
        """One round."""
        hyperparameters, pixels = self.arguments
        self.state, rows = self.compiled(hyperparameters, self.state, pixels, np.int32(1))
        rows.block_until_ready()


def _torch_round(case: str, settings: Settings, seed: int, device: str) -> Callable[[], None]:
    import torch

    from .torch_baseline import make_round

    torch.manual_seed(seed)
    if CASES[case].toy:
        points = np.asarray(draw(DENSITIES[TOY_DENSITY](), jax.random.key(seed), 50_000))
        examples = torch.from_numpy(points.copy())
    else:
        pixels = np.array(to_float(case_data(case, settings)))
        examples = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    examples = examples.to(device)
    run = make_round(
        lambda n: examples[torch.randint(len(examples), (n,), device=device)],
        settings,
        image_shape=tuple(examples.shape[1:]),
        device=device,
    )
    run()
    return run


def torch_device() -> str | None:
    """Where PyTorch runs on the same kind of device as JAX; None where it does not."""
    if importlib.util.find_spec('torch') is None:
        return None
    import torch

    device = {'cpu': 'cpu', 'gpu': 'cuda'}.get(jax.default_backend())
    return device if device != 'cuda' or torch.cuda.is_available() else None


def _seconds(function: Callable[[], None]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


class Measured(NamedTuple):
    """A case's numbers for results.json, and the seconds of every round of either side."""

    result: dict[str, float]
    times: list[float]
    torch_times: list[float]


def measure(case: str, settings: Settings, seed: int, device: str | None, pairs: int, bar: tqdm) -> Measured:
    """Compiles a case and times pairs of rounds.

    Args:
        case: name in ``CASES``.
        settings: of the case.
        seed: of both sides.
        device: of PyTorch's side, as of ``torch_device``; None to leave it out.
        pairs: rounds of each side.
        bar: advances by pairs.
    """
    name = f'{case}_{settings.precision}'
    bar.set_description(f'{name}: compiling, and a first round')
    ours = Ours(case, settings, seed)
    theirs = None if device is None else _torch_round(case, settings, seed, device)
    times, torch_times = [], []
    bar.set_description(name)
    for _ in range(pairs):
        times.append(_seconds(ours))
        if theirs is not None:
            torch_times.append(_seconds(theirs))
        bar.update()
    seconds = statistics.median(times)
    result = {
        'seconds_per_round': seconds,
        'compile_seconds': ours.compile_seconds,
        'images_per_second': ours.images / seconds,
        'gflop_of_products': ours.products / 1e9,
        'matmul_gflop_per_second': ours.rate / 1e9,
        'peak_memory_gigabytes': ours.peak_bytes / 1e9,
    }
    if theirs is not None:
        result['torch_seconds_per_round'] = statistics.median(torch_times)
        result['ratio'] = statistics.median(a / b for a, b in zip(times, torch_times, strict=True))
    return Measured(result, times, torch_times)
