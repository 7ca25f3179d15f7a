"""One browser for all tests of pages."""

import pytest

from . import browser as browsers


@pytest.fixture(scope='session')
def browser():
    program = browsers.find()
    if program is None:
        pytest.skip(f'there is no browser here, {" or ".join(browsers.NAMES)}')
    browser = browsers.Browser(program)
    yield browser
    browser.close()
