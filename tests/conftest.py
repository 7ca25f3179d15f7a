"""Two virtual devices for every test, set up before JAX looks for any."""

import dataclasses
import os
import tempfile
from importlib import metadata
from pathlib import Path

os.environ.setdefault('NPROC', '16')  # collective operations on virtual devices need a thread each
os.environ.setdefault('JAX_PLATFORMS', 'cpu')

# Tests build the same few programs again and again, in this process and in those they start.
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', tempfile.mkdtemp(prefix='wgan_jax_tests_'))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')

os.environ['WGAN_JAX_CACHE_DIR'] = ''  # every picture is read; launchers would set it, for their own checkout

# Most of their time is compilation: LLVM's optimisation is a third of that, and the emitter of fused loops half of the
# rest, where XLA still has its older one (an unknown flag ends the process). Tests of what optimisation could break
# ask for XLA's defaults by OPTIMISED.
_FLAGS = {'xla_backend_optimization_level': '0'}
OPTIMISED = {'xla_backend_optimization_level': 3}  # compiler_options of jax.jit
if metadata.version('jaxlib').startswith('0.10.'):
    _FLAGS['xla_cpu_use_fusion_emitters'] = 'false'
    OPTIMISED['xla_cpu_use_fusion_emitters'] = True
for _name, _value in _FLAGS.items():
    if _name not in os.environ.get('XLA_FLAGS', ''):
        os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} --{_name}={_value}'

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

jax.config.update('jax_num_cpu_devices', 2)


@pytest.fixture(autouse=True, scope='module')
def _forget_programs():
    """Every program takes some of the 65,530 memory mappings that Linux allows a process, and past them it crashes."""
    yield
    jax.clear_caches()


@pytest.fixture(scope='module')
def compiled_once():
    """Runs of the same settings and images share their programs: what is tried with them is what lies in a folder."""
    from wgan_jax.training import prepare
    from wgan_jax.training.parts import KINDS

    gans, runners = {}, {}
    build_gan, make_runner = prepare.build_gan, prepare.make_runner

    def same_gan(settings, channels, class_shares=()):
        if any(not isinstance(getattr(settings, kind), str) for kind in KINDS):
            return build_gan(settings, channels, class_shares=class_shares)  # two parts may be called the same
        key = repr(dataclasses.replace(settings, seed=0, dataset='', init_from=None)), channels, class_shares
        if key not in gans:
            gans[key] = build_gan(settings, channels, class_shares=class_shares)
        return gans[key]

    def same_runner(gan, hyperparameters, data, *, mode, streamed):
        if streamed:  # one that is closed gives no more
            return make_runner(gan, hyperparameters, data, mode=mode, streamed=True)
        key = id(gan), *(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(data)), mode
        if key not in runners:  # which holds the GAN, so that no other one gets its id
            runners[key] = gan, make_runner(gan, hyperparameters, data, mode=mode, streamed=False)
        return runners[key][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, 'build_gan', same_gan)
        patch.setattr(prepare, 'make_runner', same_runner)
        yield


@pytest.fixture
def unprivileged():
    """(a folder of one's own, as a user whom permissions bind): the superuser may read everything."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65_534)
        try:
            yield Path(place)
        finally:
            if root:
                os.seteuid(0)
