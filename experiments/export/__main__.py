"""Hand a trained generator on: its arrays, a program that needs jax alone, a page for any browser, and a model card.

Everything is written into WORKDIR/export/, where WORKDIR is the run's folder. The folder goes to the Hugging Face Hub
as it is, wgan_jax.load reads it, the sample.py in it draws from the generator where nothing but jax is installed, and
explore.html runs it in a browser.
"""

import contextlib
from pathlib import Path

import jax
import numpy as np
from absl import flags

from wgan_jax import export, memory
from wgan_jax.data.pictures import grid_bytes
from wgan_jax.files import atomic_path
from wgan_jax.ranges import COUNT, whole
from wgan_jax.training.checkpoint import digest_of
from wgan_jax.training.classes import ROW, row_labels
from wgan_jax.training.load import Generator

from ..common import launcher, pictures
from ..common.best import say_of_best
from ..common.flagtypes import define_number, define_text
from . import card
from .explore import EXPLORE, try_explore

STEP = define_number('step', None, 'Checkpoint to export (default: the newest).', whole(0))
EMA = flags.DEFINE_bool('ema', True, "Export the generator's moving average.")
DATA_LICENSE = define_text(
    'data_license', None, 'Terms of the pictures it was trained on, such as cc-by-4.0 (flags: public domain).'
)
NUM = define_number('num', 64, "How many images are in the card's picture.", COUNT)

OUTPUTS = (*export.FILES, EXPLORE, 'samples.png', 'README.md')


def main() -> int:
    """Reads the flags and writes the folder; returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            workdir = Path(launcher.WORKDIR.value or 'runs/flags')
            generator, config = export.read(workdir, STEP.value, EMA.value)
            terms = card.terms_of_data(config['settings']['dataset'], DATA_LICENSE.value)
            memory.require(grid_bytes(NUM.value, *generator.settings.height_width), f'num={NUM.value} images')
            folder = held.enter_context(launcher.results_folder('export', workdir / 'export'))
        if STEP.value is None:
            say_of_best(workdir, generator.step)
        config['dataset']['license'] = terms
        # What somebody has written into the card stays, and not in the folder that is handed on.
        whole_config = launcher.begin(folder, OUTPUTS, aside=workdir, **config, flags=launcher.values_of(NUM))
        export.write(folder, generator, config['image']['channels'])
        try_explore(folder / EXPLORE, generator, workdir)
        columns = ROW if generator.classes else None
        pictures.save_png(folder / 'samples.png', pictures.grid(_samples(generator), columns))
        averaged = EMA.value or not generator.settings.ema_decay
        known = card.known_of(workdir, generator.step, digest_of(generator.variables)) if averaged else card.Known()
        with atomic_path(folder / 'README.md') as temporary:
            temporary.write_text(card.model_card(workdir.absolute().name, whole_config, known), encoding='utf-8')
        sizes = {name: (folder / name).stat().st_size for name in OUTPUTS if (folder / name).exists()}
        launcher.write_results(
            folder, {'step': generator.step, 'scores': known.scores, 'faults': list(known.faults), 'bytes': sizes}
        )
    print(f'The generator of step {generator.step} in {folder}/: {", ".join(sizes)}')
    return 0


def _samples(generator: Generator) -> np.ndarray:
    latents = generator.latents(jax.random.key(launcher.seed()), NUM.value)
    return np.asarray(generator.generate(latents, row_labels(NUM.value, len(generator.classes))))


if __name__ == '__main__':
    launcher.run(main)
