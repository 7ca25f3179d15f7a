"""What a run asks of the processes that it has, and what one that is alone answers."""

import signal
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from wgan_jax.text import printable
from wgan_jax.training.parallel import Runner
from wgan_jax.training.state import TrainState
from wgan_jax.types import Variables


def last_words(error: BaseException) -> str:
    """What a process says to the others of why it ends, in one line."""
    return printable(str(error) or type(error).__name__, 300)


def again(what: str) -> str:
    """What has happened, and what to do."""
    return f'{what}; the same command continues from the last checkpoint'


class Lost(RuntimeError):
    """Other processes of the run do not answer any more."""


class Group:
    """The processes of a run; of this class there is but one, which has nobody to agree with."""

    follows = False

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Compares what the processes were started with, anything that JSON has.

        Raises:
            ValueError: in every process, where something differs, or one is not there or has refused its input.
        """

    def led(self, runner: Runner) -> Runner:
        """The runner whose calls the followers make too."""
        return runner

    def rebuilt(self, changes: Mapping[str, Any]) -> None:
        """Tells the followers that from now on a program of other settings is run."""

    def wish_to_stop(self, received: list[signal.Signals]) -> signal.Signals | None:
        """The signal that has come to this process, which the list says, or to another one; None for none."""
        return received[0] if received else None

    def shared(self, step: int, ema: Variables, changes: Mapping[str, Any]) -> Variables:
        """What the run has come to, as JAX arrays, of which the followers get a copy; and which settings it changed."""
        return jax.tree.map(jnp.asarray, ema)

    def follow(
        self,
        runner: Runner,
        shapes: TrainState,
        rebuild: Callable[[Mapping[str, Any]], Runner],
        received: list[signal.Signals],
    ) -> tuple[int, Variables, Mapping[str, Any]]:
        """Does what process 0 says, until it says that it is done.

        Args:
            runner: of what is trained.
            shapes: of its state.
            rebuild: the runner for changed settings.
            received: signals that have come to this process, which process 0 is told of.

        Returns:
            What ``shared`` was called with.

        Raises:
            ValueError, NotFinite, Interrupted: what process 0 has raised.
            Lost: when it has ended otherwise, or it or another process is gone.
        """
        raise NotImplementedError
