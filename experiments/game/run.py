"""A training run's game: the leading eigenvalues of its Jacobian at a checkpoint, drawn and written."""

import contextlib
import time
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from wgan_jax.files import atomic_path
from wgan_jax.games import Spectrum, leading_spectrum, vector_field
from wgan_jax.training.as_game import load_game
from wgan_jax.training.checkpoint import digest_of

from ..common import launcher
from . import figures


def study_run(run: str, step: int | None, count: int, batch_size: int | None, seed: int) -> int:
    """Writes RUN/game/; returns the exit status.

    Args:
        run: a training run's folder, of which nothing else is touched.
        step: of the checkpoint; None for the newest.
        count: eigenvalues wanted.
        batch_size: examples that make the losses; None for the run's own.
        seed: of the vectors that the iterations begin with.
    """
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            if launcher.WORKDIR.value is not None:
                raise ValueError('workdir has no effect with --run: results go into the folder game/ of the run')
            game, players, step = load_game(run, step, batch_size=batch_size)
            folder = held.enter_context(launcher.results_folder('game', Path(run) / 'game'))
        chosen = {'run': run, 'step': step, 'count': count, 'batch_size': batch_size, 'seed': seed}
        launcher.begin(folder, ('spectrum.*',), launcher='game', players=digest_of(players), flags=chosen)
        sizes = [sum(leaf.size for leaf in jax.tree.leaves(own)) for own in players]
        print(f'step {step}: {sizes[0]} numbers of the generator, {sizes[1]} of the critic')
        began = time.perf_counter()
        field = jax.jit(lambda w: vector_field(game, w))(players)
        norms = [float(np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(own)))) for own in field]
        if not all(map(np.isfinite, norms)):
            print(f'game: the gradients at step {step} are not finite')
            return 1
        with tqdm(unit=' products', desc='Jacobian products') as bar:
            spectrum = leading_spectrum(game, players, count=count, seed=seed, on_product=bar.update)
        seconds = time.perf_counter() - began
        with atomic_path(folder / 'spectrum.npz') as temporary:
            np.savez(temporary, **spectrum._asdict())
        figures.spectrum(folder / 'spectrum.png', spectrum, f'{Path(run).name}, step {step}')
        launcher.write_results(folder, _results(spectrum, step, sizes, norms, seconds))
        print(_summary(spectrum))
        print(f'{spectrum.products} Jacobian products in {seconds:.0f} s')
        print(f'Results in {folder}/: results.json, spectrum.npz, spectrum.png')
        return 0


def _results(spectrum: Spectrum, step: int, sizes: list[int], norms: list[float], seconds: float) -> dict:
    return {
        'step': step,
        'numbers': {'generator': sizes[0], 'critic': sizes[1]},
        'gradient_norms': {'generator': norms[0], 'critic': norms[1]},
        'jacobian': [[float(value.real), float(value.imag)] for value in spectrum.jacobian],
        'potential': [float(value) for value in spectrum.potential],
        'hamiltonian': [float(value) for value in spectrum.hamiltonian],
        'products': spectrum.products,
        'seconds': seconds,
    }


def _summary(spectrum: Spectrum) -> str:
    def shown(values, digits='.4g'):
        return ', '.join(f'{value:{digits}}' for value in values) or 'none converged'

    return '\n'.join([
        f'eigenvalues of J, largest first:       {shown(spectrum.jacobian)}',
        f'its potential part, both ends:         {shown(spectrum.potential)}',
        f'its Hamiltonian part, frequencies:     {shown(spectrum.hamiltonian)}',
    ])  # fmt: skip
