"""Launchers as processes: one started for each run, and one that forks for each of many inputs that are refused."""

import importlib
import json
import logging
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _python(*arguments, **options):
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'}
    command = [sys.executable, '-P', '-m', *arguments]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def start(name, *flags):
    """``python -m experiments.NAME`` with these flags."""
    return _python(f'experiments.{name}', *flags)


def finish(process):
    """(exit status, stdout, stderr) of a process that ``start`` returned."""
    out, err = process.communicate(timeout=500)
    return process.returncode, out, err


def done(name, workdir, *flags):
    """What a launcher left in a folder, (config, results), after a run that ended well and said where they are."""
    code, out, err = finish(start(name, *flags, f'--workdir={workdir}'))
    assert code == 0, err
    assert f'{workdir}/' in out
    config, results = (json.loads((workdir / f'{what}.json').read_text()) for what in ('config', 'results'))
    assert config['launcher'] == name and config['versions']['jax']
    return config, results


def answers(*commands):
    """(exit status, stdout, stderr) of each (NAME, flag, ...), in a process of its own, as of ``start``.

    They are forked from one process that has imported what takes long to import, and takes no part in the answer.
    """
    out, err = _python(__name__, stdin=subprocess.PIPE).communicate(json.dumps(commands), timeout=500)
    assert out, err
    return [tuple(answer) for answer in json.loads(out)]


def _answer(name, *flags):
    """Runs a launcher in a child; what it answered."""
    pipes = [os.pipe() for _ in range(2)]
    child = os.fork()
    if not child:
        for number, (_, end) in zip((1, 2), pipes, strict=True):
            os.dup2(end, number)
        sys.argv = ['', *flags]
        runpy.run_module(f'experiments.{name}', run_name='__main__', alter_sys=True)
        sys.exit()
    for _, end in pipes:
        os.close(end)
    texts = [os.fdopen(begin).read() for begin, _ in pipes]  # a few lines, which no pipe is too short for
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), *texts


def answers_of(name, *commands):
    """(exit status, stdout, stderr) of each list of flags of one launcher, all in one process, which compiles once."""
    out, err = _python(__name__, name, stdin=subprocess.PIPE).communicate(json.dumps(commands), timeout=500)
    assert out, err
    return [tuple(answer) for answer in json.loads(out)]


class _Left(BaseException):
    """The process would have ended, with this status."""


def _in_turn(name, commands):
    """What a launcher answers to each list of flags, without leaving the process."""
    package = ROOT / 'experiments' / name
    module = importlib.import_module(f'experiments.{name}' + ('.__main__' if package.is_dir() else ''))
    launcher, flags = (importlib.import_module(each) for each in ('experiments.common.launcher', 'absl.flags'))
    sys.modules['__main__'] = module

    def leave(status):
        raise _Left(status)

    os._exit, given = leave, []
    for command in commands:
        flags.FLAGS.unparse_flags()
        logging.getLogger('wgan_jax').handlers.clear()
        sys.argv = ['', *command]
        streams = sys.stdout, sys.stderr = [tempfile.TemporaryFile('w+') for _ in range(2)]
        try:
            launcher.run(module.main)
        except _Left as left:
            given.append([left.args[0]])
        for stream in streams:
            stream.seek(0)
            given[-1].append(stream.read())
    return given


def preload():
    """Imports what takes long to import; neither a backend of JAX nor a flag of any one launcher comes with it."""
    for module in (
        'experiments.common.launcher', 'matplotlib.pyplot', 'orbax.checkpoint', 'wgan_jax.data', 'wgan_jax.distances',
        'wgan_jax.games', 'wgan_jax.training.load', 'wgan_jax.training.toy',
    ):  # fmt: skip
        importlib.import_module(module)


if __name__ == '__main__' and len(sys.argv) > 1:
    _stdout = sys.stdout
    json.dump(_in_turn(sys.argv[1], json.load(sys.stdin)), _stdout)
    _stdout.flush()
elif __name__ == '__main__':
    preload()
    json.dump([_answer(*command) for command in json.load(sys.stdin)], sys.stdout)
