"""The smallest whole runs, for tests of training in a folder."""

import json

import numpy as np

import wgan_jax
from wgan_jax.training.checkpoint import CheckpointStore

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 4, 3), np.uint8)
TINY = {'arch': 'mlp', 'width': 8, 'latent_dim': 3, 'batch_size': 4, 'n_critic': 1, 'image_size': '6x4'}
EVERY = {'checkpoint_every': 4, 'sample_every': 8, 'log_every': 1}


def tiny(**changes):
    return wgan_jax.settings('wgan_gp', **{**TINY, 'steps': 12, **changes})


def stopped(workdir, **changes):
    """A run of 12 steps that has been stopped at its first checkpoint."""
    stop = workdir / 'checkpoints' / '4'
    return wgan_jax.train(tiny(**changes), workdir, dataset=IMAGES, should_stop=stop.exists, **EVERY)


def arrays(workdir):
    found, _ = CheckpointStore(workdir / 'checkpoints').newest()
    return found.step, found.arrays


def metrics(workdir):
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ('seconds', 'images_per_second')} for row in rows]
