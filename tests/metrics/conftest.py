"""The same draws for a test, whichever others ran before it."""

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _seeded(request):
    if hasattr(request.module, 'RNG'):
        request.module.RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state
