"""``benchmark --cost``: what a training step costs, on paper."""

import contextlib
from typing import Any

import jax
import numpy as np
from absl import flags
from tqdm import tqdm

from wgan_jax.files import atomic_path
from wgan_jax.ranges import FRACTION, HUGE, POSITIVE, Range, real, whole
from wgan_jax.training.build import build_gan
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import PRECISIONS, Settings, override

from ..common import launcher
from ..common.flagtypes import define_choice, define_choices, define_number, define_numbers
from . import cost_report
from .chips import CHIPS, Chip
from .counts import Update, count_updates
from .scaling import expected_stretch, simulate, step_pieces, step_seconds

PRESET_NAMES = define_choices('presets', PRESETS, PRESETS, 'With --cost: which presets')
PRECISION = define_choice('precision', None, PRECISIONS, "With --cost: of the products (default: the preset's own).")
CPU = flags.DEFINE_bool('cpu', True, 'With --cost: compile for the CPU too, which takes most of the time.')
CHIP_NAMES = define_choices('chips', CHIPS, CHIPS, 'With --cost: on which chips')
SCALES = define_numbers(
    'scales', [8, 64, 512], 'With --cost: numbers of devices.', whole(2, 4096), most=8, distinct=True
)
TFLOPS = define_number('tflops', None, "With --cost: 10^12 operations a second, in place of the chip's.", POSITIVE)
MEMORY = define_number('memory_bandwidth', None, "With --cost: GB/s of memory, in place of the chip's.", POSITIVE)
LINK = define_number('link', None, 'With --cost: GB/s that a chip sends within its node or pod.', POSITIVE)
OUTER_LINK = define_number('outer_link', None, 'With --cost: GB/s that it sends between those.', POSITIVE)
LATENCY = define_number('latency', None, 'With --cost: microseconds of one message.', real(0.0, 1e6))
JITTER = define_number(
    'jitter', 0.02, 'With --cost: mean of the noise in what a device computes, as a share of it.', real(0.0, 100.0)
)
STRAGGLERS = define_number('stragglers', 0.01, 'With --cost: share of the devices that are slow.', FRACTION)
SLOWDOWN = define_number(
    'slowdown', 1.1, 'With --cost: how much longer slow devices compute.', Range(
        float, 1.0, HUGE, 'be a number >= 1', f'be at most {HUGE:.2g}'
    )
)  # fmt: skip
SIMULATED_STEPS = define_number('simulated_steps', 20, 'With --cost: steps of the simulation.', whole(1, 10_000))
OUTPUTS = 'cost.npz', 'cost.png'
OF_ONE_CHIP = {
    'tflops': TFLOPS, 'memory_bandwidth': MEMORY, 'link': LINK, 'outer_link': OUTER_LINK, 'latency': LATENCY
}  # fmt: skip
COST_ONLY = (
    PRESET_NAMES, PRECISION, CPU, CHIP_NAMES, SCALES, *OF_ONE_CHIP.values(), JITTER, STRAGGLERS, SLOWDOWN,
    SIMULATED_STEPS,
)  # fmt: skip


def report_costs(batch_size: flags.FlagHolder, width: flags.FlagHolder) -> int:
    """Counts the presets' updates, and writes and prints what follows from them; returns the exit status.

    Args:
        batch_size, width: the launcher's flags, which change every preset.
    """
    jax.config.update('jax_platforms', 'cpu')  # no accelerator is touched
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            settings = {name: _settings(name, batch_size.value, width.value) for name in PRESET_NAMES.value}
            scales, chips = sorted(SCALES.value), _chips()
            slow = _slow_devices(scales[-1])
            workdir = held.enter_context(launcher.results_folder('benchmark_cost'))
        chosen = launcher.values_of(*COST_ONLY, batch_size, width)
        rates = {name: chip._asdict() for name, chip in chips.items()}
        launcher.begin(workdir, OUTPUTS, launcher='benchmark_cost', flags=chosen, chips=rates)
        results = {}
        for name in tqdm(settings, unit=' presets'):
            updates = count_updates(settings[name], compile_for_cpu=CPU.value)
            results[name] = _costs(settings[name], updates, chips, scales, slow)
        with atomic_path(workdir / 'cost.npz') as temporary:
            np.savez(temporary, **cost_report.arrays(results, scales))
        cost_report.figure(workdir / 'cost.png', results, scales)
        launcher.write_results(workdir, results)
    print(cost_report.text(results, scales))
    print(f'Results in {workdir}/: results.json, cost.npz, cost.png')
    return 0


