"""Momentum in the critic's optimizer: with clipped weights it destabilises the critic, and the generator with it.

The clipped critic under RMSProp and under Adam with three first decays; what counts is the distance of the generator's
samples from the data, and how much the critic's loss varies, over seeds: exact W1 on a ring of Gaussians, or with
--dataset=mnist, or any images, the patch distance. A run on images is kept as soon as it is done: the same command goes
on where it was stopped.
"""

from .common import launcher
from .common.study import Variant, run_study

LINE = 'WGAN, clipped'
BETA2 = 0.99  # as long a memory of squares as RMSProp's
ON_DENSITY = {'clip': 0.1, 'steps': 1_000}
ON_IMAGES = {'steps': 5_000}  # bound and rate as published


def main() -> int:
    """Reads the flags, trains every variant, and returns the exit status."""
    variants = [Variant(LINE, 'RMSProp', 'wgan', {}, ON_DENSITY, ON_IMAGES)]
    for beta1 in (0.0, 0.5, 0.9):
        changes = {'optimizer': 'adam', 'beta1': beta1, 'beta2': BETA2}
        variants.append(Variant(LINE, f'Adam, β1 = {beta1:g}', 'wgan', changes, ON_DENSITY, ON_IMAGES))
    return run_study('momentum', variants, 'optimizer')


if __name__ == '__main__':
    launcher.run(main)
