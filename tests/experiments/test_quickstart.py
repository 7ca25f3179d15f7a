"""The notebook runs from its first cell to its last, and is kept with its pictures in it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / 'experiments' / 'quickstart.ipynb'


def _cells():
    return [cell for cell in json.loads(NOTEBOOK.read_text())['cells'] if cell['cell_type'] == 'code']


def test_it_is_kept_with_its_outputs():
    kinds = [kind for cell in _cells() for output in cell['outputs'] for kind in output.get('data', {'text': ''})]
    assert kinds.count('image/png') >= 5 and kinds.count('text') >= 3
    assert not any(output['output_type'] == 'error' for cell in _cells() for output in cell['outputs'])


@pytest.mark.slow  # the code of the README, which is run below, is much of the same
def test_every_cell_runs(tmp_path):
    # Of each training a few steps: what is tested is that the code is that of today's library.
    code = '\n\n'.join(''.join(cell['source']) for cell in _cells())
    code, count = re.subn(r'\bsteps=\d{3,}', 'steps=4', code)
    code, tuples = re.subn(r'for steps in \(.*?\)', 'for steps in (2, 30)', code)
    assert count >= 3 and tuples == 1
    script = tmp_path / 'quickstart.py'
    script.write_text("import matplotlib\nmatplotlib.use('Agg')\n" + code)
    result = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, 'PYTHONPATH': str(NOTEBOOK.parents[1])},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    assert 'exact W1 of two real samples' in result.stdout and '4 updates, 4 of them in this call' in result.stdout


@pytest.mark.slow
def test_the_code_of_the_readme_runs(tmp_path):
    documents = [(NOTEBOOK.parents[1] / name).read_text() for name in ('README.md', 'wgan_jax/REGISTRIES.md')]
    blocks = re.findall(r'```python\n(.*?)```', '\n'.join(documents), re.DOTALL)
    assert len(blocks) == 2
    first = re.sub(r'\b(steps|decay_steps)=\d+', r'\1=2', blocks[0]).replace("'flags', ", "'flags', width=4, ")
    mine = """
import flax.linen as nn, jax, jax.numpy as jnp, numpy as np
np.save('pictures.npy', np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), np.uint8))
class MyGenerator(nn.Module):
    @nn.compact
    def __call__(self, z): return nn.Dense(32 * 32 * 3)(z).reshape(-1, 32, 32, 3)
class MyCritic(nn.Module):
    @nn.compact
    def __call__(self, x): return nn.Dense(1)(x.reshape(len(x), -1))[:, 0]
def my_penalty(critic_fn, real, fake, keys, *, axis_name=None): return jnp.mean(critic_fn(real) ** 2)
def my_critic_loss(real, fake): return jnp.mean(fake) - jnp.mean(real)
def my_generator_loss(fake): return -jnp.mean(fake)
"""
    last = "\nwgan_jax.train(wgan_jax.settings('wgan_gp', image_size=32, arch=networks, steps=2), 'runs/mine')"
    script = tmp_path / 'readme.py'
    script.write_text(mine + first.replace('width=32', 'width=4') + blocks[1] + last)
    environment = {**os.environ, 'PYTHONPATH': str(NOTEBOOK.parents[1])}
    result = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300, env=environment
    )
    assert result.returncode == 0, result.stderr[-2000:]
