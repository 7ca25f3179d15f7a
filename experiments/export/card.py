"""The model card of an exported generator, as the Hugging Face Hub takes it: Markdown below a head of YAML.

The head's fields: https://huggingface.co/docs/hub/model-cards#model-card-metadata
"""

import contextlib
import logging
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from wgan_jax import export
from wgan_jax.json_files import read_json
from wgan_jax.metrics.scorecard import SCORES, meaning_of
from wgan_jax.text import printable
from wgan_jax.training.records import read_metrics

logger = logging.getLogger('wgan_jax.export')

UNKNOWN = 'unknown'
# Of those that the Hub knows by name, https://huggingface.co/docs/hub/repositories-licenses; any other is 'other'.
_HUB_LICENSES = (
    'apache-2.0', 'bsd-2-clause', 'bsd-3-clause', 'cc', 'cc-by-2.0', 'cc-by-3.0', 'cc-by-4.0', 'cc-by-nc-2.0',
    'cc-by-nc-4.0', 'cc-by-nc-nd-4.0', 'cc-by-nc-sa-4.0', 'cc-by-nd-4.0', 'cc-by-sa-3.0', 'cc-by-sa-4.0', 'cc0-1.0',
    'gpl-3.0', 'mit', 'odbl', 'odc-by', 'pddl', 'unlicense', UNKNOWN,
)  # fmt: skip
_LOOKS = ('patch_distance', 'duplicates', 'diversity')  # watched in training
# Settings that a reader asks for first; config.json has all.
_SHOWN = (
    'arch', 'width', 'latent', 'latent_dim', 'objective', 'constraint', 'optimizer', 'generator_lr', 'critic_lr',
    'n_critic', 'batch_size', 'augment', 'ema_decay', 'precision', 'conditional', 'seed',
)  # fmt: skip

_CARD = """\
---
{head}
---

# {name}

![{shown} samples](samples.png)

*{shown} samples, not selected{rows}.*

The generator of a GAN: it maps {size} numbers ({law}){and_labels} to one picture of {height} x {width} pixels and
{planes}. It was trained for {step} generator updates{average} on {images} images
({dataset}) with wgan_jax {version}.

## Use

With jax alone, `python sample.py SEED NUMBER` in this folder; or in your own program (`pip install jax flatbuffers`):

```python
import jax
from jax import export

program = export.deserialize(bytearray(open('{program}', 'rb').read()))
latents = jax.random.{draw}
images = program.call(latents{labels})  # (16, {height}, {width}, {channels}) in [-1, 1]
```

With wgan_jax, `wgan_jax.load(FOLDER).sample(jax.random.key(0), 16)`, which gives the same pictures as the run itself.
`{program}` runs on {platforms}; it was written by jax {jax}. JAX promises that releases of the six months
after it can read it; `{weights}` and `config.json` do not depend on that.
{classes}
## Settings

{settings}

All of them are in `config.json`.

## Scores

{scores}

## Licence of the data

{terms}
"""


def terms_of_data(dataset: str, given: str | None) -> str:
    """The licence of the pictures: what is known of the package's own, else what is given, else 'unknown'.

    Raises:
        ValueError: where one is given for the package's own pictures.
    """
    own = dataset.partition(':')[0] == 'flags'
    if own and given is not None:
        raise ValueError('data_license has no effect on flags, which are in the public domain: leave it out')
    return 'public domain' if own else given or UNKNOWN


class Known(NamedTuple):
    """What is known of a generator.

    Attributes:
        scores: by name.
        scale: of those that ``evaluate`` has found, what one half of the data gets beside the other: what is good.
        samples: that it compared with as many real images; 0 where it was not called.
        faults: that it found, each in a sentence.
    """

    scores: dict[str, float] = {}  # noqa: RUF012  nobody changes it
    scale: dict[str, float] = {}  # noqa: RUF012
    samples: int = 0
    faults: tuple[str, ...] = ()


def known_of(workdir: Path, step: int, generator: str) -> Known:
    """What is known of a run's samples, which are the moving average's, at a step: what was watched last up to it, and
    what ``evaluate`` has found of a generator with this digest.
    """
    known = Known()
    with contextlib.suppress(ValueError):  # no metrics at all
        for row in read_metrics(workdir / 'metrics.jsonl'):
            if row['step'] <= step and row.get('patch_distance') is not None:
                known = Known({name: row[name] for name in _LOOKS if row.get(name) is not None})
    results = workdir / 'evaluate' / 'results.json'
    if os.path.exists(results):
        try:
            found = read_json(results, {'scores': dict, 'faults': [{'name': str, 'why': str}], 'samples': int})
        except ValueError as error:
            logger.warning(f'{error}: not used; evaluate the run again')
            return known
        if found.get('generator') == generator:
            faults = tuple(f'{fault["name"].capitalize()}: {fault["why"]}.' for fault in found['faults'])
            scale = _numbers(found.get('scale') or {})
            known = Known(known.scores | _numbers(found['scores']), scale, found['samples'], faults)
    return known


