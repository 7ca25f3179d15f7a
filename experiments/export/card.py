"""The model card of an exported generator, as the Hugging Face Hub takes it: Markdown below a head of YAML.

The head's fields: https://huggingface.co/docs/hub/model-cards#model-card-metadata
"""

import contextlib
import os
import re
from pathlib import Path
from typing import Any

from wgan_jax import export
from wgan_jax.json_files import read_json
from wgan_jax.text import printable
from wgan_jax.training.records import read_metrics

UNKNOWN = 'unknown'
# Of those that the Hub knows by name, https://huggingface.co/docs/hub/repositories-licenses; any other is 'other'.
_HUB_LICENSES = (
    'apache-2.0', 'bsd-2-clause', 'bsd-3-clause', 'cc', 'cc-by-2.0', 'cc-by-3.0', 'cc-by-4.0', 'cc-by-nc-2.0',
    'cc-by-nc-4.0', 'cc-by-nc-nd-4.0', 'cc-by-nc-sa-4.0', 'cc-by-nd-4.0', 'cc-by-sa-3.0', 'cc-by-sa-4.0', 'cc0-1.0',
    'gpl-3.0', 'mit', 'odbl', 'odc-by', 'pddl', 'unlicense', UNKNOWN,
)  # fmt: skip
_LOOKS = {
    'patch_distance': 'distance of patches from those of the data, sliced Wasserstein',
    'duplicates': 'share of near-duplicates among samples',
    'diversity': 'distance between samples over that between real images; 1: as diverse as the data',
}
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
{channels} channels. It was trained for {step} generator updates{average} on {images} images
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


def scores_of(workdir: Path, step: int, generator: str) -> tuple[dict[str, float], dict[str, float]]:
    """What is known of a run's samples, which are the moving average's, at a step: what was watched last up to it, and
    what ``evaluate`` has found of a generator with this digest; and, of the latter's scores, those of one half of the
    data beside the other, which say what is good.
    """
    scores: dict[str, float] = {}
    scale: dict[str, float] = {}
    with contextlib.suppress(ValueError):  # no metrics at all
        for row in read_metrics(workdir / 'metrics.jsonl'):
            if row['step'] <= step and row.get('patch_distance') is not None:
                scores = {name: row[name] for name in _LOOKS if row.get(name) is not None}
    results = workdir / 'evaluate' / 'results.json'
    if os.path.exists(results):
        found = read_json(results, {'scores': dict})
        if found.get('generator') == generator:
            scores |= _numbers(found['scores'])
            scale = _numbers(found.get('scale') or {})
    return scores, scale


def _numbers(scores: dict[str, Any]) -> dict[str, float]:
    return {name: score for name, score in scores.items() if isinstance(score, int | float)}


def model_card(name: str, config: dict[str, Any], scores: dict[str, float], scale: dict[str, float]) -> str:
    """The text of ``README.md``.

    Args:
        name: of the model, the title.
        config: what ``config.json`` of the folder says.
        scores, scale: as of ``scores_of``.
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
        and_labels=' and the number of a class' if classes else '', **image, step=config['step'],
        average=' (the moving average of their parameters)' if config['ema'] and settings['ema_decay'] else '',
        images=_images(config), dataset=_plain(settings['dataset']), version=config['wgan_jax'],
        program=export.PROGRAM, weights=export.WEIGHTS, draw=draws[latent['law']],
        labels=', jax.numpy.zeros(16, int)' if classes else '', platforms=', '.join(export.PLATFORMS),
        jax=config['versions']['jax'], classes=listed,
        settings=_table(('setting', 'value'), [(f'`{name}`', f'`{settings[name]}`') for name in _SHOWN]),
        scores=_scores(scores, scale), terms=_terms(terms),
    )  # fmt: skip


def _images(config: dict[str, Any]) -> str:
    """'587, of which about 10 % were held out,'."""
    count, held_out = config['dataset']['shape'][0], config['settings']['held_out']
    return f'{count}, of which about {held_out:.0%} were held out,' if held_out else str(count)


def _head(terms: str) -> str:
    known = terms.lower() if terms.lower() in _HUB_LICENSES else None
    lines = [f'license: {known or "other"}']
    if known is None:
        lines.append(f'license_name: {re.sub("[^a-z0-9.]+", "-", terms.lower()).strip("-.") or "of-the-data"}')
    lines += ['library_name: wgan_jax', 'pipeline_tag: unconditional-image-generation', 'tags:']
    return '\n'.join([*lines, *(f'- {tag}' for tag in ('gan', 'wasserstein-gan', 'jax', 'flax', 'stablehlo'))])


def _scores(scores: dict[str, float], scale: dict[str, float]) -> str:
    if not scores:
        return 'None was measured.'
    rows = [
        (
            f'`{name}`', f'{value:.4g}', f'{scale[name]:.4g}' if name in scale else '',
            _LOOKS.get(name, 'measured by `evaluate`'),
        )
        for name, value in scores.items()
    ]  # fmt: skip
    return _table(('score', 'samples', 'one half of the data beside the other', 'what it is'), rows)


def _terms(terms: str) -> str:
    if terms == UNKNOWN:
        return 'Unknown: nobody has said on what terms the pictures may be used. What is drawn here may resemble them.'
    return f'{_plain(terms[:1].upper() + terms[1:])}. These are the terms of the pictures that it was trained on.'


def _numbered(classes: list[str]) -> str:
    return '\n'.join(f'- {number}: {_plain(name)}' for number, name in enumerate(classes))


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return '\n'.join(f'| {" | ".join(row)} |' for row in (head, ('---',) * len(head), *rows))


def _plain(text: str) -> str:
    """A text in which Markdown and HTML find nothing of theirs."""
    return re.sub(r'([\\`*_{}\[\]<>#|!&])', r'\\\1', printable(text, 200))
