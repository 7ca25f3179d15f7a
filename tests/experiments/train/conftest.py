"""The smallest run of the train launcher's parts, for tests of what happens to its files."""

import json

import numpy as np

import wgan_jax
from experiments.train.lipschitz_log import LipschitzLog
from experiments.train.outputs import Events, Figures
from wgan_jax.training.checkpoint import CheckpointStore

SETTINGS = wgan_jax.settings(
    'wgan_gp', arch='mlp', critic_norm='none', width=4, latent_dim=2, batch_size=4, n_critic=1, steps=4
)
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 3), np.uint8)


def train(workdir, everything=False, **options):
    """A run of four steps with a checkpoint after two; with everything, figures and the critic's steepness too."""
    callbacks = [events := Events(1), *([LipschitzLog(events), Figures()] if everything else [])]
    options = {'keep_checkpoints': 2, **options}
    return wgan_jax.train(
        SETTINGS,
        workdir,
        dataset=IMAGES,
        callbacks=callbacks,
        checkpoint_every=2,
        sample_every=2,
        log_every=1,
        **options,
    )


def outcome(workdir):
    """All of a run that is the same whenever it is run."""
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    numbers = [{k: v for k, v in row.items() if k not in ('seconds', 'images_per_second')} for row in rows]
    store = CheckpointStore(workdir / 'checkpoints')
    arrays = {name: array.tobytes() for name, array in store.choose().arrays.items()}
    pictures = {path.name: path.read_bytes() for path in sorted((workdir / 'samples').iterdir())}
    slopes = [path.read_text() for path in workdir.glob('lipschitz.jsonl')]
    names = {path.name for path in workdir.iterdir()} - {'damaged'}
    return numbers, arrays, pictures, slopes, names, store.steps()
