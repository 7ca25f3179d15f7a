"""The command of an installed package: ``wgan-jax NAME [--flag=value ...]`` does what ``./launch.sh NAME`` does.

``launch.sh`` itself comes here for what runs elsewhere, see ``common.elsewhere``.
"""

import ast
import os
import runpy
import sys
from pathlib import Path

from . import begin
from .common import elsewhere

_HERE = Path(__file__).parent


def launchers() -> dict[str, str]:
    """The launchers by name, each with the first line of its docstring."""
    files = {path.parent.name: path for path in _HERE.glob('*/__main__.py')}
    files |= {path.stem: path for path in _HERE.glob('*.py') if not path.stem.startswith('_')}
    return {name: _first_line(files[name]) for name in sorted(files)}


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text())) or '').partition('\n')[0]


def main() -> None:
    """Runs the launcher that the command line names; ``train`` without a name."""
    arguments = sys.argv[1:]
    places = []
    while arguments and elsewhere.is_flag(arguments[0]):
        places.append(arguments.pop(0))
    known = launchers()
    if arguments and arguments[0] in ('-h', '--help'):
        print('usage: wgan-jax [NAME] [--flag=value ...]\n')
        print('Runs NAME (default: train); wgan-jax NAME --help lists its flags. NAME is one of:\n')
        print('\n'.join(f'  {name:20} {line}' for name, line in known.items()))
        print(f'\n{elsewhere.USAGE}', end='')
        return
    name = 'train' if not arguments or arguments[0].startswith('-') else arguments.pop(0)
    if name not in known:
        if places and '=' not in places[-1] and places[-1] not in ('--slurm', '--dry_run'):
            print(f'wgan-jax: {places[-1]} takes its value after a =, as in {places[-1]}={name}', file=sys.stderr)
            sys.exit(2)
        print(f"wgan-jax: there is no launcher '{name}'; there are: {' '.join(known)}", file=sys.stderr)
        sys.exit(2)
    if places:
        try:
            sys.exit(elsewhere.run(elsewhere.Place(elsewhere.read_flags(places), name, arguments)))
        except ValueError as error:
            name = 'launch.sh' if __package__ == 'experiments' else 'wgan-jax'
            print(f'{name}: {error}', file=sys.stderr)
            sys.exit(2)
        except BrokenPipeError:  # whoever closes a pipe has read enough
            os._exit(0)
    sys.argv[1:] = arguments
    begin(name)
    try:
        runpy.run_module(f'{__package__}.{name}', run_name='__main__', alter_sys=True)
    except ModuleNotFoundError as error:
        print(f"wgan-jax: {error.name} is missing: pip install 'wgan_jax[experiments]'", file=sys.stderr)
        sys.exit(2)


if __name__ == '__main__':
    main()
