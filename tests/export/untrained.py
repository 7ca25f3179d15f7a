"""Folders of runs whose arrays are noise, which is all that an export needs and more than a few steps would change."""

import json

import jax
import numpy as np

from tests.training.common import small_settings
from wgan_jax.training.build import build_gan
from wgan_jax.training.checkpoint import CheckpointStore
from wgan_jax.training.settings import record
from wgan_jax.training.state import init_state

CLASSES = ('cat', 'dog', 'bird')


def untrained(folder, channels=3, classes=(), step=5, **changes):
    """A folder as of a run of 'wgan_gp', its generator and the moving average of different noise."""
    settings = small_settings('wgan_gp', conditional=bool(classes), ema_decay=0.9, **changes)
    counts = [3, 5, 0][: len(classes)]
    shares = tuple(count / sum(counts) for count in counts)
    gan, hyperparameters = build_gan(settings, channels, class_shares=shares, conv_impl='native')
    random = np.random.default_rng(1)

    def noise(array):
        array = np.asarray(array)
        varied = array + random.uniform(0.1, 0.3, array.shape).astype(array.dtype)  # variances stay positive
        return varied if array.dtype == np.float32 else array

    state = jax.tree.map(noise, init_state(gan, hyperparameters, settings.seed))
    folder.mkdir(parents=True, exist_ok=True)
    CheckpointStore(folder / 'checkpoints', keep=5).save(step, state)
    dataset = {'shape': [10, *settings.height_width, channels], 'fingerprint': 'ab'}
    dataset |= {'classes': list(classes), 'class_counts': counts} if classes else {}
    config = {'launcher': 'train', 'settings': record(settings), 'dataset': dataset}
    (folder / 'config.json').write_text(json.dumps(config))
    return folder
