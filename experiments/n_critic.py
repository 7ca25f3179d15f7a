"""Critic updates per generator update: training the critic to convergence helps a WGAN and starves a standard GAN.

Three objectives at four numbers of critic updates, all at the same number of generator updates; what counts is the
distance of the generator's samples from the data, over seeds: exact W1 on a ring of Gaussians, or with
--dataset=mnist, or any images, the patch distance. A run on images is kept as soon as it is done: the same command goes
on where it was stopped.
"""

from .common import launcher
from .common.study import Variant, run_study

# Of each line its preset, and the rate of both players on images: as loss_quality has them.
METHODS = {
    'GAN, log(1 - D)': ('dcgan_minimax', 2e-4),
    'GAN, -log D': ('dcgan', 2e-4),
    'WGAN-GP': ('wgan_gp', 5e-4),
}
N_CRITICS = (1, 5, 25, 100)


def main() -> int:
    """Reads the flags, trains every variant, and returns the exit status."""
    variants = [
        Variant(
            line, str(n), preset, {'n_critic': n}, on_density={'steps': 200},
            on_images={'steps': 1_000, 'generator_lr': rate, 'critic_lr': rate},
        )
        for line, (preset, rate) in METHODS.items() for n in N_CRITICS
    ]  # fmt: skip
    return run_study('n_critic', variants, 'critic updates per generator update')


if __name__ == '__main__':
    launcher.run(main)
