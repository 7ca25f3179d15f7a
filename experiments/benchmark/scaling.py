"""From counts to seconds: the ideal update, the collectives of n chips, the efficiency, and a simulation of it.

A step is the pieces of its updates in the loop's order: what a chip computes up to the next collective, then that
collective, which none leaves before all have come. Nothing is computed while a collective runs.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import integrate

from wgan_jax.training.operations import Collective

from .chips import Chip
from .counts import Update


class Piece(NamedTuple):
    """Seconds that a chip computes without stragglers, and of the collective after it; None without one."""

    compute: float
    collective: float | None


def update_seconds(update: Update, chip: Chip, precision: str, share: float = 1.0, *, fused: bool = True) -> float:
    """The roofline: max(operations / rate, bytes / bandwidth), all that can overlap overlapping.

    Args:
        update: its counts.
        chip: on which.
        precision: of the settings.
        share: of the update's batch, as each of several chips has it.
        fused: take the least bytes; else those of the program before anything is fused, for the whole batch.

    Returns:
        Seconds, of XLA's operations for the chip's platform.

    Source: Williams et al. 2009, https://doi.org/10.1145/1498765.1498785.
    """
    program = update.programs[chip.platform]
    left = (1 - share) / update.flops * update.flops_of_batch if update.flops else 0.0
    moved = update.bytes - (1 - share) * update.bytes_of_batch if fused else program.bytes
    return max(program.flops * (1 - left) / (1e12 * chip.tflops[precision]), moved / (1e9 * chip.memory))


def collective_seconds(collective: Collective, chip: Chip, devices: int) -> float:
    """What a collective takes in a ring of n chips, of which each sends and receives b bytes per second.

    all-reduce of V bytes: 2 (n - 1) / n V / b; all-gather of, or reduce-scatter to, V bytes of each: (n - 1) V / b; and
    the messages' latency, once for each of a gathering and a scattering, of which an all-reduce has both.

    Args:
        collective: its kind, and bytes of one chip's part.
        chip: its links.
        devices: n.

    Source: Patarasuk and Yuan 2009, https://doi.org/10.1016/j.jpdc.2008.09.002.
    """
    if devices == 1:
        return 0.0
    steps, share = (2, 1 / devices) if collective.kind == 'all-reduce' else (1, 1.0)
    sent = (devices - 1) * share * collective.bytes / chip.link_of(devices)
    return steps * (sent + chip.seconds_of_messages(devices))


def step_pieces(
    updates: dict[str, Update],
    n_critic: int,
    chip: Chip,
    precision: str,
    devices: int,
    share: float = 1.0,
    *,
    fused: bool = True,
) -> list[Piece]:
    """The pieces of a step: n_critic critic updates, then a generator update.

    An update's seconds are spread over its pieces as the operations of its products are.

    Args:
        updates: of both players.
        n_critic: critic updates of a step.
        chip, precision, share, fused: as of ``update_seconds``.
        devices: chips that share a batch.
    """

    def of(update):
        seconds, done, pieces = update_seconds(update, chip, precision, share, fused=fused), 0.0, []
        for each in update.collectives:
            part = (each.flops_before - done) / update.flops if update.flops else 0.0
            pieces.append(Piece(seconds * part, collective_seconds(each, chip, devices)))
            done = each.flops_before
        return [*pieces, Piece(seconds - sum(piece.compute for piece in pieces), None)]

    return [*n_critic * of(updates['critic']), *of(updates['generator'])]


def step_seconds(pieces: Sequence[Piece], stretch: float = 1.0) -> float:
    """sum_k (stretch compute_k + collective_k): a step whose slowest chip computes ``stretch`` times as long."""
    return sum(stretch * piece.compute + (piece.collective or 0.0) for piece in pieces)


def expected_stretch(devices: int, slow: int, slowdown: float, jitter: float) -> float:
    """How much longer than one undisturbed chip the slowest of n is expected to compute.

    E max_i s_i (1 + jitter e_i), e_i ~ Exp(1), s_i = slowdown for some of the chips and 1 for the others; without slow
    ones it is 1 + jitter (1 + 1/2 + ... + 1/n).

    Args:
        devices: n.
        slow: how many of them are slow.
        slowdown: at least 1.
        jitter: the mean of the noise, as a share of what a chip computes.
    """
    if not jitter:
        return slowdown if slow else 1.0

    def below(x):  # the share of cases in which all chips are done at x
        each = [(-math.expm1(-(x / s - 1) / jitter), n) for s, n in ((1.0, devices - slow), (slowdown, slow)) if n]
        return math.prod(max(p, 0.0) ** n for p, n in each)

    start, width = slowdown if slow else 1.0, jitter * (slowdown if slow else 1.0)
    knots = [start + width * k for k in (0, 1, 2, 4, 8, 16, 32, 64)]
    rest = [integrate.quad(lambda x: 1 - below(x), a, b)[0] for a, b in itertools.pairwise(knots)]
    return start + sum(rest)


def simulate(
    pieces: Sequence[Piece], *, devices: int, steps: int, slow: int, slowdown: float, jitter: float, seed: int
) -> np.ndarray:
    """When the slowest of n chips is done with each of a number of steps.

    Every chip has a clock. It runs on by what the chip computes, drawn anew for each piece as of ``expected_stretch``;
    at a collective all wait for the last, and leave together.

    Args:
        pieces: of a step.
        devices: n.
        steps: how many.
        slow, slowdown, jitter: as of ``expected_stretch``; the first chips are the slow ones, at all times.
        seed: of the draws.

    Returns:
        Seconds since the start, (steps,).
    """
    draws = np.random.default_rng(seed)
    speed = np.where(np.arange(devices) < slow, slowdown, 1.0)
    clocks, ends = np.zeros(devices), []
    for _ in range(steps):
        for piece in pieces:
            clocks += piece.compute * speed * (1 + jitter * draws.exponential(size=devices) if jitter else 1)
            if piece.collective is not None:
                clocks[:] = clocks.max() + piece.collective
        ends.append(clocks.max())
    return np.array(ends)
