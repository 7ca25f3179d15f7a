"""Critic updates per generator update: training the critic to convergence helps a WGAN and starves a standard GAN.

Three objectives on the ring at four numbers of critic updates, all at the same number of generator updates; what counts
is the exact W1 between the generator's samples and the data, over seeds.
"""

from .common import launcher
from .common.toy_study import Variant, run_study, small_settings

METHODS = {'GAN, log(1 - D)': 'dcgan_minimax', 'GAN, -log D': 'dcgan', 'WGAN-GP': 'wgan_gp'}
N_CRITICS = (1, 5, 25, 100)


def main() -> int:
    """Reads the flags, trains every variant, and returns the exit status."""
    variants = [
        Variant(line, str(n), small_settings(preset, n_critic=n, steps=200))
        for line, preset in METHODS.items()
        for n in N_CRITICS
    ]
    return run_study('n_critic', variants, 'critic updates per generator update')


if __name__ == '__main__':
    launcher.run(main)
