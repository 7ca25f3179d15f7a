"""Benchmark: time of a training round beside PyTorch's, on this machine, in one run and in turn.

A round is n_critic critic updates and one generator update of DCGAN networks at 64x64 pixels. The two sides alternate,
so that whatever else the machine does falls on both; what is reported is the median of the ratios of pairs.
"""

import contextlib
import dataclasses
import functools
import importlib.metadata
import importlib.util
import statistics
import time
from pathlib import Path

from absl import flags

from experiments.common import launcher  # before JAX: it prepares its environment

import jax  # isort: skip
import jax.numpy as jnp  # isort: skip
import numpy as np  # isort: skip
from tqdm import tqdm

from wgan_jax import data
from wgan_jax.data.images import to_float
from wgan_jax.files import atomic_path, write_json
from wgan_jax.training.build import build_gan
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.state import init_state
from wgan_jax.training.step import train_steps

PAIRS = flags.DEFINE_integer('pairs', 5, 'Timed rounds of each side.')
BATCH_SIZE = flags.DEFINE_integer('batch_size', 64, 'Images in a batch.')
WIDTH = flags.DEFINE_integer('width', 64, 'Width of the networks.')
CASE_NAMES = flags.DEFINE_list('cases', None, 'Which cases to measure, separated by commas (default: all).')
CACHE = flags.DEFINE_bool('cache', False, 'Use the compilation cache, so that compile times are those of a second run.')

SIZE, LATENT_DIM = 64, 100
CASES = {
    'clip_float32': ('wgan', 'float32'),
    'clip_bfloat16': ('wgan', 'bfloat16'),
    'gp_float32': ('wgan_gp', 'float32'),
    'gp_bfloat16': ('wgan_gp', 'bfloat16'),
}


