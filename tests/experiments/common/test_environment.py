"""What importing ``experiments`` sets in the environment, before JAX or matplotlib can have read it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
OURS = ('NPROC', 'JAX_COMPILATION_CACHE_DIR', 'WGAN_JAX_CACHE_DIR')
PROGRAM = """
import os, sys
import experiments
assert not {'jax', 'matplotlib'} & set(sys.modules)
print(os.environ.get('NPROC'), os.environ['MPLBACKEND'], os.environ['JAX_COMPILATION_CACHE_DIR'])
print(os.environ['WGAN_JAX_CACHE_DIR'] or 'none')
"""


@pytest.mark.parametrize('flag, threads', [('--devices=2', '16'), ('-devices', '16'), ('--steps=2', 'None')])
def test_it_is_prepared_before_jax_is_imported(flag, threads):
    # Fails if virtual devices get fewer threads than they need, which makes collective operations wait for ever.
    given = {name: value for name, value in os.environ.items() if name not in OURS}
    out = subprocess.run(
        [sys.executable, '-P', '-c', PROGRAM, flag], env={**given, 'PYTHONPATH': str(ROOT), 'MPLBACKEND': 'TkAgg'},
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert out[:2] == [threads, 'Agg'] and out[2].startswith(str(ROOT / '.jax_cache'))
    assert out[3] == str(ROOT / '.jax_cache' / 'images')


def test_what_the_user_has_set_stays():
    given = {
        **os.environ,
        'PYTHONPATH': str(ROOT),
        'NPROC': '3',
        'JAX_COMPILATION_CACHE_DIR': '/elsewhere',
        'WGAN_JAX_CACHE_DIR': '',
    }
    out = subprocess.run(
        [sys.executable, '-P', '-c', PROGRAM, '--devices=2'], env=given, capture_output=True, text=True, check=True
    ).stdout.split()
    assert out == ['3', 'Agg', '/elsewhere', 'none']


@pytest.mark.parametrize('variable', ['JAX_ENABLE_X64', 'TQDM_MININTERVAL'])
def test_variables_that_cannot_be_read_get_one_line(variable):
    given = {**os.environ, 'PYTHONPATH': str(ROOT), variable: 'maybe'}
    command = [sys.executable, '-P', '-m', 'experiments.momentum', '--steps=0']
    ended = subprocess.run(command, env=given, capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stderr.startswith('momentum: cannot begin: ')
    assert "'maybe'" in ended.stderr and len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    'variable',
    ['SOURCE_DATE_EPOCH=', 'SOURCE_DATE_EPOCH=abc', 'JAX_NUMPY_DTYPE_PROMOTION=strict', 'JAX_TRANSFER_GUARD=disallow'],
)
def test_what_would_end_the_work_later_is_said_at_once(variable):
    name, value = variable.split('=')
    given = {**os.environ, 'PYTHONPATH': str(ROOT), name: value}
    command = [sys.executable, '-P', '-m', 'experiments.momentum', '--steps=0']
    ended = subprocess.run(command, env=given, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == f'momentum: cannot begin: {variable} cannot be worked with: unset it\n'


def test_matplotlib_has_a_folder_for_its_fonts(tmp_path):
    # Fails if it looks for one when all is computed: where there is none, the figures could never be drawn.
    program = f"import os; exec({PROGRAM!r}); print(os.environ.get('MPLCONFIGDIR'))"
    (tmp_path / 'file').touch()
    for home, own in ((tmp_path, False), (tmp_path / 'file', True)):
        given = {**os.environ, 'PYTHONPATH': str(ROOT), 'HOME': str(home)}
        given.pop('MPLCONFIGDIR', None)
        out = subprocess.run(
            [sys.executable, '-P', '-c', program], env=given, capture_output=True, text=True, check=True
        )
        assert out.stdout.split()[-1].endswith('/matplotlib') == own, out.stdout
