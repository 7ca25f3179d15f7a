"""The page in a browser: the pictures are JAX's, every control works, nothing leaves the page."""

import base64
import dataclasses
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from PIL import Image

import wgan_jax
from experiments.export import directions, explore
from wgan_jax.data.images import to_uint8
from wgan_jax.latents import slerp
from wgan_jax.networks import from_linen
from wgan_jax.training.build import build_networks
from wgan_jax.training.load import Generator

ARC = jax.jit(slerp)


def untrained(preset, channels, classes=(), network=None, **changes):
    """A generator with random weights, and with statistics of batch norm that are not those it begins with."""
    settings = wgan_jax.settings(preset, conditional=bool(classes), **changes)
    network = network or build_networks(settings, channels, num_classes=len(classes)).generator
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    rng = np.random.default_rng(0)

    def draw(shape):  # about as wide as keeps activations near 1
        if len(shape.shape) < 2:
            return jnp.asarray(rng.uniform(0.5, 1.5, shape.shape), jnp.float32)
        wide = np.prod(shape.shape) / max(shape.shape[-2:])
        return jnp.asarray(rng.normal(size=shape.shape) * (2 / wide) ** 0.5, jnp.float32)

    shares = tuple(1 / len(classes) for _ in classes)
    return Generator(network, jax.tree.map(draw, shapes), settings, 1234, tuple(classes), shares)


class Own(nn.Module):
    """A network with Flax's own layers, and others than the package's."""

    @nn.compact
    def __call__(self, z, *, train):
        x = nn.swish(nn.LayerNorm()(nn.Dense(4 * 4 * 8)(z))).reshape(-1, 4, 4, 8)
        x = nn.ConvTranspose(8, (4, 4), strides=(2, 2))(x)
        x = nn.leaky_relu(nn.BatchNorm(use_running_average=not train)(x))
        x = jax.image.resize(x, (len(x), 16, 16, 8), 'nearest')
        x = nn.gelu(nn.GroupNorm(2)(nn.Conv(8, (3, 3), feature_group_count=4)(x)))
        x = x * nn.sigmoid(nn.Dense(8)(x.mean((1, 2))))[:, None, None]
        return jnp.tanh(nn.Conv(3, (1, 1))(x))


ALL = {
    'mlp grey': lambda: untrained('wgan_gp', 1, arch='mlp', image_size='8x8', width=16, latent_dim=8),
    'dcgan conditional': lambda: untrained('flags', 3, ('one', 'two', 'three'), image_size='16x24', width=4),
    'dcgan uniform': lambda: untrained('dcgan', 3, image_size='20x16', width=4, latent_dim=8),
    'dcgan bfloat16': lambda: untrained('wgan', 3, image_size='16x16', width=4, precision='bfloat16', latent_dim=8),
    'resnet alpha': lambda: untrained('sngan', 4, image_size='16x16', width=8, latent_dim=8),
    'resnet conditional': lambda: untrained('sngan', 3, ('a', 'b'), image_size='8x8', width=8, latent_dim=8),
    'r3gan': lambda: untrained('r3gan', 3, image_size='16x24', width=8, latent_dim=8),
    'collage conditional': lambda: untrained(
        'wgan_gp', 3, ('a', 'b'), arch='collage', image_size='16x24', width=16, latent_dim=8
    ),
    'own': lambda: untrained('wgan_gp', 3, network=from_linen(Own(), (8,)), image_size='16x16', latent_dim=8),
}


def written(path, generator, monkeypatch, **rest):
    monkeypatch.setattr(directions, '_LEAST', 64)  # enough to have directions, and soon there
    monkeypatch.setattr(directions, '_HELD_OUT', 64)
    return explore.write_explore(path, generator, **rest)


def opened(browser, path):
    browser.open(path)
    browser.wait('document.getElementById("check").textContent')
    browser.wait('document.getElementById("progress").value === document.getElementById("progress").max')


def quiet(browser):
    return not browser.errors and all(address.startswith('blob:') for address in browser.requests)


