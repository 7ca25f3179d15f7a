"""Every flag of every launcher against everything that may be typed: one line and status 2, or what it declares."""

import pytest

from tests.experiments.bad_input import found, launchers


@pytest.fixture(scope='module')
def tried():
    """What every launcher made of it."""
    return found(launchers())


@pytest.mark.parametrize('name', launchers())
def test_whatever_is_typed_is_declared_or_refused_in_one_line(tried, name):
    # Fails for a flag without bounds, a value that is accepted though no declaration allows it, anything but one line
    # and status 2, and for a refusal that takes seconds, gigabytes or a file.
    assert tried[name]['problems'] == []
    assert tried[name]['refused'] > 50 and tried[name]['accepted'] > 5 and tried[name]['parsed'] > 5