def _settings(name: str, batch_size: int | None, width: int | None) -> Settings:
    changes: dict[str, Any] = {} if PRECISION.value is None else {'precision': PRECISION.value}
    if batch_size is not None:
        changes |= {'batch_size': batch_size, 'generator_batch_size': 0}
    if width is not None:
        changes |= {'width': width, 'critic_width': 0}
    try:
        settings = override(PRESETS[name], changes)
        build_gan(settings, 3, conv_impl='native')
    except ValueError as error:
        raise ValueError(f'presets={name}: {error}') from None
    return settings


def _chips() -> dict[str, Chip]:
    """The chips chosen, with the rates that flags give. Raises ValueError for a rate that is not one chip's."""
    chips = {name: CHIPS[name] for name in CHIP_NAMES.value}
    given = {name: flag.value for name, flag in OF_ONE_CHIP.items() if flag.value is not None}
    if not given:
        return chips
    if len(chips) > 1:
        raise ValueError(f'{next(iter(given))} is that of one chip: name it, as in --chips={next(iter(CHIPS))}')
    ((name, chip),) = chips.items()
    if 'outer_link' in given and max(SCALES.value) <= chip.domain:
        raise ValueError(f'outer_link has no effect on up to {chip.domain} devices of {name}: leave it out')
    if 'link' in given and min(SCALES.value) > chip.domain and given['link'] >= chip.domain * chip.outer_link:
        raise ValueError(f'link={given["link"]:g} has no effect on over {chip.domain} devices of {name}: leave it out')
    if 'tflops' in given:
        given['tflops'] = dict.fromkeys(PRECISIONS, given['tflops'])
    if 'memory_bandwidth' in given:
        given['memory'] = given.pop('memory_bandwidth')
    return {name: chip._replace(**given)}


def _slow_devices(devices: int) -> int:
    """How many of the devices are slow. Raises ValueError where the flags for them have no effect."""
    share = STRAGGLERS.value
    slow = round(share * devices)
    if share and not slow and flags.FLAGS['stragglers'].present:
        raise ValueError(f'stragglers={share} is none of {devices} devices: use 0 or at least {1 / devices:g}')
    if not slow and flags.FLAGS['slowdown'].present:
        raise ValueError('slowdown has no effect without stragglers: leave it out')
    return slow


def _costs(
    settings: Settings, updates: dict[str, Update], chips: dict[str, Chip], scales: list[int], slow: int
) -> dict[str, Any]:
    """What results.json has of a preset."""
    n_critic, batch = settings.n_critic, settings.batch_size
    result: dict[str, Any] = {'n_critic': n_critic, 'batch_size': batch, 'precision': settings.precision}
    for player, update in updates.items():
        sent = {
            kind: {'number': len(each), 'bytes': sum(each)}
            for kind in ('all-reduce', 'all-gather', 'reduce-scatter')
            if (each := [one.bytes for one in update.collectives if one.kind == kind])
        }
        result[player] = {
            'flops_of_products': update.flops,
            'least_bytes': update.bytes,
            'programs': {platform: program._asdict() for platform, program in update.programs.items()},
            'collectives': sent,
        }
    shared = {batch, settings.generator_batch_size or batch}
    result['chips'] = {}
    for name, chip in chips.items():
        stretch = expected_stretch(scales[-1], slow, SLOWDOWN.value, JITTER.value)

        def pieces(devices, share=1.0, fused=True, chip=chip):
            return step_pieces(updates, n_critic, chip, settings.precision, devices, share, fused=fused)

        ideal, unfused = (step_seconds(pieces(1, fused=fused)) for fused in (True, False))
        times = {'critic': n_critic, 'generator': 1}
        rate = 1e12 * chip.tflops[settings.precision]
        work = sum(n * updates[p].programs[chip.platform].flops for p, n in times.items())
        most = pieces(scales[-1])
        ends = simulate(
            most, devices=scales[-1], steps=SIMULATED_STEPS.value, slow=slow, slowdown=SLOWDOWN.value,
            jitter=JITTER.value, seed=launcher.seed(),
        )  # fmt: skip
        result['chips'][name] = {
            'ideal_seconds': ideal,
            'unfused_seconds': unfused,
            'share_of_rate': work / rate / ideal,
            'weak_efficiency': [ideal / step_seconds(pieces(n)) for n in scales],
            'unfused_weak_efficiency': [unfused / step_seconds(pieces(n, fused=False)) for n in scales],
            'strong_efficiency': [
                None if any(size % n for size in shared) else ideal / n / step_seconds(pieces(n, 1 / n)) for n in scales
            ],
            'straggling_efficiency': ideal / step_seconds(most, stretch),
            'simulated_efficiency': ideal * len(ends) / float(ends[-1]),
            'simulated_seconds': np.diff(ends, prepend=0.0),
        }
    return result
