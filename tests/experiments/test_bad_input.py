"""Every flag of every launcher against everything that may be typed: one line and status 2, or what it declares."""

import pytest

from tests.experiments.bad_input import found, launchers

# Whose flags have many kinds between them; the others, train among them, take most of the time.
DAILY = ('data', 'game', 'sample', 'reproduce')


@pytest.mark.parametrize(
    'name', [pytest.param(name, marks=() if name in DAILY else pytest.mark.slow) for name in launchers()]
)
def test_whatever_is_typed_is_declared_or_refused_in_one_line(name):
    # Fails for a flag without bounds, a value that is accepted though no declaration allows it, anything but one line
    # and status 2, and for a refusal that takes seconds, gigabytes or a file.
    tried = found([name])[name]
    assert tried['problems'] == []
    assert tried['refused'] > 50 and tried['accepted'] > 5 and tried['parsed'] > 5
