"""The notebook runs from its first cell to its last, and is kept with its pictures in it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

NOTEBOOK = Path(__file__).resolve().parents[2] / 'experiments' / 'quickstart.ipynb'


def _cells():
    return [cell for cell in json.loads(NOTEBOOK.read_text())['cells'] if cell['cell_type'] == 'code']


def test_it_is_kept_with_its_outputs():
    kinds = [kind for cell in _cells() for output in cell['outputs'] for kind in output.get('data', {'text': ''})]
    assert kinds.count('image/png') >= 5 and kinds.count('text') >= 3
    assert not any(output['output_type'] == 'error' for cell in _cells() for output in cell['outputs'])


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