def pixels_of(browser, latents, labels=None):
    labels = [0] * len(latents) if labels is None else labels
    asked = json.dumps([[z, int(y)] for z, y in zip(np.asarray(latents).tolist(), labels, strict=True)])
    return browser.run(
        f'Promise.all({asked}.map(([z, y]) => explore.picture(z, y))).then((all) => all.map((one) => [...one]))'
    )


def agrees(browser, generator):
    """Twenty pictures are JAX's, within 2 of 255: a wrong layer, layout or statistic is off by far more."""
    plain = explore._in_float32(generator)
    latents = generator.latents(jax.random.key(7), 20)
    labels = np.arange(20) % len(generator.classes) if generator.classes else None
    expected = np.asarray(to_uint8(plain.generate(latents, labels)), int)
    assert expected.std() > 20  # there is something to see
    pixels = np.array(pixels_of(browser, latents, labels)).reshape(expected.shape)
    np.testing.assert_allclose(pixels, expected, atol=2)
    drawn = browser.run('explore.latents(7, 20).map((z) => [...z])')
    np.testing.assert_allclose(drawn, latents, rtol=3e-6, atol=3e-7)
    assert 'by 0 of' in (text := browser.run('document.getElementById("check").textContent')) or 'by 1 of' in text


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    classes = ('one', 'two', 'three')
    generator = untrained('wgan_gp', 3, classes, arch='mlp', image_size='16x24', width=32, latent_dim=16)
    path = tmp_path_factory.mktemp('explore') / 'explore.html'
    with pytest.MonkeyPatch.context() as patch:
        return path, generator, written(path, generator, patch, run='<try> & see', directions=3)


def test_pictures_are_jaxs(browser, small):
    path, generator, facts = small
    opened(browser, path)
    agrees(browser, generator)
    assert facts.weights == 'float16' and facts.levels <= 1 and len(facts.shares) == 3
    assert quiet(browser), (browser.errors, browser.requests)
    assert 'run <try> & see' in browser.run('document.querySelector("header").textContent')


def test_nothing_can_be_asked_of_a_network(browser, small):
    # Without the policy a picture, a style or a fetch of another address would be tried.
    opened(browser, small[0])
    blocked = browser.run("""new Promise((done) => {
        const seen = new Set();
        addEventListener('securitypolicyviolation', (event) => {
            seen.add(event.effectiveDirective);
            if (seen.size === 4) done([...seen].sort());
        });
        fetch('http://127.0.0.1:9/').catch(() => {});
        new Image().src = 'http://127.0.0.1:9/';
        const script = document.createElement('script');
        script.textContent = 'window.intruder = 1';
        const style = document.createElement('link');
        [style.rel, style.href] = ['stylesheet', 'http://127.0.0.1:9/'];
        document.head.append(script, style);
    })""")
    assert blocked == ['connect-src', 'img-src', 'script-src-elem', 'style-src-elem']
    assert browser.run('window.intruder') is None


def large(browser):
    """The chosen picture's pixels once it has come to rest."""
    browser.run('new Promise((done) => setTimeout(done, 150))')
    return np.array(browser.run(
        '(() => { const shown = document.getElementById("large"), c = document.createElement("canvas"); '
        '[c.width, c.height] = [shown.width, shown.height]; c.getContext("2d").drawImage(shown, 0, 0); '
        'return [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data]; })()'
    )).reshape(16, 24, 4)[..., :3]  # fmt: skip


def expected_of(generator, latent, label):
    return np.asarray(to_uint8(generator.generate(jnp.asarray(latent)[None], np.array([label]))), int)[0]


