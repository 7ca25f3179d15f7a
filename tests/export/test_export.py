"""An exported generator draws what its run draws: from its arrays to the bit, by its program to rounding."""

import fcntl
import json

import jax
import numpy as np
import pytest
from flax import linen as nn

import wgan_jax
from tests.export.untrained import CLASSES, untrained
from wgan_jax import export
from wgan_jax.networks import Players, from_linen

KEY = jax.random.key(4)
MLP = {'arch': 'mlp', 'critic_norm': 'none'}


@pytest.fixture(scope='module')
def conditional(tmp_path_factory):
    """A run of a DCGAN of three classes, with batch statistics of each, and the folder exported from it."""
    folder = tmp_path_factory.mktemp('conditional')
    workdir = untrained(folder / 'run', classes=CLASSES, critic_norm='layer', dataset='folder:/home/me/private/pets')
    export.save(workdir, folder / 'out')
    return workdir, folder / 'out'


def _program(folder):
    return jax.export.deserialize(bytearray((folder / export.PROGRAM).read_bytes()))


def test_the_arrays_give_the_same_bits_as_the_run(conditional):
    # Fails if the generator itself is written in place of its average, or a batch statistic is lost.
    run, out = (wgan_jax.load(folder) for folder in conditional)
    np.testing.assert_array_equal(out.sample(KEY, 9), run.sample(KEY, 9))
    np.testing.assert_array_equal(out.sample(KEY, 3, 'dog'), run.sample(KEY, 3, 'dog'))
    assert (out.step, out.classes, out.class_shares) == (5, CLASSES, (0.375, 0.625, 0))
    assert out.settings.arch == 'dcgan' and out.settings.dataset == 'folder:pets'
    assert 'private' not in (conditional[1] / 'config.json').read_text()


@pytest.mark.parametrize('n', [1, 9])
def test_the_program_draws_what_the_run_draws_for_any_number(conditional, n):
    # Fails for labels that the program leaves out, a form of convolution that is not that of the arrays, batch
    # statistics of the batch in place of the stored ones, and a batch size that is fixed.
    generator, program = wgan_jax.load(conditional[0]), _program(conditional[1])
    latents, labels = generator.latents(KEY, n), generator.labels(KEY, n)
    np.testing.assert_allclose(program.call(latents, labels), generator.sample(KEY, n), atol=1e-5)
    assert program.platforms == ('cpu', 'cuda', 'tpu')
    text = program.mlir_module()
    convolutions = [line for line in text.splitlines() if 'stablehlo.convolution' in line]
    assert convolutions and all('precision HIGHEST' in line for line in convolutions)  # the form for CPUs has none
    assert b'.py' not in (conditional[1] / export.PROGRAM).read_bytes()  # nor any other path of this machine


@pytest.mark.slow
def test_a_bfloat16_run_of_uniform_latents_is_exported_in_float32(tmp_path):
    # Fails if the products are rounded as in training: 16 bits are off by 4e-3 and more.
    run = untrained(tmp_path / 'run', latent='uniform', precision='bfloat16', **MLP)
    export.save(run, tmp_path / 'out')
    same = untrained(tmp_path / 'float32', latent='uniform', **MLP)
    exact = wgan_jax.load(same)
    drawn = np.asarray(_program(tmp_path / 'out').call(exact.latents(KEY, 4)))
    np.testing.assert_allclose(drawn, exact.sample(KEY, 4), atol=1e-5)
    np.testing.assert_allclose(drawn, wgan_jax.load(tmp_path / 'out').sample(KEY, 4), atol=0.1)
    assert np.abs(drawn).max() <= 1  # the MLP's pixels are not bounded by themselves


