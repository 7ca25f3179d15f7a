"""Train and sample as processes: continuation to the bit after kill -9, exit statuses, what they write."""

import json
import shutil
import signal
import struct
import time

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from tests.experiments.processes import answers, finish, start
from wgan_jax import load
from wgan_jax.training.checkpoint import CheckpointStore, digest_of

TINY = [
    '--image_size=16x32', '--width=4', '--n_critic=2', '--latent_dim=6', '--batch_size=4',
    '--sample_every=25', '--checkpoint_every=5',
    '--log_every=1', '--steps=60', '--augment=diff',
]  # fmt: skip


# Of what does not depend on the networks: these compile much faster.
TINIER = [
    '--preset=wgan_gp', '--arch=mlp', '--image_size=4', '--width=4', '--latent_dim=2', '--batch_size=4',
    '--n_critic=1', '--checkpoint_every=5', '--log_every=1',
]  # fmt: skip


def metrics(workdir):
    lines = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ('seconds', 'images_per_second')} for line in lines]


def arrays(workdir):
    found, _ = CheckpointStore(workdir / 'checkpoints').newest()
    return found.step, found.arrays


def events(workdir):
    """(tag, step, value) of all scalars under ``tensorboard/``."""
    for path in (workdir / 'tensorboard').iterdir():
        content = path.read_bytes()
        while content:  # length of 8 bytes and its checksum of 4, the event and its checksum
            (length,) = struct.unpack('<Q', content[:8])
            event, content = Event.FromString(content[12 : 12 + length]), content[16 + length :]
            for value in event.summary.value:
                if value.HasField('simple_value'):
                    yield value.tag, event.step, value.simple_value