def test_the_keyboard_alone_is_enough(browser, small):
    # Rows are of one class each. Arrow keys move, m marks the ends of the great circle, the slider then has the focus.
    path, generator, _ = small
    browser.look(1000, 900)
    opened(browser, path)
    latents = generator.latents(jax.random.key(0), 64)
    for _ in range(4):  # the button, the seed, the class, the grid
        browser.key('Tab')
    active = 'document.activeElement.getAttribute("aria-label")'
    assert browser.run(active) == 'sample 1, one'
    for key in ('ArrowRight', 'ArrowDown', 'Enter'):
        browser.key(key)
    assert browser.run('document.getElementById("caption").textContent') == 'Sample 10, two, seed 0'
    np.testing.assert_allclose(large(browser), expected_of(generator, latents[9], 1), atol=2)
    for key in ('m', 'ArrowDown', 'm'):
        browser.key(key)
    assert browser.run('document.activeElement.id') == 'way'
    for _ in range(20):
        browser.key('ArrowLeft')  # from the middle to 0.3: of the class of the first
    between = ARC(latents[9], latents[17], jnp.array([0.3]))[0]
    np.testing.assert_allclose(large(browser), expected_of(generator, between, 1), atol=2)
    assert browser.run('document.getElementById("way-value").textContent') == '30 %'
    assert quiet(browser), browser.errors


def test_a_picture_is_dragged_onto_another(browser, small):
    path, generator, _ = small
    browser.look(1000, 900)
    opened(browser, path)
    box = 'JSON.stringify(document.querySelectorAll("#grid button")[{}].getBoundingClientRect())'
    places = [json.loads(browser.run(box.format(i))) for i in (0, 5)]
    (x0, y0), (x1, y1) = ((b['x'] + b['width'] / 2, b['y'] + b['height'] / 2) for b in places)
    browser.mouse('mousePressed', x0, y0)
    browser.mouse('mouseMoved', (x0 + x1) / 2, y0)
    browser.mouse('mouseMoved', x1, y1)
    browser.mouse('mouseReleased', x1, y1)
    assert browser.run('document.getElementById("way-ends").textContent') == 'from sample 1, one to sample 6, one'
    latents = generator.latents(jax.random.key(0), 6)
    between = ARC(latents[0], latents[5], jnp.array([0.5]))[0]
    np.testing.assert_allclose(large(browser), expected_of(generator, between, 0), atol=2)
    browser.mouse('mousePressed', x1, y1)  # a press and release in one place is a click
    browser.mouse('mouseReleased', x1, y1)
    assert browser.run('document.getElementById("caption").textContent') == 'Sample 6, one, seed 0'


def test_a_slider_moves_along_its_direction(browser, small):
    path, generator, _ = small
    opened(browser, path)
    found = json.loads(browser.run('document.getElementById("model").textContent'))['directions']
    axes = browser.run(
        '(() => { const w = Uint8Array.from(atob(document.getElementById("weights").textContent), '
        f'(c) => c.charCodeAt(0)).buffer; return makeEngine().unpack({json.dumps(found["table"])}, w)'
        '.map((axis) => [...axis]); })()'
    )
    axes = np.array(axes)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-5)
    latent = np.asarray(generator.latents(jax.random.key(0), 1)[0])
    browser.run(
        '(() => { const slider = document.getElementById("direction-1"); '
        'slider.value = 2; slider.dispatchEvent(new Event("input")); })()'
    )
    moved = latent + (2 - latent @ axes[1]) * axes[1]
    np.testing.assert_allclose(large(browser), expected_of(generator, moved, 0), atol=2)
    browser.run('document.getElementById("reset").click()')
    np.testing.assert_allclose(large(browser), expected_of(generator, latent, 0), atol=2)


SAVED = """new Promise((done) => {
    URL.createObjectURL = (blob) => { const reader = new FileReader();
        reader.onload = () => done(reader.result.split(',')[1]); reader.readAsDataURL(blob); return '#'; };
    document.getElementById('scale').value = 2;
    document.getElementById('%s').click();
})"""


def saved(browser, button):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(browser.run(SAVED % button)))).convert('RGBA'))


