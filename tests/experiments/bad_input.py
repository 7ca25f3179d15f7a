"""What no launcher may stumble over, made from the declarations of its flags, and a process that tries all of it.

The process has imported what takes long to import, and forks one child for each launcher. The child parses one command
line after the other, as the launcher would; a run that would begin is stopped where it takes hold of its folder.
"""

import functools
import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from absl import flags

from tests import peak_memory
from tests.experiments.flag_values import OTHERS, around, declared, unbounded, values
from tests.experiments.processes import ROOT, preload

SECONDS, BYTES = 5.0, 2e9  # of one command line at most: processor time, and memory
FREE = 4e9  # bytes, with which all defaults must do
HANGS = 60  # seconds after which a command line is given up


class Accepted(BaseException):
    """All that comes before a run's folder was content with a command line."""


class Left(BaseException):
    """The process would have ended, with this status."""


class Hung(BaseException):
    """A command line took far too long."""


class Trial:
    """One launcher, as it would read one command line after the other.

    Attributes:
        problems: what went wrong, one line each.
        counts: of command lines that were refused, and accepted.
    """

    def __init__(self, name):
        from experiments.common import launcher
        from wgan_jax import data, memory
        from wgan_jax.training import run

        self.name, self.problems, self.counts, self.early = name, [], {'refused': 0, 'accepted': 0, 'parsed': 0}, []
        self._launcher = launcher
        package = ROOT / 'experiments' / name
        self._module = importlib.import_module(f'experiments.{name}' + ('.__main__' if package.is_dir() else ''))
        sys.modules['__main__'] = self._module

        def leave(status):
            raise Left(status)

        def accept(workdir):
            raise Accepted

        def give_up(number, frame):
            raise Hung

        launcher.locked = run.locked = accept
        data.load = functools.cache(data.load)
        memory.free_bytes = lambda: FREE
        self._exit, os._exit = os._exit, leave
        signal.signal(signal.SIGALRM, give_up)
        if name == 'sample':
            self._module.load = _untrained
        elif name == 'classifier':
            data.load = _with_labels(data.load)
        elif name == 'evaluate':
            self._module.read_run, self._module.load = lambda workdir: {}, _untrained
            self._module._images = lambda workdir, config: (None, data.load('flags', 8, 12))
        elif name == 'export':
            self._module.export.read = _to_export
        elif name == 'train':
            self._module.record = accept  # what --show_settings prints
        self._said = [tempfile.TemporaryFile() for _ in range(2)]
        for number, file in zip((1, 2), self._said, strict=True):
            os.dup2(file.fileno(), number)

    def all(self):
        """Every value of every flag, and the other command lines."""
        own = self._launcher._own_flags()
        self.problems += [complaint for flag in own if (complaint := unbounded(flag)) is not None]
        self.expect([], 'accepted')
        for flag in own:
            bounds = around(flag.parser.allowed)[1:3] if type(flag.parser).__name__ in ('Number', 'OneOrMore') else []
            for text, deep in values(flag).items():
                if text in bounds and _refuses(flag, text):
                    self.problems.append(f'--{flag.name}={text} lies in its bounds and is refused')
                wanted = 'refused' if not declared(flag, text) else 'either' if deep else 'parsed'
                self.expect([f'--{flag.name}={text}'], wanted)
        for arguments in OTHERS:
            self.expect(arguments, 'refused')

    def expect(self, arguments, wanted):
        """Tries a command line; whether it went well is noted.

        Args:
            arguments: of the launcher.
            wanted: 'refused', 'accepted' or 'either'; 'parsed' where flags are parsed and nothing begun.
        """
        peak_memory.forget()
        before, began = peak_memory.peak(), time.process_time()
        outcome = self._outcome(arguments, (lambda: 0) if wanted == 'parsed' else self._module.main)
        seconds, taken = time.process_time() - began, peak_memory.peak() - before
        out, err = (self._taken(file) for file in self._said)
        shown = ascii(' '.join(arguments)[:80])
        if 'before backends are initialized' in outcome:
            self.early.append(arguments)
            return
        problems = []
        if outcome == '2' and self._is_one_line(err):
            self.counts['refused'] += 1
            if wanted == 'accepted':
                problems.append(f'is refused: {err!r}')
        elif outcome == ('0' if wanted == 'parsed' else 'accepted'):
            self.counts['parsed' if wanted == 'parsed' else 'accepted'] += 1
            if wanted == 'refused':
                problems.append('is accepted')
            if err:
                problems.append(f'says {err[-300:]!r}')
        else:
            problems.append(f'ends in {outcome}, with {err[-300:]!r}')
        if out:
            problems.append(f'prints {out[:80]!r}')
        if seconds > SECONDS:
            problems.append(f'takes {seconds:.1f} s')
        if taken > BYTES:
            problems.append(f'takes {taken / 1e9:.1f} GB')
        if written := os.listdir():
            problems.append(f'writes {written}')
        self.problems += [f'{shown} {problem}' for problem in problems]

    def _outcome(self, arguments, main):
        """How a command line ends: a status, 'accepted', or an exception's name and text."""
        flags.FLAGS.unparse_flags()
        logging.getLogger('wgan_jax').handlers.clear()
        sys.argv = ['', *arguments]
        sys.stdout, sys.stderr = (open(number, 'w', closefd=False) for number in (1, 2))
        signal.alarm(HANGS)
        try:
            self._launcher.run(main)
        except Accepted:
            return 'accepted'
        except (Left, SystemExit) as end:
            return str(end.args[0])
        except BaseException as error:
            return f'{type(error).__name__} ({str(error)[:200]})'
        finally:
            signal.alarm(0)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        return 'no exit'

    def _taken(self, file):
        """What has been written to a stream since it was last asked."""
        file.seek(0)
        text = file.read().decode(errors='backslashreplace')
        file.seek(0)
        file.truncate()
        return text

    def _is_one_line(self, err):
        line = err.removesuffix('\n')
        return line.startswith(f'{self.name}: ') and len(line) > len(self.name) + 6 and line.isprintable()

    def end(self):
        """Ends the process for good."""
        self._exit(0)


