"""What the launchers refuse: exit status 2, one line that names the flag, and nothing written."""

import numpy as np
import pytest
from PIL import Image

from tests.experiments.processes import answers

# NAME, its flags, and what the line must say.
REFUSALS = [
    ('benchmark', ['--cases=gp,gpu'], '--cases=gp,gpu: gpu is unknown; there are: all, clip, gp, '),
    ('benchmark', ['--pairs=0'], 'pairs=0 must be at least 1'),
    ('benchmark', ['--cases=toy_gp', '--width=65536'], 'toy_gp with batch_size=256, width=65536 would'),
    ('classifier', ['--dataset=flags'], 'dataset=flags has too few pictures of a class to test with: name a'),
    ('classifier', ['--dataset={folder}', '--image_size=8'], 'has no labels of two classes or more: put'),
    ('classifier', ['--steps=0'], 'steps=0 must be at least 1'),
    ('discriminator', ['--width=65536', '--batch_size=16777216'], 'width=65536, batch_size=16777216 would take'),
    ('discriminator', ['--stds=1,0'], '--stds=1,0: 0 must lie between 0.001 and 1000'),
    ('discriminator', ['--means=1'], 'means=1 must be 2 numbers separated by commas, and there are 1'),
    ('distances', ['--p=1,2', '--q=2,2'], 'unequal totals'),
    ('distances', ['--p=1,2', '--q=1,1,1'], 'same number of bins'),
    ('distances', ['--p=1,-2', '--q=-2,1'], '--p=1,-2: -2 must lie between 0 and 1e+09'),
    ('distances', ['--p=1,x', '--q=1,1'], 'p=1,x must be numbers separated by commas'),
    ('distances', ['--p=1,2'], 'go together'),
    ('distances', ['--samples=0'], 'samples=0 must be at least 1'),
    ('distances', ['--points=5000'], 'points=5000 must be at most 2000'),
    ('distances', ['--steps=2147483647'], 'steps=2147483647 would take'),
    ('export', ['--step=-1'], 'step=-1 must be at least 0'),
    ('export', ['--ema=maybe'], 'export: ema=maybe must be true or false'),
    ('export', [], 'is not the folder of a training run'),
    ('game', ['--grid=10000', '--steps=1000000'], 'from 100000001 start(s) with 1 step size(s)'),
    ('game', ['--step_size=0'], '--step_size=0: 0 must be a positive number'),
    ('game', ['--step_size=a'], 'step_size=a must be numbers separated by commas'),
    ('game', ['--steps=0'], 'steps=0 must be at least 1'),
    ('game', ['--steps=many'], 'steps=many must be a whole number'),
    ('game', ['--game=chess'], 'game=chess is unknown; there are: bilinear, '),
    ('game', ['--update=adagrad'], 'update=adagrad is unknown; there are: simultaneous, '),
    ('game', ['--update=consensus(beta=1)'], 'beta is not an option of consensus; there are: gamma'),
    ('game', ['--start=1,2,3'], 'has 3 numbers; bilinear takes 2: 1 of the generator, then 1 of the critic'),
    ('game', ['--steps=1000000000'], 'GB are free'),
    ('game', ['--run=/nowhere'], 'is not the folder of a training run'),
    ('game', ['--run=/nowhere', '--steps=3'], 'steps has no effect with --run'),
    ('game', ['--run=/nowhere', '--workdir=/elsewhere'], 'workdir has no effect with --run'),
    ('game', ['--count=3'], 'count has no effect without --run'),
    ('lipschitz', ['--constraints=clips'], '--constraints=clips: clips is unknown; there are: none, clip'),
    ('lipschitz', ['--width=65536', '--batch_size=16777216'], 'width=65536, batch_size=16777216 would take'),
    ('lipschitz', ['--width=3'], 'width=3 must be even'),
    ('lipschitz', ['--parts=layers', '--constraints=clip'], 'constraints has no effect without table or images among'),
    ('lipschitz', ['--parts=images', '--width=16'], 'width has no effect on images: leave it out'),
    ('lipschitz', ['--parts=images', '--constraints=r1'], 'images are measured under clip, gradient_penalty'),
    ('loss_quality', ['--only=gan_fails', '--samples=16777216'], 'samples=16777216 at points=50 would take'),
    ('loss_quality', ['--points=2'], 'points=2 must be at least 5'),
    ('loss_quality', ['--points=20', '--steps=10'], 'points=20 must lie between 5 and steps=10'),
    ('loss_quality', ['--only=wgan'], '--only=wgan: wgan is unknown; there are: wgan_dcgan'),
    ('loss_quality', ['--features=vgg'], 'feature network vgg is unknown; there are: pixels, random_conv'),
    ('loss_quality', ['--seed=4294967295', '--size=full'], 'leaves no room for 3 seeds below 2**32'),
    ('mode_collapse', ['--methods=gan,pacgan'], 'pacgan is unknown; there are: gan_minimax'),
    ('mode_collapse', ['--methods=gan,gan'], '--methods=gan,gan: name some, each once; there are: gan_minimax'),
    ('mode_collapse', ['--seed=4294967295'], 'seed=4294967295 leaves no room for 5 seeds below 2**32'),
    ('momentum', ['--seeds=10000', '--steps=1000000'], '10000 runs of 1000000 steps with width=64'),
    ('momentum', ['--seeds=0'], 'seeds=0 must be at least 1'),
    ('n_critic', ['--seed=-1'], 'seed=-1 must lie in [0, 2**32)'),
    ('reproduce', ['--size=huge'], '--size=huge: value should be one of <tiny|quick|full>'),
    ('reproduce', ['--only=toy_momentum'], 'toy_momentum is unknown; there are: distances, game, '),
    ('sample', ['--waypoints=1'], 'waypoints=1 must be at least 2'),
    ('toy', ['--data={folder}/bad.npz'], 'is not finite, or beyond 1e+15, in 1 rows'),
    ('toy', ['--penalty_weight=0.1,-1'], '--penalty_weight=0.1,-1: -1 must be a number >= 0'),
    ('toy', ['--clip=0.1,0.1'], '--clip=0.1,0.1: each number may stand there once'),
    ('toy', ['--preset=stylegan'], '--preset=stylegan: value should be one of <wgan|wgan_gp|'),
    ('vanishing_gradients', ['--width=65536'], '3 generators with image_size=32x48, width=65536'),
    (
        'vanishing_gradients',
        ['--generator_steps=10,x'],
        'generator_steps=10,x must be whole numbers separated by commas',
    ),
    (
        'vanishing_gradients',
        ['--size=full', '--generator_steps=1', '--epochs=1'],
        'generator_steps and epochs say the same: give one of them',
    ),
    ('vanishing_gradients', ['--iterations=0'], 'iterations=0 must be at least 1'),
]


@pytest.fixture(scope='module')
def answered(tmp_path_factory):
    """What each of REFUSALS is answered, all in turn."""
    folder = tmp_path_factory.mktemp('refusals')
    Image.new('L', (8, 8)).save(folder / 'unlabelled.png')
    np.savez(folder / 'bad.npz', np.array([[0.0], [np.nan]]))
    commands = []
    for name, flags, _ in REFUSALS:
        own = [] if flags and flags[0].startswith('--run') else [f'--workdir={folder / "run"}']
        commands.append((name, *(flag.replace('{folder}', str(folder)) for flag in flags), *own))
    return folder, answers(*commands)


@pytest.mark.parametrize('i', range(len(REFUSALS)), ids=[f'{name} {" ".join(flags)}' for name, flags, _ in REFUSALS])
def test_what_cannot_be_used_gets_one_line_and_status_2(answered, i):
    name, _, message = REFUSALS[i]
    folder, answer = answered
    code, out, err = answer[i]
    assert code == 2 and message in err and not out, answer[i]
    assert len(err.strip().splitlines()) == 1 and err.startswith(f'{name}: '), err
    assert not (folder / 'run').exists()
