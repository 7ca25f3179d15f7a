"""launch.sh: what it says before it installs anything, and how it installs, with a pip that has nothing to install."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HANGS_UP = pytest.mark.skipif(
    signal.getsignal(signal.SIGHUP) == signal.SIG_IGN, reason='SIGHUP is ignored, as under nohup, and stays so'
)


@pytest.fixture
def clone(tmp_path):
    """A copy of what launch.sh needs, without an environment."""
    folder = tmp_path / 'a clone'  # spaces in a path break careless scripts
    shutil.copytree(ROOT / 'experiments', folder / 'experiments', ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('launch.sh', 'requirements.txt'):
        shutil.copy(ROOT / name, folder / name)
    return folder


def _environment(**environment):
    with_which_the_tests_run = ('PYTHON', 'WGAN_JAX_VENV')
    given = {name: value for name, value in os.environ.items() if name not in with_which_the_tests_run}
    return {**given, **environment}


def _launch(clone, *args, cwd='/', **environment):
    return subprocess.run(
        [str(clone / 'launch.sh'), *args], capture_output=True, text=True, env=_environment(**environment), cwd=cwd
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


def test_a_value_after_a_space_is_not_taken_for_a_launcher(clone):
    result = _launch(clone, '--local_processes', '2', 'train')
    expected = 'launch.sh: --local_processes takes its value after a =, as in --local_processes=2'
    assert (result.returncode, result.stderr.strip()) == (2, expected)


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
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(clone / '.venv')], check=True)
    result = _launch(clone, 'setup', WGAN_JAX_BACKEND='cpu')
    assert result.returncode == 2 and 'has no pip' in result.stderr


def test_the_environment_may_lie_elsewhere(clone, tmp_path):
    place = tmp_path / 'another'
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(place)], check=True)
    result = _launch(clone, 'setup', WGAN_JAX_BACKEND='cpu', WGAN_JAX_VENV=str(place))
    assert result.returncode == 2 and f'{place} has no pip' in result.stderr and not (clone / '.venv').exists()


def test_unknown_backend_is_refused(clone):
    result = _launch(clone, 'setup', WGAN_JAX_BACKEND='gpu')
    assert result.returncode == 2 and 'WGAN_JAX_BACKEND=gpu is unknown; there are: cpu, cuda, tpu' in result.stderr


# Instead of a Python: its environments get a pip that does what files in the folder $FAKE ask for.
FAKE_PYTHON = """#!/bin/sh
for folder; do :; done
case " $* " in
  *" -m venv "*)
    test ! -e "$FAKE/no venv" || { echo 'No space left on device'; exit 1; }
    test ! -e "$FAKE/wait for venv" || { touch "$FAKE/started"; sleep 30; }
    PYTHON "$@" --without-pip && cp -R "$FAKE/pip" "$folder"/lib/python3*/site-packages/
    ;;
  *) exec PYTHON "$@" ;;
esac
"""
FAKE_PIP = """
import json, os, subprocess, sys, time
from pathlib import Path

fake = Path(os.environ['FAKE'])
if 'install' not in sys.argv:
    sys.exit()
with open(fake / 'calls', 'a') as file:
    file.write(json.dumps([sys.argv[1:], dict(os.environ)]) + '\\n')
if (fake / 'wait').exists():
    helper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], stdout=subprocess.DEVNULL)
    (fake / 'started').touch()
    end = time.monotonic() + 30
    while (fake / 'wait').exists() and time.monotonic() < end:
        time.sleep(0.02)
    helper.kill()
if (fake / 'fail').exists():
    sys.exit('No space left on device')
for name in () if (fake / 'elsewhere').exists() else ('jax', 'pytest'):
    module = Path(__file__).parents[1] / name
    module.mkdir(exist_ok=True)
    (module / '__init__.py').touch()
    (module / '__main__.py').write_text('print("running")')
