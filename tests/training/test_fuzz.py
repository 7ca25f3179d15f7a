"""Damaged files of a run, by chance: read as they were written, or a ValueError of one line.

``WGAN_JAX_FUZZ=10000`` tries that many mutations of each kind, and not a few hundred.
"""

import json
import os
import random
import shutil
import sys
import time

import numpy as np
import orbax.checkpoint as ocp
import pytest

from tests.mutations import mutate
from tests.peak_memory import taking_less_than
from tests.training.common import small_settings
from wgan_jax.json_files import read_json
from wgan_jax.training.checkpoint import CheckpointStore, digest_of_arrays, flatten
from wgan_jax.training.folder import read_run
from wgan_jax.training.manifest import Manifest
from wgan_jax.training.records import MetricsLog, read_metrics
from wgan_jax.training.settings import Settings, record

NUM = int(os.environ.get('WGAN_JAX_FUZZ', '200'))
MAX_MEMORY = 2**30
RUN = {'settings': {'seed': 3}, 'dataset': {'fingerprint': 'ab'}}


@pytest.fixture(autouse=True)
def memory():
    """What is taken on the way must be small."""
    with taking_less_than(MAX_MEMORY):
        yield


@pytest.fixture(scope='module', autouse=True)
def quiet():
    """TensorStore goes on telling the event loop of a checkpoint that could not be read, from threads of its own.

    Formatting what comes of it there disturbs whatever parses Python at that moment (python/cpython#106905).
    """
    plain, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
    yield
    time.sleep(1)
    sys.unraisablehook = plain


def one_line(error):
    return len(str(error).splitlines()) == 1 and len(str(error)) < 1000


@pytest.mark.parametrize('listed', [True, False], ids=['listed', 'not listed'])
def test_checkpoints(listed, tmp_path):
    tree = {'a': np.arange(60, dtype=np.float32).reshape(3, 20), 'b': np.int32(7), 'c': {'d': np.ones(5, np.uint32)}}
    whole = tmp_path / 'checkpoints' / '5'
    store = CheckpointStore(tmp_path / 'checkpoints', keep=1)
    store.save(5, tree, RUN)
    if not listed:  # as of version 0.2
        arrays = flatten(tree)
        shutil.rmtree(whole)
        seal = ocp.args.JsonSave({'sha256': digest_of_arrays(arrays)})
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as writer:
            writer.save(whole, args=ocp.args.Composite(state=ocp.args.StandardSave(arrays), seal=seal))
    contents = {path: path.read_bytes() for path in whole.rglob('*') if path.is_file()}
    names, draw, refused = sorted(contents), random.Random(0), 0
    # Without its list, a checkpoint is handed to Orbax as it is, which takes long over what it cannot read.
    for _ in range(NUM if listed else NUM // 10):
        path = draw.choice(names)
        path.write_bytes(mutate(contents[path], list(contents.values()), draw))
        try:
            found = store.read(5)
        except ValueError as error:
            assert one_line(error) and str(whole) in str(error)
            refused += 1
        else:
            assert found.run == (RUN if listed else None)
            for name, array in flatten(tree).items():
                assert found.arrays[name].tobytes() == array.tobytes()
        shutil.rmtree(whole)
        for name, content in contents.items():
            name.parent.mkdir(parents=True, exist_ok=True)
            name.write_bytes(content)
    assert refused > 0


def test_configurations(tmp_path):
    path = tmp_path / 'config.json'
    dataset = {'shape': [4, 16, 32, 3], 'fingerprint': 'ab'}
    config = {
        'launcher': 'train',
        'settings': record(small_settings('wgan')),
        'dataset': dataset,
        'run': {'log_every': 1},
    }
    text, draw, read = json.dumps(config, indent=2).encode(), random.Random(1), 0
    for _ in range(NUM):
        path.write_bytes(mutate(text, [text], draw))
        try:
            found = read_run(tmp_path)
        except ValueError as error:
            assert one_line(error)
        else:
            read += 1
            assert set(found['settings']) == set(vars(Settings()))
            assert isinstance(found['dataset']['fingerprint'], str)
    assert 0 < read < NUM


def test_metrics(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    rows = [{'step': step, 'critic_loss': step / 7, 'wasserstein': None, 'seconds': 0.5 * step} for step in range(1, 9)]
    text, draw = ''.join(json.dumps(row) + '\n' for row in rows).encode(), random.Random(2)
    for _ in range(NUM):
        path.write_bytes(mutate(text, [text], draw))
        found = read_metrics(path)
        MetricsLog(path, step=6).close()
        kept = read_metrics(path)
        assert [row['step'] for row in found] == sorted({row['step'] for row in found})
        assert kept == [row for row in found if row['step'] <= 6]
        assert all(isinstance(value, (int, float, type(None))) for row in found for value in row.values())
        shutil.rmtree(tmp_path / 'damaged', ignore_errors=True)


def test_lists_and_results(tmp_path):
    manifest, path = Manifest(tmp_path), tmp_path / '.manifest.json'
    for name in ('metrics.jsonl', 'results.json', 'curves.png'):
        (tmp_path / name).write_text(f'{{"steps": 4, "of": "{name}"}}')
    manifest.update(0)
    text, draw = path.read_bytes(), random.Random(3)
    for _ in range(NUM):
        path.write_bytes(mutate(text, [text], draw))
        assert all(found.parent == tmp_path for found in manifest.changed())
        try:
            assert isinstance(read_json(path, {}), dict)
        except ValueError as error:
            assert one_line(error)
