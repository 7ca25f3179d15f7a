"""A set that has changed since a run began on it: the refusal says by name what has."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

import wgan_jax
from wgan_jax.data.images import collect, hold_out
from wgan_jax.training.contents import changes_of, list_contents

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (20, 4, 4, 1), np.uint8)
NAMES = tuple(f'{i:02}.png' for i in range(20))


@pytest.mark.slow
def test_a_changed_folder_is_refused_by_name(tmp_path):
    # Fails if nothing, or something else, is named; or if a run on the changed set goes on.
    root = tmp_path / 'set'
    root.mkdir()
    for name, pixels in zip(NAMES, PIXELS, strict=True):
        Image.fromarray(pixels[..., 0]).save(root / name)
    settings = wgan_jax.settings('wgan_gp', arch='mlp', image_size=4, width=4, batch_size=2, n_critic=1, steps=1)
    wgan_jax.train(settings, tmp_path / 'run', dataset=f'folder:{root}')
    (root / '03.png').unlink()
    (root / '05.png').rename(root / 'z.png')
    Image.fromarray(255 - PIXELS[7, ..., 0]).save(root / '07.png')
    wanted = r'20 -> 19 pictures, 2 gone: 03\.png, 05\.png, 1 new: z\.png, 1 changed: 07\.png\)'
    with pytest.raises(ValueError, match=wanted) as caught:
        wgan_jax.train(settings, tmp_path / 'run', dataset=f'folder:{root}')
    assert '\n' not in str(caught.value)
    other = dataclasses.replace(settings, image_size='5x5')  # of which every pixel differs
    with pytest.raises(ValueError, match='image_size: 4x4 -> 5x5') as caught:
        wgan_jax.train(other, tmp_path / 'run', dataset=f'folder:{root}')
    assert 'pictures,' not in str(caught.value)


def test_images_that_are_held_out_are_of_the_set(tmp_path):
    # Fails if the share that is held out counts as gone.
    images = hold_out(collect(PIXELS, NAMES), 0.3)
    assert len(images.held_out) == len(images.held_out_names) > 0
    assert not set(images.names) & set(images.held_out_names)
    list_contents(tmp_path, images)
    assert changes_of(tmp_path, collect(PIXELS, NAMES)) == ''
    gone = images.held_out_names[0]
    kept = [i for i, name in enumerate(NAMES) if name != gone]
    fewer = collect(PIXELS[kept], [NAMES[i] for i in kept])
    assert changes_of(tmp_path, fewer) == f'20 -> 19 pictures, 1 gone: {gone}'


@pytest.mark.parametrize('text', [None, '', '[1]', '{"00.png": "x"}'])
def test_without_a_list_nothing_is_claimed(text, tmp_path):
    if text is not None:
        (tmp_path / '.pictures.json').write_text(text)
    found = changes_of(tmp_path, collect(PIXELS, NAMES))
    assert found == '' or found.startswith('1 -> 20 pictures')
    assert changes_of(tmp_path, collect(PIXELS)) == ''
