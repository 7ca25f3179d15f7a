"""What launchers share: tables whose columns line up, captions that fit, flags that name what there is."""

import numpy as np
import pytest
from absl import flags
from matplotlib import pyplot as plt
from PIL import Image

from experiments.common.choices import described
from experiments.common.figures import save
from experiments.common.flagtypes import Choices
from experiments.common.tables import mean_and_std, shown, text_table


def test_columns_line_up_whatever_is_in_them():
    table = text_table(['', 'W1', 'a wide title'], [['short', '1.5', '-'], ['a longer name', '10', '3']])
    assert table.splitlines() == [
        '                W1  a wide title',
        'short          1.5             -',
        'a longer name   10             3',
    ]


def test_cells_say_what_is_missing():
    assert [shown(value) for value in (None, 'inf', 0.123456)] == ['-', 'inf', '0.1235'] and shown(3, 'd') == '3'
    assert mean_and_std(None) == mean_and_std({'mean': None, 'std': None}) == '-'
    assert mean_and_std({'mean': 1.0, 'std': 0.25}, '.2f', '.1f') == '1.00 ± 0.2'


@pytest.mark.parametrize('caption', ['short', 'many words ' * 40, 'two\nlines'])
def test_a_caption_has_its_own_room_beneath_the_panels(tmp_path, caption):
    # Fails if panels and caption overlap, or if a line is cut off at the right.
    figure, axis = plt.subplots(figsize=(5, 4), layout='constrained')
    axis.set_xlabel('x')
    save(figure, tmp_path / 'figure.png', caption)
    text, panel = (artist.get_window_extent() for artist in (figure.texts[0], axis.xaxis.label))
    assert text.y1 < panel.y0 and text.x1 < figure.bbox.x1 and text.y0 >= 0
    assert np.asarray(Image.open(tmp_path / 'figure.png')).shape[:2] == (400, 500)
    assert not plt.fignum_exists(figure.number)


@pytest.mark.parametrize(
    ('scale', 'limits', 'labels'),
    [
        ('log', (1e-3, 1e2), {'10⁻³', '10⁰', '10²'}),
        ('log', (2.5, 4.5), {'3·10⁰', '4·10⁰'}),
        ('symlog', (-100, 100), {'-10¹', '0', '10²'}),
        ('linear', (0, 1), {'0.2', '1.0'}),
    ],
)
def test_numbers_along_an_axis_are_no_formulas(tmp_path, scale, limits, labels):
    # Fails if what Matplotlib writes as a formula, which a dollar sign in a title forbids, is drawn as it is written.
    figure, axis = plt.subplots(layout='constrained')
    axis.set(xscale=scale, xlim=limits, yscale=scale, ylim=limits, title='$a$')
    save(figure, tmp_path / 'figure.png', 'caption')
    for one in (axis.xaxis, axis.yaxis):
        ticks = [*one.get_ticklabels(), *one.get_ticklabels(minor=True)]
        texts = {text.get_text().replace('\N{MINUS SIGN}', '-') for text in ticks}
        assert labels <= texts and not any(c in text for text in texts for c in '$\\{')


@pytest.mark.parametrize('text', ['', 'a,x', 'a,a'])
def test_names_that_cannot_be_chosen_are_answered_with_those_that_can(text):
    values = flags.FlagValues()
    flags.DEFINE(Choices(['a', 'b']), 'some', None, 'Some.', values, flags.ListSerializer(','))
    with pytest.raises(flags.IllegalFlagValueError, match='there are: a, b'):
        values(['program', f'--some={text}'])
    values(['program', '--some=b,a'])
    assert values.some == ['b', 'a']


def test_the_help_of_a_flag_has_every_name_and_no_words_about_another():
    assert described({'adam': 1, 'rmsprop': 2}) == 'adam, rmsprop'
    assert described(('none', 'diff', 'data'), {'data': 'of the real'}) == 'none; diff; data: of the real'
    with pytest.raises(ValueError, match='words about flips, and only: none, data'):
        described(('none', 'data'), {'flips': 'each way'})
