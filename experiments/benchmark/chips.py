"""What chips can do at most, as their makers say, and how they are connected."""

import math
from typing import NamedTuple

HOPPER = 'NVIDIA H100 Tensor Core GPU architecture whitepaper (2022), table 2, SXM5, without sparsity'
GPU_LINKS = 'NVLink 4: 900 GB/s both ways together; DGX H100/H200 user guide: one 400 Gb/s port for each of 8 GPUs'


class Chip(NamedTuple):
    """The rates of a chip and of its links.

    Attributes:
        platform: 'cuda' or 'tpu', for which JAX lowers.
        tflops: 10^12 operations a second in matrix products, by precision of the settings: with JAX's default precision
            float32 means TF32 on a GPU and one pass of bfloat16 on a TPU.
        memory: GB/s between the chip and its memory.
        link: GB/s that a chip sends to those of its domain, while it receives as many.
        domain: chips that reach each other over those links: of a node, of a pod.
        outer_link: GB/s for each chip of a domain between domains.
        latency: microseconds of one message, of which a collective of n chips has log2(n) one behind the other.
        source: of the rates.
    """

    platform: str
    tflops: dict[str, float]
    memory: float
    link: float
    domain: int
    outer_link: float
    latency: float
    source: str

    def link_of(self, devices: int) -> float:
        """Bytes per second at which each of so many chips sends and receives in a ring.

        Rings of several domains enter and leave each of them through the links of all its chips at once, so that the
        slower of the two kinds of links, taken for a whole domain, decides.
        """
        slowest = self.link if devices <= self.domain else min(self.link, self.domain * self.outer_link)
        return 1e9 * slowest

    def seconds_of_messages(self, devices: int) -> float:
        """What waiting for messages takes in a collective of so many chips, whatever its size: a tree's depth."""
        return 1e-6 * self.latency * math.ceil(math.log2(devices))


# Latencies are no maker's: those of small collectives are some 20 microseconds on 8 GPUs and 50 on 512, and a hop
# between two TPUs takes about one (Austin et al. 2025, https://jax-ml.github.io/scaling-book).
CHIPS = {
    'h100': Chip(
        'cuda', {'float32': 494.7, 'bfloat16': 989.4}, memory=3350, link=450, domain=8, outer_link=50, latency=3,
        source=f'{HOPPER}; memory: H100 data sheet; {GPU_LINKS}',
    ),
    'h200': Chip(
        'cuda', {'float32': 494.7, 'bfloat16': 989.4}, memory=4800, link=450, domain=8, outer_link=50, latency=3,
        source=f'{HOPPER}, the same chip; memory: H200 data sheet; {GPU_LINKS}',
    ),
    'v4': Chip(
        'tpu', {'float32': 275, 'bfloat16': 275}, memory=1200, link=268, domain=4096, outer_link=3.125, latency=1,
        source='https://docs.cloud.google.com/tpu/docs/v4: all-reduces of 4,096 chips 1.1 PB/s; between pods as v5e',
    ),
    'v5e': Chip(
        'tpu', {'float32': 197, 'bfloat16': 197}, memory=819, link=200, domain=256, outer_link=3.125, latency=1,
        source='https://docs.cloud.google.com/tpu/docs/v5e: all-reduces of 256 chips 51.2 TB/s, between pods 6.4 Tb/s',
    ),
}  # fmt: skip
