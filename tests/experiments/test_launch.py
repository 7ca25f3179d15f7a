"""launch.sh without an environment: what it says before it installs anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clone(tmp_path):
    """A copy of what launch.sh needs, without an environment."""
    folder = tmp_path / 'a clone'  # spaces in a path break careless scripts
    shutil.copytree(ROOT / 'experiments', folder / 'experiments', ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('launch.sh', 'requirements.txt'):
        shutil.copy(ROOT / name, folder / name)
    return folder


def _launch(clone, *args, **environment):
    given = {name: value for name, value in os.environ.items() if name != 'PYTHON'}  # with which the tests may run
    return subprocess.run(
        [str(clone / 'launch.sh'), *args], capture_output=True, text=True, env={**given, **environment}, cwd='/'
    )


def _tools(folder, *names):
    """A PATH with only these programs and what bash scripts live on."""
    folder.mkdir()
    for name in ('bash', 'dirname', 'basename', 'head', 'sed', 'awk', 'cat', 'cksum', 'grep', *names):
        (folder / name).symlink_to(shutil.which(name))
    return str(folder)


def test_help_lists_every_launcher_and_installs_nothing(clone, tmp_path):
    result = _launch(clone, '--help', PATH=_tools(tmp_path / 'bin'))
    assert result.returncode == 0 and not (clone / '.venv').exists()
    folder = ROOT / 'experiments'
    launchers = {path.stem: path for path in folder.glob('[a-z]*.py')}
    launchers |= {path.parent.name: path for path in folder.glob('*/__main__.py')}
    listed = dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if line.startswith('  '))
    assert set(listed) == {*launchers, 'setup', 'test', 'check'} and {'train', 'toy', 'sample', 'game'} <= set(
        launchers
    )
    for name, path in launchers.items():
        assert listed[name] == path.read_text().splitlines()[0].strip('"')


@pytest.mark.parametrize('name', ['trian', 'common', 'gallery', '__init__', '../train'])
def test_unknown_launcher_is_refused_with_the_names(clone, name):
    result = _launch(clone, name)
    assert result.returncode == 2 and f"no launcher '{name}'; there are: " in result.stderr
    assert {'train', 'game', 'setup', 'test'} <= set(result.stderr.split())
    assert not (clone / '.venv').exists()


def test_missing_python_is_named(clone, tmp_path):
    result = _launch(clone, 'setup', PATH=_tools(tmp_path / 'bin'), WGAN_JAX_BACKEND='cpu')
    assert result.returncode == 2 and 'no Python >= 3.11 was found' in result.stderr


@pytest.mark.parametrize('python', ['python9', 'true', '/no such/python'])
def test_a_python_that_is_asked_for_is_not_replaced_by_another(clone, python):
    result = _launch(clone, 'setup', WGAN_JAX_BACKEND='cpu', PYTHON=python)
    assert result.returncode == 2 and f'PYTHON={python} is no Python >= 3.11' in result.stderr
    assert not (clone / '.venv').exists()


def test_an_environment_of_another_python_is_refused(clone, tmp_path):
    made, asked = clone / '.venv/bin/python', tmp_path / 'another python'
    made.parent.mkdir(parents=True)
    for path, version in ((made, '3.11'), (asked, '3.12')):
        path.write_text(f'#!/bin/sh\necho {version}\n')
        path.chmod(0o755)
    result = _launch(clone, 'setup', WGAN_JAX_BACKEND='cpu', PYTHON=str(asked))
    assert result.returncode == 2 and f'.venv has 3.11, not PYTHON={asked}: name another folder' in result.stderr


def test_an_environment_without_pip_is_named(clone, tmp_path):
    import sys

    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(clone / '.venv')], check=True)
    result = _launch(clone, 'setup', WGAN_JAX_BACKEND='cpu')
    assert result.returncode == 2 and 'has no pip' in result.stderr


def test_the_environment_may_lie_elsewhere(clone, tmp_path):
    import sys

    place = tmp_path / 'another'
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(place)], check=True)
    result = _launch(clone, 'setup', WGAN_JAX_BACKEND='cpu', WGAN_JAX_VENV=str(place))
    assert result.returncode == 2 and f'{place} has no pip' in result.stderr and not (clone / '.venv').exists()


def test_unknown_backend_is_refused(clone):
    result = _launch(clone, 'setup', WGAN_JAX_BACKEND='gpu')
    assert result.returncode == 2 and 'WGAN_JAX_BACKEND=gpu is unknown; there are: cpu, cuda, tpu' in result.stderr