def _numbers(scores: dict[str, Any]) -> dict[str, float]:
    return {name: score for name, score in scores.items() if isinstance(score, int | float)}


def model_card(name: str, config: dict[str, Any], known: Known) -> str:
    """The text of ``README.md``.

    Args:
        name: of the model, the title.
        config: what ``config.json`` of the folder says.
        known: as of ``known_of``.
    """
    settings, image, latent = config['settings'], config['image'], config['latent']
    classes, terms = config['dataset'].get('classes', []), config['dataset']['license']
    size = latent['size']
    draws = {
        'normal': f'normal(jax.random.key(0), (16, {size}))',
        'uniform': f'uniform(jax.random.key(0), (16, {size}), minval=-1.0, maxval=1.0)',
    }
    listed = f'\n## Classes\n\n{_numbered(classes)}\n' if classes else ''
    return _CARD.format(
        head=_head(terms), name=_plain(name), shown=config['flags']['num'],
        rows=', in rows of one class each' if classes else '', size=size,
        law={'normal': 'normal, N(0, I)', 'uniform': 'uniform in [-1, 1)'}[latent['law']],
        and_labels=' and the number of a class' if classes else '', **image, planes=_planes(image['channels']),
        step=config['step'],
        average=' (the moving average of their parameters)' if config['ema'] and settings['ema_decay'] else '',
        images=_images(config), dataset=_plain(settings['dataset']), version=config['wgan_jax'],
        program=export.PROGRAM, weights=export.WEIGHTS, draw=draws[latent['law']],
        labels=', jax.numpy.zeros(16, int)' if classes else '', platforms=', '.join(export.PLATFORMS),
        jax=config['versions']['jax'], classes=listed,
        settings=_table(('setting', 'value'), [(f'`{name}`', f'`{settings[name]}`') for name in _SHOWN]),
        scores=_scores(known), terms=_terms(terms),
    )  # fmt: skip


def _images(config: dict[str, Any]) -> str:
    """'about 90% of 587'."""
    count, held_out = config['dataset']['shape'][0], config['settings']['held_out']
    return f'about {1 - held_out:.0%} of {count}' if held_out else str(count)


def _planes(channels: int) -> str:
    return {1: 'one channel', 3: 'three channels', 4: 'four channels, the last of which is alpha'}[channels]


def _head(terms: str) -> str:
    known = terms.lower() if terms.lower() in _HUB_LICENSES else None
    lines = [f'license: {known or "other"}']
    if known is None:
        lines.append(f'license_name: {re.sub("[^a-z0-9.]+", "-", terms.lower()).strip("-.") or "of-the-data"}')
    lines += ['library_name: wgan_jax', 'pipeline_tag: unconditional-image-generation', 'tags:']
    return '\n'.join([*lines, *(f'- {tag}' for tag in ('gan', 'wasserstein-gan', 'jax', 'flax', 'stablehlo'))])


def _scores(known: Known) -> str:
    if not known.scores:
        return 'None was measured.'
    rows = [
        (
            f'`{name}`', f'{value:.4g}', f'{known.scale[name]:.4g}' if name in known.scale else '',
            *(meaning_of(name) if name.rpartition('/')[2] in SCORES else ('', '')),
        )
        for name, value in known.scores.items()
    ]  # fmt: skip
    table = _table(('score', 'samples', 'one half of the data beside the other', 'better', 'what it is'), rows)
    if not known.samples:
        return f'{table}\n\nWatched in training, on up to 256 samples; `evaluate` was not called.'
    found = '\n'.join(f'- {_plain(fault, 2_000)}' for fault in known.faults) or '- no fault.'
    looked = f'{known.samples} samples, compared with as many real images (for copies, of 1,000 at least)'
    return f'Of {looked}, `evaluate` found:\n\n{found}\n\n{table}'


def _terms(terms: str) -> str:
    if terms == UNKNOWN:
        return 'Unknown: nobody has said on what terms the pictures may be used. What is drawn here may resemble them.'
    shown = terms if terms.lower() in _HUB_LICENSES else terms[:1].upper() + terms[1:]
    return f'{_plain(shown)}. These are the terms of the pictures that it was trained on.'


def _numbered(classes: list[str]) -> str:
    return '\n'.join(f'- {number}: {_plain(name)}' for number, name in enumerate(classes))


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return '\n'.join(f'| {" | ".join(row)} |' for row in (head, ('---',) * len(head), *rows))


def _plain(text: str, most: int = 200) -> str:
    """A text in which Markdown and HTML find nothing of theirs, of so many characters at most."""
    return re.sub(r'([\\`*_{}\[\]<>#|!&])', r'\\\1', printable(text, most))