@pytest.mark.slow
def test_the_generator_itself_can_be_exported_in_place_of_its_average(tmp_path):
    run = untrained(tmp_path / 'run', **MLP)
    export.save(run, tmp_path / 'out', ema=False)
    plain = wgan_jax.load(run, ema=False).sample(KEY, 4)
    for ema in (True, False):  # what there is
        np.testing.assert_array_equal(wgan_jax.load(tmp_path / 'out', ema=ema).sample(KEY, 4), plain)
    assert float(abs(plain - wgan_jax.load(run).sample(KEY, 4)).max()) > 1e-3


class Flat(nn.Module):
    """A layer from latents to images, which knows the number of images as the batch does or as Python does."""

    len_of_batch: bool

    @nn.compact
    def __call__(self, z):
        return nn.Dense(16)(z).reshape(len(z) if self.len_of_batch else -1, 4, 4, 1)


class Score(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(x.reshape(x.shape[0], -1))[:, 0]


@pytest.mark.parametrize('exportable', [True, False])
def test_networks_of_one_s_own_are_exported_when_they_are_given(tmp_path, exportable):
    networks = Players(from_linen(Flat(not exportable), (6,)), from_linen(Score(), (4, 4, 1)))
    run = untrained(tmp_path / 'run', channels=1, arch=networks, image_size='4x4')
    with pytest.raises(ValueError, match=r'networks of its own, .*: export it from Python, wgan_jax\.export\.save'):
        export.read(run)
    if not exportable:
        with pytest.raises(ValueError, match=r'cannot be exported for any number of images .*: .* no len\(x\)'):
            export.save(run, tmp_path / 'out', networks=networks)
        return
    export.save(run, tmp_path / 'out', networks=networks)
    run, out = (wgan_jax.load(tmp_path / name, networks=networks) for name in ('run', 'out'))
    np.testing.assert_array_equal(out.sample(KEY, 4), run.sample(KEY, 4))
    np.testing.assert_allclose(_program(tmp_path / 'out').call(run.latents(KEY, 4)), run.sample(KEY, 4), atol=1e-5)


def test_a_run_in_progress_is_not_read(conditional):
    with open(conditional[0] / '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match='run is in use by another process: wait until it is done, or stop it'):
            export.read(conditional[0])
    export.read(conditional[0])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ('spoil', 'asked', 'message'),
    [
        (lambda folder: _flip(folder / 'generator.safetensors'), {}, 'its digest differs'),
        (lambda folder: (folder / 'generator.safetensors').write_bytes(b'{}'), {}, 'safetensors cannot be read'),
        (lambda folder: (folder / 'generator.safetensors').unlink(), {}, 'cannot be read .No such file'),
        (lambda folder: None, {'step': 4}, 'holds the generator of step 5 alone, not of step 4'),
        (lambda folder: None, {'ema': False}, 'holds the moving average alone'),
        (lambda folder: _without(folder / 'config.json', 'sha256'), {}, "config.json has no 'sha256'"),
        (lambda folder: _without(folder / 'config.json', 'settings'), {}, "config.json has no 'settings'"),
    ],
)
def test_a_folder_that_is_not_as_it_was_written_is_refused(conditional, tmp_path, spoil, asked, message):
    for name in ('generator.safetensors', 'config.json'):
        (tmp_path / name).write_bytes((conditional[1] / name).read_bytes())
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message):
        wgan_jax.load(tmp_path, **asked)


def _without(path, name):
    config = json.loads(path.read_text())
    del config[name]
    path.write_text(json.dumps(config))


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['cifar', 'good', 'r3gan', 'collage'])
def test_other_networks_are_exported_too(tmp_path, kind):
    rest = {'arch': kind} if kind in ('r3gan', 'collage') else {'arch': 'resnet', 'resnet_variant': kind}
    run = untrained(tmp_path / 'run', image_size='32x32', **rest)
    export.save(run, tmp_path / 'out')
    generator = wgan_jax.load(run)
    drawn = _program(tmp_path / 'out').call(generator.latents(KEY, 3))
    np.testing.assert_allclose(drawn, generator.sample(KEY, 3), atol=1e-5)
