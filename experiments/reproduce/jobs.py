"""What reproduce runs: the launchers in order, each with its question and its flags at every size."""

from typing import NamedTuple

SIZES = ('tiny', 'quick', 'full')


class Job(NamedTuple):
    """One run of a launcher: its question, what to see, and its flags at each size.

    Attributes:
        title, caption: the question, and what to see in the figures.
        tiny, quick, full: flags at each size.
        launcher: which one runs; None for the one of the job's own name.
    """

    title: str
    caption: str
    tiny: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    launcher: str | None = None


JOBS = {
    'distances': Job(
        'Why the Wasserstein distance?',
        'Distances between distributions that slide apart: TV and JS level off and tell nothing of the way, KL grows '
        'or is infinite, W1 is the way itself.',
        tiny=('--samples=500', '--points=12', '--steps=20'),
    ),
    'game': Job(
        'Why does a two-player game not settle?',
        'Each player steps along its own gradient, and together they spiral; other rules on the same game converge.',
        tiny=('--steps=20',),
    ),
    'discriminator': Job(
        'Discriminator against critic',
        'Both trained to optimality between two Gaussians: the discriminator saturates where the critic stays a line.',
        tiny=('--updates=20', '--width=4', '--batch_size=8'),
    ),
    'vanishing_gradients': Job(
        'Why do gradients vanish?',
        'The better a discriminator, the smaller the minimax gradient; a Wasserstein critic keeps pointing the way.',
        tiny=('--image_size=16', '--width=2', '--batch_size=2', '--generator_steps=0', '--iterations=2', '--draws=1'),
        quick=('--generator_steps=100,1000',), full=('--size=full',),
    ),
    'loss_quality': Job(
        'Does the loss mean something?',
        'The Wasserstein estimate falls together with the distance of the samples; the standard loss does not.',
        tiny=(
            '--image_size=16', '--width=1', '--batch_size=2', '--steps=5', '--points=5', '--first_updates=1',
            '--samples=8', '--only=wgan_fails,gan_fails',
        ),
        quick=('--steps=500', '--only=wgan_gp_dcgan,wgan_gp_mlp,wgan_fails,gan_dcgan,gan_mlp,gan_fails'),
        full=('--size=full',),
    ),
    'lipschitz': Job(
        'How is a critic kept Lipschitz?',
        'Critics trained to optimality under every constraint, beside the exact distance and bounds of their slope.',
        tiny=('--updates=40', '--width=2', '--batch_size=8', '--constraints=none,clip'),
        quick=('--updates=1000',),
    ),
    'w1_benchmark': Job(
        'Can a critic be trusted with a distance?',
        'Critics on pairs whose distance and optimal critic are known, beside eleven published solvers.',
        tiny=('--cells=2x4', '--updates=20'), full=('--cells=all',),
    ),
    'toy': Job(
        'Does the estimate follow the exact distance?',
        'WGAN-GP on the ring of eight Gaussians, the estimate beside the exact W1 of fresh samples.',
        tiny=('--steps=2', '--num_evals=1', '--width=4', '--batch_size=8', '--n_critic=1'),
        quick=('--steps=1000',),
    ),
    'n_critic': Job(
        'Does it help to train the critic to convergence?',
        'A better discriminator starves the generator of a standard GAN; a better critic only helps.',
        tiny=('--steps=1', '--seeds=1'), full=('--seeds=10',),
    ),
    'momentum': Job(
        'Does momentum go together with clipping?',
        'The distance of the generator from the data under RMSProp and under Adam with more and more momentum.',
        tiny=('--steps=2', '--seeds=1'), full=('--seeds=10',),
    ),
    'mode_collapse': Job(
        'Which GANs miss modes?',
        'Modes captured and share of good samples on the ring and the grid of Gaussians, over seeds.',
        tiny=('--size=tiny', '--methods=gan', '--seeds=1'),
        quick=('--methods=gan,wgan',), full=('--size=full', '--methods=gan_minimax,gan,wgan,wgan_gp,sngan,r3gan'),
    ),
    'mode_collapse_ours': Job(
        'Can every mode be captured?',
        'The recipe of this project at the budget that it takes: samples over training time, for every seed.',
        tiny=('--size=tiny', '--methods=r3gan_ema', '--seeds=1'),
        quick=('--size=full', '--methods=r3gan_ema'), full=('--size=full', '--methods=r1_ema,r3gan_ema'),
        launcher='mode_collapse',
    ),
}  # fmt: skip