@pytest.fixture(scope='module')
def straight(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('runs') / 'straight'
    code, out, err = finish(start('train', *TINY, f'--workdir={workdir}'))
    assert code == 0, err
    assert str(workdir) in out
    return workdir


def test_a_run_leaves_everything_behind(straight):
    config = json.loads((straight / 'config.json').read_text())
    assert config['settings']['width'] == 4 and config['versions']['jax'] and config['devices']
    assert [m['step'] for m in metrics(straight)] == list(range(1, 61))
    assert set(metrics(straight)[0]) == {
        'step', 'critic_loss', 'penalty', 'generator_loss', 'wasserstein', 'critic_grad_norm', 'generator_grad_norm',
        'duplicates', 'diversity', 'patch_distance', 'gap', 'held_out_gap', 'w1',
        'w1_of_data', 'evaluation',
    }  # fmt: skip
    seen = [m['step'] for m in metrics(straight) if m['patch_distance'] is not None]
    assert seen == [25, 50, 60] and metrics(straight)[24]['diversity'] > 0 and metrics(straight)[0]['diversity'] is None
    shown = list(events(straight))
    for name in ('duplicates', 'diversity', 'patch_distance', 'gap', 'critic_loss'):
        logged = [(m['step'], pytest.approx(m[name], rel=1e-6)) for m in metrics(straight) if m[name] is not None]
        assert [(step, value) for tag, step, value in shown if tag == name] == logged
    curves = np.load(straight / 'curves.npz')
    assert curves['step'][np.isfinite(curves['diversity'])].tolist() == seen
    names = {path.name for path in (straight / 'samples').iterdir()}
    assert names == {'step_00000025.png', 'step_00000050.png', 'step_00000060.png'}
    for name in ('results.json', 'real.png', 'curves.png', 'curves.npz', 'training.gif'):
        assert (straight / name).stat().st_size > 0
    assert list((straight / 'tensorboard').glob('events.out.tfevents.*'))
    assert sorted(int(p.name) for p in (straight / 'checkpoints').iterdir()) == [50, 55, 60]


def _wait_for(condition, process, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.002)


@pytest.mark.slow
def test_kill_9_and_the_same_command_end_in_the_same_bits(straight, tmp_path):
    workdir = tmp_path / 'killed'
    command = [*TINY, f'--workdir={workdir}']
    folder = workdir / 'checkpoints'
    # Once between saves, and once while one is being written: Orbax writes into a temporary folder first.
    process = start('train', *command)
    _wait_for(lambda: (folder / '25').exists(), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process = start('train', *command)
    _wait_for(lambda: any('tmp' in path.name for path in folder.glob('[3-5]*')), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert any('tmp' in path.name for path in folder.iterdir()), 'the save was over before the kill'
    newest = max(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
    victim = max((folder / str(newest) / 'state').rglob('*'), key=lambda p: p.stat().st_size if p.is_file() else 0)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1  # and the newest whole one is damaged, too
    victim.write_bytes(data)
    code, _, err = finish(start('train', *command))
    assert code == 0 and f'{newest}' in err and 'damaged checkpoint' in err, err
    assert metrics(workdir) == metrics(straight)
    (step, ours), (expected_step, expected) = arrays(workdir), arrays(straight)
    assert step == expected_step == 60 and ours.keys() == expected.keys()
    for name in expected:
        assert ours[name].tobytes() == expected[name].tobytes(), name
    for picture in (straight / 'samples').iterdir():
        assert (workdir / 'samples' / picture.name).read_bytes() == picture.read_bytes()


@pytest.mark.parametrize('number, status', [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_how_to_go_on(tmp_path, number, status):
    workdir = tmp_path / 'stopped'
    process = start('train', *TINIER, '--steps=100000', f'--workdir={workdir}')
    _wait_for(lambda: (workdir / 'checkpoints' / '5').exists(), process)
    process.send_signal(number)
    code, _, err = finish(process)
    assert code == status and 'the same command continues it' in err
    step, _ = arrays(workdir)
    assert metrics(workdir)[-1]['step'] == step


def test_done_is_a_no_op_and_other_settings_are_refused_with_the_differences(straight):
    before = {path: path.stat().st_mtime_ns for path in straight.rglob('*') if path.is_file() and path.name != '.lock'}
    code, out, _ = finish(start('train', *TINY, f'--workdir={straight}'))
    assert code == 0 and 'done already' in out
    code, _, err = finish(start('train', *TINY, '--n_critic=3', f'--workdir={straight}'))
    assert code == 2 and 'n_critic: 2 -> 3' in err and len(err.strip().splitlines()) == 1
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_numbers_that_go_bad_end_the_run_with_status_1(tmp_path):
    workdir = tmp_path / 'bad'
    flags = ['--steps=60', '--critic_lr=1e30', '--generator_lr=1e30', f'--workdir={workdir}']
    code, _, err = finish(start('train', *TINIER, *flags))
    last = err.strip().splitlines()[-1]
    assert code == 1 and 'at step' in last and 'became' in last


BAD_FLAGS = [
    (['--preset=stylegan'], 'preset=stylegan is unknown; there are: flags, pictures, wgan'),
    (['--batch_size=0'], 'batch_size=0 must be at least 1'),
    (['--steps=many'], 'steps'),
    (['--no_such_flag=1'], 'no_such_flag'),
    (['extra'], "'extra' is not a flag"),
    (['--workdir=/proc/nowhere'], 'cannot be written'),
    (['--dataset=folder:/nowhere'], '/nowhere'),
    (['--devices=2', '--batch_size=3', '--parallel=pmap'], 'cannot be shared evenly by 2 devices'),
    (
        ['--devices=2', '--generator_batch_size=7'],
        'generator_batch_size=7 cannot be shared evenly by 2 devices: 6 or 8 would do',
    ),
    (['--deterministic'], 'deterministic has no effect'),
    (['--config=/nowhere.json'], '/nowhere.json cannot be read'),
    (['--config=/nowhere.json', '--preset=wgan'], 'preset has no effect with --config'),
    (['--minutes=1', '--steps=3'], 'steps has no effect with --minutes'),
    (
        ['--arch=mlp', '--image_size=1x65536'],
        'training with image_size=1x65536',
    ),  # whose samples are enlarged to be seen
]


def test_input_that_cannot_be_used_gets_one_line_and_status_2(tmp_path):
    commands = [('train', f'--workdir={tmp_path / "x"}', *flags) for flags, _ in BAD_FLAGS]
    for (flags, message), (code, out, err) in zip(BAD_FLAGS, answers(*commands), strict=True):
        assert code == 2 and message in err and len(err.strip().splitlines()) == 1 and not out, (flags, code, out, err)


def test_a_folder_in_use_is_refused(tmp_path):
    import fcntl

    with open(tmp_path / '.lock', 'a') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, _, err = finish(start('train', *TINY, f'--workdir={tmp_path}'))
    assert code == 2 and 'in use by another process' in err


@pytest.mark.slow
def test_settings_are_shown_and_begun_from(tmp_path):
    # Fails if a file's settings are lost or not completed, if flags do not go before them, or if anything is trained.
    file, run = tmp_path / 'mine.json', tmp_path / 'run.json'
    file.write_text(json.dumps({'preset': 'wgan_gp', 'n_critic': 3, 'image_size': 32, 'seed': 5}))

    def shown(*flags):
        code, out, err = finish(start('train', '--show_settings', *flags))
        assert code == 0, err
        return json.loads(out)

    settings = shown(f'--config={file}', '--width=8')
    assert (settings['n_critic'], settings['image_size'], settings['seed'], settings['width']) == (3, '32x32', 5, 8)
    assert settings['doublings'] == 3 and settings['beta2'] == 0.9  # as a run's record has it; the preset's
    old = {name: value for name, value in settings.items() if name != 'critic_bias'}
    run.write_text(
        json.dumps({'settings': old, 'dataset': {'shape': [4, 32, 32, 3], 'fingerprint': 'a'}, 'launcher': 'train'})
    )
    again = shown(f'--config={run}', f'--workdir={tmp_path / "other"}', '--n_critic=2', '--seed=6')
    assert again == {**settings, 'critic_bias': False, 'n_critic': 2, 'seed': 6}
    file.write_text(json.dumps(settings))
    assert shown(f'--config={file}') == settings  # what is shown can be begun from
    assert sorted(path.name for path in tmp_path.iterdir()) == ['mine.json', 'run.json']
    assert shown(f'--config={file}', '--image_size=64')['doublings'] == 4  # and not as few as at 32
    assert shown(f'--config={run}', f'--workdir={tmp_path / "other"}', '--image_size=16')['doublings'] == 2
    code, _, err = finish(start('train', f'--config={run}'))
    assert code == 2 and 'is that of a run: name another folder by --workdir' in err
    file.write_text(json.dumps({'n_critics': 3}))
    code, _, err = finish(start('train', f'--config={file}'))
    assert code == 2 and 'n_critics is no setting; did you mean n_critic?' in err


def test_help_lists_the_flags_and_exits_0():
    code, out, _ = finish(start('train', '--help'))
    assert code == 0 and '--penalty_weight' in out and '--workdir' in out


@pytest.mark.slow
def test_two_virtual_devices_train(tmp_path):
    flags = ['--parallel=pmap', '--devices=2', '--steps=4', f'--workdir={tmp_path}']
    code, out, err = finish(start('train', *TINIER, *flags))
    assert code == 0 and '2 x cpu' in out, err
    assert [m['step'] for m in metrics(tmp_path)] == [1, 2, 3, 4]


@pytest.mark.slow
def test_init_from_begins_with_another_run_s_networks(straight, tmp_path):
    flags = [*TINY[:-2], '--augment=diff', '--steps=1', '--generator_lr=1e-30', f'--init_from={straight}']
    code, _, err = finish(start('train', *flags, f'--workdir={tmp_path}'))
    assert code == 0, err
    (_, ours), (_, theirs) = arrays(tmp_path), arrays(straight)
    name = next(n for n in ours if n.startswith('params/generator/') and ours[n].ndim == 4)
    np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6)
    code, _, err = finish(start('train', *flags, '--width=8', f'--workdir={tmp_path / "other"}'))
    assert code == 2 and 'is needed' in err


def test_sample_writes_pictures_beside_the_run(straight):
    code, out, err = finish(start('sample', f'--workdir={straight}', '--num=5', '--waypoints=3', '--frames=2'))
    assert code == 0, err
    folder = straight / 'sample'
    assert str(folder) in out and len(list((folder / 'images').glob('*.png'))) == 5
    for name in ('grid.png', 'strip.png', 'interpolation.gif', 'samples.npz', 'config.json', 'results.json'):
        assert (folder / name).stat().st_size > 0
    recorded = json.loads((folder / 'config.json').read_text())['generator']
    assert recorded == digest_of(load(straight).variables)
    code, _, err = finish(start('sample', f'--workdir={straight.parent}'))
    assert code == 2 and 'not the folder of a training run' in err


@pytest.mark.slow
def test_sample_removes_its_own_pictures_only(straight, tmp_path):
    shutil.copytree(straight, tmp_path / 'run')
    images = tmp_path / 'run' / 'sample' / 'images'
    shutil.rmtree(images.parent, ignore_errors=True)
    (images / '00007.png').mkdir(parents=True)
    (images / 'holiday.png').write_text('mine')
    (images / '00009.png').write_text('of an earlier call')
    (images / '54321.png').write_text('mine')
    (images.parent / 'config.json').write_text('{"launcher": "sample", "flags": {"num": 10, "singles": true}}')
    code, _, err = finish(start('sample', f'--workdir={tmp_path / "run"}', '--num=2', '--waypoints=2', '--frames=1'))
    assert code == 0 and '00007.png: a folder stands where a file belongs' in err
    assert {path.name for path in images.iterdir()} == {'00000.png', '00001.png', '54321.png', 'holiday.png', 'damaged'}
    (images / '00002.png').write_text('mine')
    again = ('sample', f'--workdir={tmp_path / "run"}', '--num=3', '--waypoints=2', '--frames=1')
    code, _, err = finish(start(*again))
    assert code == 0 and '00002.png: it is not of the call before' in err
    assert (images.parent / 'damaged' / '00002.png').read_text() == 'mine'
    (images.parent / 'config.json').unlink()
    code, _, err = finish(start(*again))
    assert code == 2 and 'has no config.json, and files that would be replaced' in err


def test_load_samples_a_pure_function_of_the_key(straight):
    import jax

    generator = load(straight)
    images = generator.sample(jax.random.key(1), 6)
    assert images.shape == (6, 16, 32, 3) and float(abs(images).max()) <= 1
    np.testing.assert_allclose(generator.sample(jax.random.key(1), 3), images[:3], atol=1e-6)
    plain = load(straight, step=55, ema=False)
    assert plain.step == 55 and float(abs(plain.sample(jax.random.key(1), 6) - images).max()) > 1e-4
    with pytest.raises(ValueError, match=r'no checkpoint at step 7; there are: \[50, 55, 60\]'):
        load(straight, step=7)
    with pytest.raises(ValueError, match=r'key must be one JAX key such as jax.random.key\(0\), not 3'):
        generator.sample(3, 6)
