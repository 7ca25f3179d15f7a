"""Frozen generators, and fresh critics trained against them: each is kept as soon as it is done."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from wgan_jax.data.images import Images
from wgan_jax.objectives import OBJECTIVES
from wgan_jax.training.build import build_gan
from wgan_jax.training.callbacks import Callback, Record
from wgan_jax.training.frozen import CriticProbe, fit_critic, fresh_critic, probe_critic
from wgan_jax.training.run import train
from wgan_jax.training.settings import Settings, record
from wgan_jax.training.state import init_state
from wgan_jax.types import Variables

from ..common import kept

KEPT = 'probes'
GENERATOR = 'generator'  # the folder of its run
CALL = 100  # updates in one compiled call at most: what an interruption loses, and how often progress shows


@dataclasses.dataclass(frozen=True)
class Probe:
    """One kind of critic: the preset it comes from, the generator's losses differentiated through it, whose seeds."""

    title: str
    preset: str
    objectives: tuple[str, ...]
    seeds: str = 'critic_seeds'


PROBES = {
    'standard': Probe('discriminator', 'dcgan', ('minimax', 'non_saturating'), 'seeds'),
    'clip': Probe('critic, weights clipped', 'wgan', ('wasserstein',)),
    'gradient_penalty': Probe('critic, gradient penalty', 'wgan_gp', ('wasserstein',)),
}


class Frozen(NamedTuple):
    """A generator that has been trained for a while.

    Attributes:
        step: generator updates it had.
        variables: its arrays.
    """

    step: int
    variables: Variables


class _Steps(Callback):
    def __init__(self, on_step: Callable[[int], Any]):
        self._on_step = on_step

    def metrics(self, records: Sequence[Record]) -> None:
        self._on_step(records[-1]['step'])


def freeze(
    workdir: Path, settings: Settings, images: Images, horizons: Iterable[int], on_step: Callable[[int], Any]
) -> list[Frozen]:
    """A DCGAN after some numbers of updates, by one run that can be stopped and goes on.

    Args:
        workdir: of the launcher, of which the run gets a folder.
        settings: of the run, whatever its steps.
        images: the dataset.
        horizons: numbers of updates, rising.
        on_step: told which step has been done.
    """
    gan, hyperparameters = build_gan(settings, images.pixels.shape[-1])
    fresh = init_state(gan, hyperparameters, settings.seed).generator
    leaves, structure = jax.tree.flatten(fresh)
    part = {'settings': {**record(settings), 'steps': None}, 'dataset': images.fingerprint}
    folder = workdir / f'{GENERATOR}_{kept.digest_of(part)}'
    found = []
    for horizon in horizons:
        path = kept.place(workdir, KEPT, 'generator', f'{horizon}', part)
        done = kept.read(path, {}, [f'{i}' for i in range(len(leaves))])
        if done is None:
            variables = _train(folder, settings, images, horizon, on_step) if horizon else fresh
            done = {}, {f'{i}': np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(variables))}
            kept.write(path, *done)
        on_step(horizon)
        arrays = [done[1][f'{i}'] for i in range(len(leaves))]
        found.append(Frozen(horizon, jax.tree.unflatten(structure, arrays)))
    return found


def _train(folder: Path, settings: Settings, images: Images, horizon: int, on_step: Callable[[int], Any]) -> Variables:
    for place in (folder, folder.with_name(f'{folder.name}_{horizon}')):  # the second where the first has gone past it
        generator = train(
            dataclasses.replace(settings, steps=horizon), place, dataset=images, callbacks=[_Steps(on_step)],
            sample_every=horizon, parallel='jit',  # on the device of the critics
        )  # fmt: skip
        if generator.step == horizon:
            return generator.variables
    raise ValueError(f'{place} holds another run: move it away')


def probe(
    workdir: Path,
    name: str,
    settings: Settings,
    images: Images,
    generators: Sequence[Frozen],
    seeds: Sequence[int],
    moments: Sequence[int],
    draws: int,
    decides: Mapping[str, Any],
    on_updates: Callable[[int], Any],
) -> dict[str, np.ndarray]:
    """Fresh critics of a kind against each frozen generator, read at some moments of their training.

    Args:
        workdir: of the launcher.
        name: of the kind, in ``PROBES``.
        settings: of the critics.
        images: the dataset.
        generators: that the critics face.
        seeds: of the critics and their batches.
        moments: numbers of critic updates, rising.
        draws: batches of latents over which a gradient norm is averaged.
        decides: of the generators' numbers.
        on_updates: told how many updates are done.

    Returns:
        Fields of ``CriticProbe`` by name, (generators, seeds, moments[, objectives]).
    """
    gan, hyperparameters = build_gan(settings, images.pixels.shape[-1])
    objectives = [OBJECTIVES[objective] for objective in PROBES[name].objectives]
    update = jax.jit(functools.partial(fit_critic, gan), donate_argnums=1)
    read = jax.jit(functools.partial(probe_critic, gan, objectives, draws=draws))

    def measured(generator: Frozen, seed: int) -> dict[str, np.ndarray]:
        state = fresh_critic(gan, hyperparameters, generator.variables, seed, step=generator.step)
        probes = []
        for moment in moments:
            while (left := moment - int(state.critic_step)) > 0:
                state = update(hyperparameters, state, images.pixels, np.int32(min(CALL, left)))
                on_updates(min(CALL, left))
            probes.append(jax.device_get(read(state, images.pixels)))
        return {field: np.array([getattr(one, field) for one in probes]) for field in CriticProbe._fields}

    def known(generator: Frozen, seed: int) -> dict[str, np.ndarray]:
        part = {
            'settings': record(settings), 'dataset': images.fingerprint, 'generator': [generator.step, decides],
            'seed': seed, 'moments': list(moments), 'draws': draws,
        }  # fmt: skip
        path = kept.place(workdir, KEPT, name, f'{generator.step}_{seed}', part)
        done = kept.read(path, {}, CriticProbe._fields)
        if done is None:
            done = {}, measured(generator, seed)
            kept.write(path, *done)
        else:
            on_updates(moments[-1])
        return done[1]

    rows = [[known(generator, seed) for seed in seeds] for generator in generators]
    return {field: np.array([[one[field] for one in row] for row in rows]) for field in CriticProbe._fields}
