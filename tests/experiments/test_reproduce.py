"""Claims and their page: what holds, what does not, what was not measured, and that nothing comes from a network."""

import re

import numpy as np
from PIL import Image

from experiments.common.claims import CLAIMS, Claim, check, near
from experiments.common.page import Section, interval, number, write_page

ROWS = (
    Claim('t', 'a number', '5', 'one', lambda r: r['x'], **near(5.0, 0.1)),
    Claim('t', 'a bound <b>', 'at least 3', 'one', lambda r: r['y'], 3.0, unit='nats'),
    Claim('t', 'of a launcher that did not run', '0', 'two', lambda r: r['z'], **near(0.0, 1.0)),
    Claim('t', 'of a number that is not there', '0', 'one', lambda r: r['z'], **near(0.0, 1.0)),
    Claim('t', 'of a number that is none', '0', 'one', lambda r: r['nan'], **near(0.0, 1.0)),
)


def test_a_claim_holds_inside_its_interval_only():
    # Fails if NaN passes for held, or a missing number for one that did not hold.
    rows = check(ROWS, {'one': {'x': 5.1, 'y': 2.9, 'nan': float('nan')}})
    assert [row['held'] for row in rows] == [True, False, None, None, False]
    assert rows[0]['measured'] == 5.1 and rows[2]['measured'] is None
    assert rows[4]['measured'] == 'nan'  # which JSON has no number for
    assert rows[1]['lowest'] == 3.0 and rows[1]['highest'] is None


def test_every_claim_says_what_it_checks():
    assert len({(claim.topic, claim.text) for claim in CLAIMS}) == len(CLAIMS)
    for claim in CLAIMS:
        assert claim.theory and claim.lowest <= claim.highest and (claim.lowest, claim.highest) != (-np.inf, np.inf)
    assert all(row['held'] is None for row in check(CLAIMS, {}))


def test_page_is_whole_and_needs_no_network(tmp_path):
    figure = tmp_path / 'figure.png'
    Image.new('RGB', (8, 8)).save(figure)
    rows = check(ROWS, {'one': {'x': 5.0, 'y': 2.9, 'nan': 0.5}})
    sections = [Section('one', 'A question?', 'Look here.', './launch.sh one', [figure], 1.5),
                Section('two', 'Another', 'There.', './launch.sh two', [], None)]  # fmt: skip
    write_page(tmp_path / 'index.html', sections, rows, 'made by hand')
    text = (tmp_path / 'index.html').read_text()
    assert '2 of 5 claims held, 1 did not, 2 were not measured' in text and 'did not finish' in text
    assert 'a bound &lt;b&gt;' in text and text.count('did not hold</td>') == 1 and '2.9 nats' in text
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert sources and all(s.startswith(('data:image/', '#')) for s in sources) and 'http' not in text


def test_numbers_and_intervals_are_readable():
    assert number(5.409627658840001) == '5.409627659' and number(3.4e-12) == '3.4e-12' and number(0.0) == '0'
    assert interval({'lowest': 3.0, 'highest': None}) == '≥ 3'
    assert interval({'lowest': None, 'highest': 1.0}) == '≤ 1'
    assert interval({'lowest': 0.0, 'highest': 1.0}) == '0 to 1'
    assert interval({'lowest': 4.9, 'highest': 5.1}) == '5 ± 0.1'