tool = Path(sys.executable).parent / 'tool'
tool.write_text(f'#!/bin/sh\\nexec "{sys.executable}" -c "import sys; print(sys.prefix)"\\n')
tool.chmod(0o755)
"""
PROBE = '''"""Says what it sees."""
import json, os, sys
import jax, random
try:
    lock = bool(os.fstat(9))
except OSError:
    lock = False
print(json.dumps({'pid': os.getpid(), 'lock': lock, 'jax': jax.__file__, 'random': random.__file__, 'path': sys.path,
                  'environment': dict(os.environ), 'arguments': sys.argv[1:]}))
'''


class Rig:
    """A clone whose installations are quick, and what they are told to do."""

    def __init__(self, clone, fake):
        self.clone, self.fake, self.venv = clone, fake, clone / '.venv'
        (fake / 'pip').mkdir(parents=True)
        (fake / 'pip/__init__.py').touch()
        (fake / 'pip/__main__.py').write_text(FAKE_PIP)
        (fake / 'python').write_text(FAKE_PYTHON.replace('PYTHON', shlex.quote(sys.executable)))
        (fake / 'python').chmod(0o755)
        (clone / 'experiments/__init__.py').write_text('')
        (clone / 'experiments/probe.py').write_text(PROBE)
        (clone / 'tests').mkdir()
        shutil.copy(ROOT / 'tests/requirements.txt', clone / 'tests')
        self.environment = {'PYTHON': str(fake / 'python'), 'FAKE': str(fake), 'WGAN_JAX_BACKEND': 'cpu'}

    def launch(self, *args, cwd='/', **environment):
        return _launch(self.clone, *args, cwd=cwd, **{**self.environment, **environment})

    def start(self, *args):
        """A call that goes on beside the test."""
        return subprocess.Popen(
            [str(self.clone / 'launch.sh'), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(**self.environment),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which a test in the background ignores
        )

    def start_waiting(self, *args, wait='wait'):
        """A call whose pip (or venv) has begun, and goes on when the file is deleted."""
        (self.fake / wait).touch()
        process, end = self.start(*args), time.monotonic() + 20
        while not (self.fake / 'started').exists() and time.monotonic() < end:
            time.sleep(0.02)
        assert (self.fake / 'started').exists()
        return process

    def calls(self):
        """The arguments and the environment of every pip install so far."""
        file = self.fake / 'calls'
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def names(self):
        """What there is in the clone of environments, whole or not."""
        return {path.name for path in self.clone.iterdir() if path.name.startswith('.')}


@pytest.fixture
def rig(clone, tmp_path):
    return Rig(clone, tmp_path / 'a fake')


def _refused(result, *parts, status=2):
    """One line says all of this."""
    assert result.returncode == status, result
    assert len(result.stderr.splitlines()) == 1 and not re.search(r'[\x00-\x09\x0b-\x1f\x7f]', result.stderr)
    assert result.stderr.startswith('launch.sh: ') and all(str(part) in result.stderr for part in parts), result.stderr
    return True


@pytest.mark.parametrize('command, installations', [('setup', 1), ('test', 2)])
def test_two_first_installations_at_once_are_one(rig, command, installations):
    first = rig.start_waiting(command)
    assert not rig.venv.exists()
    second = rig.start(command)
    assert second.stderr.readline() == f'launch.sh: waiting for another call that installs into {rig.venv}\n'
    (rig.fake / 'wait').unlink()
    first.communicate(timeout=20)
    said, errors = second.communicate(timeout=20)
    assert first.returncode == second.returncode == 0 and len(rig.calls()) == installations
    assert command == 'test' or (said.endswith('.venv is ready for cpu\n') and not errors)
    assert rig.names() == {'.venv'}


def test_an_environment_is_whole_at_its_last_place(rig):
    result = rig.launch('setup')
    assert result.returncode == 0 and result.stdout == f'launch.sh: {rig.venv} is ready for cpu\n'
    prefix = subprocess.run([rig.venv / 'bin/tool'], capture_output=True, text=True, check=True).stdout
    assert prefix == f'{rig.venv}\n' and rig.names() == {'.venv'}
    for path in [rig.venv / 'pyvenv.cfg', *rig.venv.glob('bin/[at]*')]:
        assert 'unfinished' not in path.read_text()
    again = rig.launch('setup')
    assert again.stdout == result.stdout and not again.stderr and len(rig.calls()) == 1


@pytest.mark.parametrize('wait', ['wait', 'wait for venv'])
@pytest.mark.parametrize(
    'number, status', [(signal.SIGINT, 130), (signal.SIGTERM, 143), pytest.param(signal.SIGHUP, 129, marks=HANGS_UP)]
)
def test_a_stopped_installation_leaves_nothing(rig, wait, number, status):
    process = rig.start_waiting('setup', wait=wait)
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)  # which would wait for what pip had started
    assert process.returncode == status and rig.names() == set()
    said = [line.split()[1] for line in errors.splitlines()]
    assert said == (['making', 'installing', 'stopped'] if wait == 'wait' else ['making', 'stopped'])
    (rig.fake / wait).unlink()
    again = rig.launch('setup')
    assert again.returncode == 0 and 'waiting' not in again.stderr and rig.names() == {'.venv'}


def test_a_waiting_call_can_be_stopped_and_stops_no_other(rig):
    first = rig.start_waiting('setup')
    second = rig.start('setup')
    second.stderr.readline()
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=10)
    (rig.fake / 'wait').unlink()
    first.communicate(timeout=20)
    assert (first.returncode, second.returncode) == (0, 143) and rig.names() == {'.venv'}


def test_a_killed_installation_is_waited_for_and_done_again(rig):
    process = rig.start_waiting('setup')
    process.kill()  # and its pip goes on
    process.wait()
    process.stderr.close()
    process.stdout.close()
    left = rig.clone / '.venv-unfinished-wgan_jax-123'
    left.mkdir()
    second = rig.start('setup')
    assert 'waiting for another call' in second.stderr.readline() and not rig.venv.exists()
    (rig.fake / 'wait').unlink()
    second.communicate(timeout=20)
    assert second.returncode == 0 and len(rig.calls()) == 2 and rig.names() == {'.venv'}


def test_an_unfinished_change_of_the_packages_is_repeated(rig):
    rig.launch('setup')
    requirements = (rig.clone / 'requirements.txt').read_text()
    (rig.clone / 'requirements.txt').write_text('jax<0.11\n')
    process = rig.start_waiting('setup')
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 143 and (rig.venv / 'bin/python').exists()
    (rig.fake / 'wait').unlink()
    (rig.clone / 'requirements.txt').write_text(requirements)  # as before, but the packages may not be
    assert rig.launch('setup').returncode == 0 and len(rig.calls()) == 3
    assert rig.launch('setup').returncode == 0 and len(rig.calls()) == 3


@pytest.mark.parametrize('way, part', [('fail', 'pip could not install jax'), ('elsewhere', 'elsewhere than into'),
                                       ('no venv', 'venv failed (No space left on device)')])  # fmt: skip
def test_a_failed_installation_leaves_nothing(rig, way, part):
    (rig.fake / way).touch()
    result = rig.launch('setup')
    assert result.returncode == 1 and part in result.stderr.splitlines()[-1] and rig.names() == set()
    (rig.fake / way).unlink()
    assert rig.launch('setup').returncode == 0 and rig.names() == {'.venv'}


@pytest.mark.parametrize('python', ['gone', 'broken'])
def test_an_environment_without_its_python_is_not_deleted(rig, tmp_path, python):
    rig.launch('setup')
    link, target = rig.venv / 'bin/python', tmp_path / 'a python'
    link.unlink()
    (rig.venv / 'bin/middle').symlink_to(target)
    link.symlink_to('middle')
    if python == 'broken':
        target.write_text('#!/bin/sh\nexit 1\n')
        target.chmod(0o755)
    for given in ({}, {'PYTHON': sys.executable}):
        result = rig.launch('setup', **given)
        assert _refused(result, rig.venv, target, 'does not exist' if python == 'gone' else 'does not run')
    assert (rig.venv / '.installed').exists()
    subprocess.run(re.search(r'\((rm -rf .*?)\)', result.stderr)[1], shell=True, check=True)
    assert rig.names() == set() and rig.launch('setup').returncode == 0


@pytest.mark.parametrize('kind', ['folder', 'home', 'file', 'dangling link', 'colon'])
def test_a_folder_that_is_no_environment_is_refused(rig, tmp_path, kind):
    place = tmp_path / ('a:b' if kind == 'colon' else 'a place')
    if kind in ('folder', 'home'):
        (place / 'bin').mkdir(parents=True)
        (place / 'file').touch()
    if kind == 'home':
        (place / 'bin/python').symlink_to(sys.executable)
    elif kind == 'file':
        place.touch()
    elif kind == 'dangling link':
        place.symlink_to('nowhere')
    before = sorted(tmp_path.rglob('*'))
    for name in (str(place), f'{place}/', os.path.relpath(place, '/')):
        assert _refused(rig.launch('setup', WGAN_JAX_VENV=name), place)
    assert sorted(tmp_path.rglob('*')) == before


def test_an_empty_folder_and_a_link_can_be_used(rig, tmp_path):
    place = tmp_path / 'a place'
    place.mkdir()
    rig.venv.symlink_to(place)
    for _ in range(2):
        assert rig.launch('probe').returncode == 0 and len(rig.calls()) == 1
    assert rig.venv.is_symlink() and {path.name for path in tmp_path.iterdir()} == {'a clone', 'a fake', 'a place'}
    assert subprocess.run([place / 'bin/tool'], capture_output=True, text=True).stdout == f'{place}\n'
    assert rig.launch('probe', WGAN_JAX_VENV=f'{tmp_path}/folders/new/./').returncode == 0
    assert [path.name for path in (tmp_path / 'folders').iterdir()] == ['new']


def test_a_clone_that_cannot_be_written_is_named(clone, tmp_path):
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / 'a clone'
        shutil.copytree(clone, place)
        python = Path(folder) / 'python'
        python.write_text('#!/bin/sh\necho 3.11\n')
        for path, mode in ((python, 0o755), (Path(folder), 0o755), (place, 0o555)):
            path.chmod(mode)
        result = subprocess.run(
            [str(place / 'launch.sh'), 'setup'], capture_output=True, text=True, cwd='/',
            env=_environment(PYTHON=str(python), WGAN_JAX_BACKEND='cpu'),
            user=65534 if os.geteuid() == 0 else None,  # root can write everywhere
        )  # fmt: skip
        assert _refused(result, f'{place}/.venv cannot be written (Permission denied)', 'WGAN_JAX_VENV')
        place.chmod(0o755)


def test_a_whole_environment_is_only_read(rig):
    rig.launch('setup')
    (rig.venv / '.lock').unlink()
    before = {path: path.lstat().st_mtime_ns for path in rig.clone.rglob('*') if '__pycache__' not in str(path)}
    assert rig.launch('probe', PYTHONDONTWRITEBYTECODE='1').returncode == 0
    assert before == {path: path.lstat().st_mtime_ns for path in rig.clone.rglob('*') if '__pycache__' not in str(path)}


def test_nothing_of_the_caller_replaces_a_package(rig, tmp_path):
    own = tmp_path / 'own'
    own.mkdir()
    for name in ('jax', 'random', 'pip', 'venv', 'experiments', 'sitecustomize'):
        (own / f'{name}.py').write_text('raise SystemExit("the wrong module")')
    result = rig.launch(
        'probe', '--flag=a b', cwd=own, PYTHONPATH=str(own), PYTHONHOME=str(own), PYTHONSTARTUP='x', PYTHONUSERBASE='x',
        PYTHONSAFEPATH='1', PYTHONPLATLIBDIR='x', PIP_TARGET=str(own), PIP_PREFIX=str(own), PIP_USER='1',
        PIP_REQUIRE_VIRTUALENV='1', PIP_PYTHON='x', PIP_INDEX_URL='https://example.org', PIP_CERT='c', HTTPS_PROXY='p',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout)
    assert seen['jax'].startswith(str(rig.venv)) and 'own' not in seen['random'] and seen['arguments'] == ['--flag=a b']
    assert seen['environment']['PYTHONPATH'] == str(rig.clone) and str(own) not in seen['path']
    ((_, pip),) = rig.calls()
    kept = {name: value for name, value in pip.items() if name in ('PIP_INDEX_URL', 'PIP_CERT', 'HTTPS_PROXY')}
    assert kept == {'PIP_INDEX_URL': 'https://example.org', 'PIP_CERT': 'c', 'HTTPS_PROXY': 'p'}
    for environment in (seen['environment'], pip):
        assert not {'PIP_TARGET', 'PIP_PREFIX', 'PIP_PYTHON', 'PIP_REQUIRE_VIRTUALENV', 'PYTHONHOME', 'PYTHONSTARTUP',
                    'PYTHONUSERBASE', 'PYTHONSAFEPATH', 'PYTHONPLATLIBDIR'} & set(environment)  # fmt: skip
    assert pip['PIP_USER'] == '0'


def test_a_launcher_gets_signals_itself_and_no_lock(rig):
    process = rig.start('probe')
    said, _ = process.communicate(timeout=20)
    assert json.loads(said)['pid'] == process.pid and not json.loads(said)['lock']


@pytest.mark.parametrize('way', ['link', 'relative links', 'path', 'relative', 'gone', 'CDPATH', 'cd', 'BASH_ENV',
                                 'SHELLOPTS'])  # fmt: skip
def test_launchers_are_found_from_anywhere(clone, tmp_path, way):
    bin, environment, command = tmp_path / 'a bin', {}, [str(clone / 'launch.sh')]
    (bin / 'gone').mkdir(parents=True)
    (bin / 'first').symlink_to('experiments/../second')
    (bin / 'second').symlink_to('../a clone/launch.sh')
    (bin / 'third').symlink_to(bin / 'first')
    (bin / 'experiments').mkdir()  # not these
    match way:
        case 'link':
            command = [str(bin / 'third')]
        case 'relative links':
            command = ['./first']
        case 'path':
            command, environment = ['env', 'third'], {'PATH': f'{bin}:{os.environ["PATH"]}'}
        case 'relative':
            command = ['bash', '../a clone/launch.sh']
        case 'gone':
            command = ['bash', '-c', 'cd gone && rmdir ../gone && exec "$0" "$@"', str(bin / 'third')]
        case 'CDPATH':
            (bin / 'a link').symlink_to(clone)
            (bin / 'gone/a link/experiments').mkdir(parents=True)
            command, environment = ['bash', 'a link/launch.sh'], {'CDPATH': f'{bin}/gone:/'}
        case 'cd':
            environment = {'BASH_FUNC_cd%%': '() { builtin cd "$@" && echo "now in $PWD"; }'}
        case 'BASH_ENV':
            (bin / 'env').write_text('set -fC; pwd() { echo nowhere; }; export CDPATH=/\n')
            environment = {'BASH_ENV': str(bin / 'env'), 'ENV': '/nowhere'}
        case 'SHELLOPTS':
            environment = {'SHELLOPTS': 'noclobber:noglob'}
    result = subprocess.run(
        [*command, '--help'], capture_output=True, text=True, cwd=bin, env=_environment(**environment)
    )
    assert result.returncode == 0 and '\n  train  ' in result.stdout, result
    assert way == 'gone' or not result.stderr


@pytest.mark.parametrize('arguments', [[''], ['--'], ['-'], ['--', 'train'], ['tra\nin'], ['\x1b[31mtrain\r'],
                                       ['setup', '--backend=cuda'], ['check', 'x\n\x07']])  # fmt: skip
def test_what_names_no_launcher_is_refused_in_one_line(clone, arguments):
    result = _launch(clone, *arguments, WGAN_JAX_BACKEND='cpu')
    assert _refused(result) and not (clone / '.venv').exists()


def test_a_copy_without_its_clone_is_refused(clone, tmp_path):
    shutil.copy(clone / 'launch.sh', tmp_path)
    assert _refused(_launch(tmp_path, 'train'), 'no experiments/', tmp_path)


def test_flags_of_places_stand_before_the_name(clone, tmp_path):
    # Fails if --help after them hands in a job, or if tests or a setup go elsewhere.
    path = _tools(tmp_path / 'bin')
    result = _launch(clone, '--slurm', '--nodes=2', '--help', PATH=path)
    assert result.returncode == 0 and '--gpus_per_node' in result.stdout and not (clone / '.venv').exists()
    result = _launch(clone, '--dry_run', 'setup', PATH=path)
    assert result.returncode == 2 and 'setup is run here: leave out --dry_run' in result.stderr
