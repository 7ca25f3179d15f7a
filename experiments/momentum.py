"""Momentum in the critic's optimizer: with clipped weights it destabilises the critic, and the generator with it.

The clipped critic on the ring under RMSProp and under Adam with three first decays; what counts is the exact W1 between
the generator's samples and the data, and how much the critic's loss varies, over seeds.
"""

from .common import launcher
from .common.toy_study import Variant, run_study, small_settings

LINE = 'WGAN, clipped'
BETA2 = 0.99  # as long a memory of squares as RMSProp's


def main() -> int:
    """Reads the flags, trains every variant, and returns the exit status."""
    common = {'clip': 0.1, 'steps': 1_000}
    variants = [Variant(LINE, 'RMSProp', small_settings('wgan', **common))]
    for beta1 in (0.0, 0.5, 0.9):
        settings = small_settings('wgan', **common, optimizer='adam', beta1=beta1, beta2=BETA2)
        variants.append(Variant(LINE, f'Adam, β1 = {beta1:g}', settings))
    return run_study('momentum', variants, 'optimizer')


if __name__ == '__main__':
    launcher.run(main)