def _refuses(flag, text):
    try:
        flag.parser.parse(text)
    except ValueError:
        return True
    return False


def _untrained(workdir, step=None, ema=True):
    """In place of a run's trained generator, which ``sample`` reads first."""
    from wgan_jax import settings
    from wgan_jax.training.build import build_gan
    from wgan_jax.training.load import Generator

    chosen = settings('flags')
    gan, _ = build_gan(chosen, 3)
    return Generator(gan.networks.generator, None, chosen, 0)


def _with_labels(load):
    """``wgan_jax.data.load`` with something in place of MNIST, which not every machine has."""
    import numpy as np

    from wgan_jax.data.images import collect

    def stand_in(name, height, width, **options):
        if name != 'mnist':
            return load(name, height, width, **options)
        pixels = np.random.default_rng(0).integers(0, 256, (40, height, width, 1), dtype=np.uint8)
        return collect(pixels)._replace(labels=np.arange(40) % 2, classes=('even', 'odd'))

    return stand_in


def _to_export(workdir, step=None, ema=True):
    """In place of a run's generator and what is said of it, which ``export`` reads first."""
    return _untrained(workdir), {'settings': {'dataset': 'folder:pictures'}, 'dataset': {}}


def _tried(name, command_lines):
    """What a trial of a launcher found, in a process of its own; of all command lines, or of those that are given."""
    with tempfile.TemporaryDirectory() as folder:
        receiving, sending = os.pipe()
        child = os.fork()
        if not child:
            os.chdir(folder)
            os.environ['HOME'] = folder
            trial = Trial(name)
            try:
                trial.all() if command_lines is None else [trial.expect(each, 'either') for each in command_lines]
            except BaseException:
                trial.problems.append(traceback.format_exc())
            with os.fdopen(sending, 'w') as file:
                json.dump({'problems': trial.problems, 'early': trial.early, **trial.counts}, file)
            trial.end()
        os.close(sending)
        with os.fdopen(receiving) as file:
            answer = file.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return json.loads(answer) if answer else {'problems': [f'its process ended with {status}'], 'early': []}


def tried(name):
    """What a launcher makes of all that is tried; what must come before JAX begins is tried in fresh processes."""
    found = _tried(name, None)
    for arguments in found.pop('early'):
        again = _tried(name, [arguments])
        found['problems'] += again['problems']
        for count in ('refused', 'accepted'):
            found[count] += again.get(count, 0)
    return found


def found(names):
    """For each launcher {'problems': [...], 'refused': n, 'accepted': n}, from a process of its own."""
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'}
    command = [sys.executable, '-P', '-m', __name__, *names]
    process = subprocess.run(command, env=env, capture_output=True, text=True, timeout=500)
    assert process.stdout, process.stderr
    return json.loads(process.stdout)


def launchers():
    """The names of all launchers."""
    from experiments.__main__ import launchers

    return list(launchers())


if __name__ == '__main__':
    preload()
    found_by_name = {}
    for chosen in sys.argv[1:]:
        began = time.monotonic()
        found_by_name[chosen] = tried(chosen) | {'seconds': round(time.monotonic() - began, 1)}
    json.dump(found_by_name, sys.stdout)