def test_the_seed_the_class_and_the_png(browser, small):
    path, generator, _ = small
    opened(browser, path)
    browser.run("""(() => { const seed = document.getElementById('seed');
        seed.value = 5; seed.dispatchEvent(new Event('change'));
        const menu = document.getElementById('class'); menu.value = 2; menu.dispatchEvent(new Event('change')); })()""")
    browser.wait('document.getElementById("status").textContent === "64 samples of seed 5 drawn."')
    expected = generator.generate(generator.latents(jax.random.key(5), 64), np.full(64, 2))
    expected = np.asarray(to_uint8(expected), int).repeat(2, 1).repeat(2, 2)
    sheet = saved(browser, 'save-grid').astype(int)
    assert sheet.shape == (8 * 34 + 2, 8 * 50 + 2, 4)
    for i, image in enumerate(expected):
        y, x = 2 + i // 8 * 34, 2 + i % 8 * 50
        np.testing.assert_allclose(sheet[y : y + 32, x : x + 48, :3], image, atol=2)
    np.testing.assert_allclose(saved(browser, 'save-one')[..., :3], expected[0], atol=2)
    browser.run('document.getElementById("fresh").click()')
    assert browser.run('document.getElementById("seed").value') == '6'


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_a_narrow_screen_is_enough(browser, small, scheme):
    browser.look(360, 640, scheme)
    opened(browser, small[0])
    assert browser.run('document.documentElement.scrollWidth') == 360
    assert browser.run('Math.min(...[...document.querySelectorAll("button, input, select")].map('
                       '(e) => e.getBoundingClientRect().height || 99))') >= 20  # fmt: skip
    ground = browser.run('getComputedStyle(document.body).backgroundColor')
    assert (sum(map(int, ground.strip('rgb()').split(','))) > 384) == (scheme == 'light')


@pytest.mark.slow
@pytest.mark.parametrize('name', ALL)
def test_every_architecture_runs_in_the_page(browser, name, tmp_path, monkeypatch):
    generator = ALL[name]()
    written(tmp_path / 'explore.html', generator, monkeypatch)
    opened(browser, tmp_path / 'explore.html')
    agrees(browser, generator)
    assert quiet(browser), (browser.errors, browser.requests)
    if 'alpha' in name:  # a canvas keeps colours only as far as they are seen
        picture = saved(browser, 'save-one').astype(float)
        expected = np.asarray(to_uint8(generator.sample(jax.random.key(0), 1)), float)[0].repeat(2, 0).repeat(2, 1)
        np.testing.assert_allclose(picture[..., 3], expected[..., 3], atol=2)
        assert np.ptp(picture[..., 3]) > 50
        seen, wanted = (one[..., :3] * one[..., 3:] / 255 for one in (picture, expected))
        np.testing.assert_allclose(seen, wanted, atol=4)


@pytest.mark.slow
def test_weights_that_float16_cannot_hold_stay_as_they_are(tmp_path, monkeypatch):
    # 1e5 is beyond its range, and a picture of rounded weights would be of nothing.
    generator = untrained('wgan_gp', 1, arch='mlp', image_size='4x4', width=8, latent_dim=4)
    params = dict(generator.variables.params)
    params['hidden_0'] = {**params['hidden_0'], 'kernel': params['hidden_0']['kernel'] * 1e6}
    params['image'] = {**params['image'], 'kernel': params['image']['kernel'] * 1e-6}
    generator = dataclasses.replace(generator, variables=generator.variables._replace(params=params))
    assert written(tmp_path / 'explore.html', generator, monkeypatch).weights == 'float32'


@pytest.mark.parametrize('channels, changes, message', [(2, {}, 'channels'), (3, {'latent': 'sphere'}, 'sphere')])
def test_what_cannot_be_shown_is_refused(tmp_path, channels, changes, message):
    generator = untrained('wgan_gp', channels, arch='mlp', image_size='4x4', width=8, latent_dim=4)
    settings = dataclasses.replace(generator.settings, **changes)
    with pytest.raises(ValueError, match=message):
        explore.write_explore(tmp_path / 'x.html', dataclasses.replace(generator, settings=settings))
    assert not (tmp_path / 'x.html').exists()