def round_products(preset: str, batch_size: int, width: int) -> float:
    """Floating-point operations of the matrix products of one round, counted by the definition of a convolution.

    F is one forward pass of a network; a backward pass is one product for the inputs and one for the weights, F each.
    The first layer's input gradient is not needed where nothing before it learns.
    """
    pixels = [(SIZE // 2**i) ** 2 for i in range(1, 5)]  # output pixels of the critic's layers
    channels = [3, width, 2 * width, 4 * width, 8 * width]
    layers = [2 * batch_size * p * 16 * a * b for p, a, b in zip(pixels, channels, channels[1:], strict=False)]
    forward, first = sum(layers), layers[0]
    n_critic = PRESETS[preset].n_critic
    generator = forward + 2 * batch_size * LATENT_DIM * 16 * 8 * width  # mirrored, plus the map from the latents
    critic_update = generator + 2 * (3 * forward - first)
    if PRESETS[preset].constraint == 'gradient_penalty':
        # A forward pass, the gradient with respect to the input, and of that gradient's derivative two products a
        # layer. LeakyReLU passes on nothing to the forward pass, for its slope is constant almost everywhere.
        critic_update += 4 * forward
    generator_update = 3 * generator - 2 * batch_size * LATENT_DIM * 16 * 8 * width + 2 * forward
    return float(n_critic * critic_update + generator_update)


def matmul_rate(dtype: jnp.dtype, seconds: float = 1.0) -> float:
    """The best rate of a 2048 x 2048 matrix product in operations per second."""
    n = 2048
    a = jax.random.normal(jax.random.key(0), (n, n), dtype)
    product = jax.jit(functools.partial(jnp.dot, preferred_element_type=jnp.float32))
    product(a, a).block_until_ready()
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds:
        began = time.perf_counter()
        product(a, a).block_until_ready()
        times.append(time.perf_counter() - began)
    return 2 * n**3 / min(times)


class Ours:
    """A preset's compiled round on the flags.

    Args:
        preset: 'wgan' or 'wgan_gp'.
        precision: 'float32' or 'bfloat16'.
    """

    def __init__(self, preset: str, precision: str):
        settings = dataclasses.replace(
            PRESETS[preset], precision=precision, batch_size=BATCH_SIZE.value, width=WIDTH.value, latent_dim=LATENT_DIM,
            critic_warmup=False,
        )  # fmt: skip
        pixels = data.load('flags', SIZE, SIZE).pixels
        gan, numbers = build_gan(settings, 3)
        self.arguments = jax.device_put((numbers, pixels))
        self.rate = matmul_rate(jnp.dtype(precision))
        self.state = init_state(gan, numbers, launcher.seed())
        self.images = settings.n_critic * settings.batch_size
        self.products = round_products(preset, settings.batch_size, settings.width)
        began = time.perf_counter()
        steps = jax.jit(functools.partial(train_steps, gan, capacity=1), donate_argnums=1)
        self.compiled = steps.lower(numbers, self.state, pixels, np.int32(1)).compile()
        self.compile_seconds = time.perf_counter() - began
        memory = self.compiled.memory_analysis()
        self.peak_bytes = memory.argument_size_in_bytes + memory.temp_size_in_bytes + memory.output_size_in_bytes
        self.peak_bytes -= memory.alias_size_in_bytes
        self()

    def __call__(self) -> None:
        """One round."""
        numbers, pixels = self.arguments
        self.state, rows = self.compiled(numbers, self.state, pixels, np.int32(1))
        rows.block_until_ready()


def _torch_round(preset: str, precision: str, device: str):
    import torch

    from experiments.common.torch_baseline import make_round

    torch.manual_seed(launcher.seed())
    pixels = torch.from_numpy(np.array(to_float(data.load('flags', SIZE, SIZE).pixels))).permute(0, 3, 1, 2)
    run = make_round(
        pixels.contiguous(), penalty=preset == 'wgan_gp', bfloat16=precision == 'bfloat16', device=device,
        batch_size=BATCH_SIZE.value, width=WIDTH.value, n_critic=PRESETS[preset].n_critic, latent_dim=LATENT_DIM,
    )  # fmt: skip
    run()
    return run


def _torch_device() -> str | None:
    """Where PyTorch runs on the same kind of device as JAX; None where it does not."""
    if importlib.util.find_spec('torch') is None:
        return None
    import torch

    device = {'cpu': 'cpu', 'gpu': 'cuda'}.get(jax.default_backend())
    return device if device != 'cuda' or torch.cuda.is_available() else None


def _seconds(function) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _case(preset: str, precision: str, torch_device: str | None, bar: tqdm):
    """The numbers of one case, and the times of both sides' rounds in seconds."""
    bar.set_description(f'{preset} {precision}: compiling')
    ours = Ours(preset, precision)
    theirs = None if torch_device is None else _torch_round(preset, precision, torch_device)
    times, torch_times = [], []
    bar.set_description(f'{preset} {precision}')
    for _ in range(PAIRS.value):
        times.append(_seconds(ours))
        if theirs is not None:
            torch_times.append(_seconds(theirs))
        bar.update()
    seconds = statistics.median(times)
    result = {
        'seconds_per_round': seconds,
        'compile_seconds': ours.compile_seconds,
        'images_per_second': ours.images / seconds,
        'matmul_share': ours.products / seconds / ours.rate,
        'gflop_of_products': ours.products / 1e9,
        'matmul_gflop_per_second': ours.rate / 1e9,
        'peak_memory_gigabytes': ours.peak_bytes / 1e9,
    }
    if theirs is not None:
        result['torch_seconds_per_round'] = statistics.median(torch_times)
        result['ratio'] = statistics.median(a / b for a, b in zip(times, torch_times, strict=True))
    return result, times, torch_times


def main() -> int:
    """Reads the flags, measures every case and writes the table; returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            for flag in (PAIRS, BATCH_SIZE, WIDTH):
                if flag.value < 1:
                    raise ValueError(f'{flag.name}={flag.value} must be at least 1')
            names = CASE_NAMES.value or list(CASES)
            for name in names:
                if name not in CASES:
                    raise ValueError(f'cases={name} is unknown; there are: {", ".join(CASES)}')
            chosen = {flag.name: flag.value for flag in (CASE_NAMES, PAIRS, BATCH_SIZE, WIDTH, CACHE)} | {
                'seed': launcher.seed()
            }
            workdir = held.enter_context(launcher.results_folder('benchmark'))
        if not CACHE.value:
            jax.config.update('jax_enable_compilation_cache', False)
        torch_device = _torch_device()
        torch_version = importlib.metadata.version('torch') if torch_device else None
        write_json(
            workdir / 'config.json',
            {'launcher': 'benchmark', 'flags': chosen, 'torch': torch_version, **launcher.environment()},
        )
        results, arrays = {}, {}
        with tqdm(total=len(names) * PAIRS.value, unit=' pairs') as bar:
            for name in names:
                preset, precision = CASES[name]
                results[name], arrays[f'{name}_seconds'], arrays[f'{name}_torch_seconds'] = _case(
                    preset, precision, torch_device, bar
                )
        with atomic_path(workdir / 'times.npz') as temporary:
            np.savez(temporary, **arrays)
        _figure(workdir / 'benchmark.png', results)
        write_json(workdir / 'results.json', results)
    print(_table(results))
    if torch_device is None:
        print(f'No PyTorch for {jax.default_backend()} is installed: our side alone')
    print(f'Results in {workdir}/: results.json, times.npz, benchmark.png')
    return 0


def _table(results: dict[str, dict[str, float]]) -> str:
    lines = [
        f'{"":14} {"s/round":>8} {"torch":>8} {"ratio":>6} {"images/s":>9} {"of matmul rate":>15} {"compile s":>10} '
        f'{"peak GB":>8}'
    ]
    for name, r in results.items():
        torch_time, ratio = (f'{r[key]:.2f}' if key in r else '-' for key in ('torch_seconds_per_round', 'ratio'))
        lines.append(
            f'{name:14} {r["seconds_per_round"]:8.2f} {torch_time:>8} {ratio:>6} {r["images_per_second"]:9.0f} '
            f'{r["matmul_share"]:15.0%} {r["compile_seconds"]:10.1f} {r["peak_memory_gigabytes"]:8.1f}'
        )
    return '\n'.join(lines)


def _figure(path: Path, results: dict[str, dict[str, float]]) -> None:
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 3.5), layout='constrained')
    places = np.arange(len(results))
    axis.bar(places - 0.2, [r['seconds_per_round'] for r in results.values()], 0.4, label='wgan_jax')
    if all('ratio' in r for r in results.values()):
        axis.bar(places + 0.2, [r['torch_seconds_per_round'] for r in results.values()], 0.4, label='PyTorch')
    floor = [r['gflop_of_products'] / r['matmul_gflop_per_second'] for r in results.values()]
    axis.plot(places - 0.2, floor, 'k_', markersize=22, label='matrix products alone at the measured rate')
    axis.set_xticks(places, results)
    axis.set_ylabel('seconds per round')
    axis.set_title(f'DCGAN 64x64, batch {BATCH_SIZE.value}, width {WIDTH.value}: lower is faster')
    axis.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


if __name__ == '__main__':
    launcher.run(main)
