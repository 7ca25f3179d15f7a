"""Several processes of ``jax.distributed`` as one run: process 0 leads, the others follow it.

Process 0 does all that a run does with files, clocks and signals, as if it were alone; the others need neither. Before
the devices of all do something together, it tells the others what: a word. Words go through the service by which
``jax.distributed`` has brought the processes together and not through the devices, so that the next call is on its way
while the last one is computed; and how many steps a call has, and whether to stop, is decided once.
"""

import contextlib
import functools
import itertools
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from wgan_jax.joining import is_gone, lose, widen
from wgan_jax.text import printable
from wgan_jax.training.gan import Hyperparameters
from wgan_jax.training.loop import NotFinite
from wgan_jax.training.parallel import Runner
from wgan_jax.training.process_group import Group, Lost, again, last_words
from wgan_jax.training.signals import Interrupted
from wgan_jax.training.state import TrainState
from wgan_jax.types import PyTree, Variables

PATIENCE = 300.0  # seconds in which all have to be there at the start, and to end with process 0
_NOTICE = 2.0  # seconds in which what the devices do together fails, mostly, once a process is gone
_LAST_WORDS = 3.0  # seconds to answer in once something went wrong, less than the shortest heartbeat is long
_POLL = 500  # milliseconds between looks at the signals
_A_LOOK = 100  # milliseconds, of which an answer that is there needs few
_KEPT = 64  # words that are not removed yet; nobody is more than a few calls behind

_meetings = itertools.count()  # a process's n-th is everybody's n-th


@contextlib.contextmanager
def together() -> Iterator[Group]:
    """The processes that ``jax.distributed`` has brought together; how the block ends, all of them learn.

    Raises:
        Lost: naming those that do not answer any more, in place of what went wrong by that.
    """
    if jax.process_count() == 1:
        yield Group()
        return
    group = _Several()
    try:
        yield group
    except BaseException as error:
        group.ended(error)
        raise
    group.ended(None)


class _Several(Group):
    def __init__(self) -> None:
        self._me, self._others = jax.process_index(), range(1, jax.process_count())
        self.follows, self._agreed, self._over, self._told = self._me > 0, False, False, False
        self._folder, self._next = f'wgan_jax/{next(_meetings)}', 0
        self._waits_since: float | None = None  # for the others, in what all do together

    def _tell(self, do: str, **what: Any) -> None:
        _client().key_value_set(f'{self._folder}/word/{self._next}', json.dumps({'do': do, **what}))
        if self._next >= _KEPT:
            _client().key_value_delete(f'{self._folder}/word/{self._next - _KEPT}')
        self._next += 1

    def _say(self, topic: str, what: Any) -> None:
        _client().key_value_set(f'{self._folder}/{topic}/{self._me}', json.dumps([what]), allow_overwrite=True)

    def _heard(
        self,
        name: str,
        patience: float,
        received: list[signal.Signals] | None = None,
        hopeless: Callable[[], bool] = lambda: False,
    ) -> Any:
        """What has been said, as JSON gives it; None where nothing has been for so many seconds, or nobody will."""
        end = time.monotonic() + patience
        while True:
            last = hopeless()  # before the look: what is said before one goes counts
            if received and not self._told:
                self._told = True
                self._say('stop', int(received[0]))
            try:
                left = end - time.monotonic()
                wait = _POLL if left > 1 else max(_A_LOOK, int(1_000 * left))
                return json.loads(_client().blocking_key_value_get(f'{self._folder}/{name}', wait))
            except jax.errors.JaxRuntimeError as error:
                if 'DEADLINE_EXCEEDED' not in str(error):
                    if not self.follows:
                        raise
                    raise Lost(again('process 0 is gone')) from error
            if last or time.monotonic() > end:
                return None

    def _answers(self, topic: str, patience: float) -> dict[int, list[Any] | None]:
        end = time.monotonic() + patience
        return {
            i: self._heard(f'{topic}/{i}', end - time.monotonic(), hopeless=functools.partial(is_gone, i))
            for i in self._others
        }

    def _word(self, patience: float, received: list[signal.Signals] | None = None) -> dict[str, Any]:
        word = self._heard(f'word/{self._next}', patience, received)
        if word is None:
            raise Lost(again('process 0 does not answer any more'))
        self._next += 1
        self._over = self._over or word['do'] == 'end'
        return word

    def agree(self, facts: Mapping[str, Any]) -> None:
        mine = json.loads(json.dumps({'devices of a process': jax.local_device_count(), **facts}))
        if self.follows:
            self._say('hello', mine)
            self._end_as(self._word(PATIENCE + _LAST_WORDS))
        else:
            lines = []
            for i, answer in self._answers('hello', PATIENCE).items():
                if answer is None and is_gone(i):
                    lines.append(f'process {i} is gone')
                elif answer is None:
                    lines.append(f'process {i} has not come within {PATIENCE:.0f} seconds')
                elif isinstance(answer[0], str):
                    lines.append(f'process {i}: {answer[0]}')
                elif differing := _differing(mine, answer[0]):
                    lines.append(f'process {i} was not started as process 0 was: {"; ".join(differing)}')
            if lines:
                raise ValueError('; '.join(lines))
            self._tell('begin')
            threading.Thread(target=self._mind, daemon=True).start()
        self._agreed = True

    def _mind(self) -> None:
        """Ends process 0 when another one is gone or has failed, and it waits for that one: JAX would abort it."""
        client, noticed = _client(), float('inf')  # of now: there may be none any more in the end
        while True:
            time.sleep(_POLL / 1_000)
            if self._over:
                return
            lost = self._lost(client)
            noticed = min(noticed, time.monotonic()) if lost else float('inf')
            since = self._waits_since  # while it writes, it does not
            if since is not None and time.monotonic() - max(since, noticed) > _NOTICE:
                lose(again('; '.join(lost)))
                return

    def _lost(self, client: Any) -> list[str]:
        """Who is gone, else who has failed and said so, a line each."""
        said, gone = {}, self._gone()  # in this order: what is said before one goes counts
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            told = client.key_value_dir_get(f'{self._folder}/bye')
            said = {int(key.rpartition('/')[2]): json.loads(what)[0] for key, what in told}
        return _causes(gone, said)

    def _gone(self) -> list[int]:
        return [i for i in self._others if is_gone(i)]

    @contextlib.contextmanager
    def _waits(self) -> Iterator[None]:
        self._waits_since = time.monotonic()
        try:
            yield
        finally:
            self._waits_since = None

    def led(self, runner: Runner) -> Runner:
        def place(state: TrainState) -> TrainState:
            self._tell('place')
            with self._waits():
                return runner.place(_of_process_0(state))

        def run(state: TrainState, num_steps: int) -> tuple[TrainState, Any]:
            self._tell('run', steps=int(num_steps))
            widen()
            with self._waits():
                return runner.run(state, num_steps)

        def fetch(state: PyTree) -> PyTree:
            with self._waits():
                return runner.fetch(state)

        def of(hyperparameters: Any) -> Runner:
            leaves = [np.asarray(leaf) for leaf in hyperparameters]
            self._tell('of', values=[[leaf.dtype.name, float(leaf)] for leaf in leaves])
            return self.led(runner.of(hyperparameters))

        def differing(state: TrainState) -> str | None:
            self._tell('compare')
            with self._waits():
                return runner.differing(state)

        return runner._replace(place=place, run=run, fetch=fetch, of=of, differing=differing)

    def rebuilt(self, changes: Mapping[str, Any]) -> None:
        self._tell('build', changes=dict(changes))

    def shared(self, step: int, ema: Variables, changes: Mapping[str, Any]) -> Variables:
        self._tell('share', step=step, changes=dict(changes))
        with self._waits():
            return jax.tree.map(jnp.asarray, _of_process_0(ema))

    def wish_to_stop(self, received: list[signal.Signals]) -> signal.Signals | None:
        if received:
            return received[0]
        told = _client().key_value_dir_get(f'{self._folder}/stop')
        return signal.Signals(json.loads(told[0][1])[0]) if told else None

    def follow(
        self,
        runner: Runner,
        shapes: TrainState,
        rebuild: Callable[[Mapping[str, Any]], Runner],
        received: list[signal.Signals],
    ) -> tuple[int, Variables, Mapping[str, Any]]:
        def empty(tree: PyTree) -> PyTree:
            return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), tree)

        state, rows = shapes, None
        step, ema = 0, empty(shapes.ema)
        changes: Mapping[str, Any] = {}
        with contextlib.ExitStack() as held:
            held.callback(lambda: runner.close())  # whichever it is in the end
            while True:
                word = self._word(float('inf'), received)
                self._end_as(word)
                match word['do']:
                    case 'place':
                        state = runner.place(_of_process_0(empty(shapes)))
                    case 'run':
                        jax.block_until_ready(rows)  # of the call before: what went wrong there is raised here
                        widen()
                        state, rows = runner.run(state, word['steps'])
                    case 'of':
                        runner = runner.of(Hyperparameters(*(np.dtype(kind).type(x) for kind, x in word['values'])))
                    case 'build':
                        runner.close()
                        runner = rebuild(word['changes'])
                    case 'compare':
                        runner.differing(state)
                    case 'share':
                        step, changes = word['step'], word['changes']
                        ema = jax.tree.map(jnp.asarray, _of_process_0(empty(shapes.ema)))
                    case 'end':
                        return step, ema, changes

    def ended(self, error: BaseException | None) -> None:
        """Tells the others how it ended, and waits until they have ended too. Raises Lost where one has not."""
        if not self.follows:
            self._over = True
            self._tell('end', **_words_of(error))
            answers = self._answers('bye', PATIENCE if error is None else _LAST_WORDS)
            if not self._agreed:  # the error says who was not there
                return
            said = {i: answer[0] for i, answer in answers.items() if answer is not None}
            if lost := _causes(self._gone(), said, [i for i in self._others if i not in said]):
                self._tell('lost', text=again('; '.join(lost)))
                raise Lost(again('; '.join(lost))) from error
        elif self._over or error is None:
            self._say('bye', None)
        elif not self._agreed:
            self._say('hello', str(error))
            self._say('bye', None)
        else:  # of itself, or because another one is gone, which process 0 finds out
            own = not _may_be_another_s(error)
            self._say('bye', [last_words(error), own])
            if not own and (text := self._who_is_lost()) is not None:
                raise Lost(text) from error

    def _who_is_lost(self) -> str | None:
        """What process 0 says of it within a while; None where it says nothing."""
        end = time.monotonic() + 2 * _LAST_WORDS
        with contextlib.suppress(Lost):
            while (word := self._word(end - time.monotonic()))['do'] != 'lost':
                pass
            return word['text']
        return None

    def _end_as(self, word: Mapping[str, Any]) -> None:
        """Raises what process 0 has raised, where this is its last word and it has not come to the end."""
        if word['do'] != 'end' or word['kind'] is None:
            return
        match word['kind']:
            case 'Interrupted':
                raise Interrupted(signal.Signals(word['signal']), word['step'], done=word['done'])
            case 'ValueError':
                raise ValueError(word['text'])
            case 'NotFinite':
                raise NotFinite(word['text'])
        self._say('bye', None)
        lost = self._who_is_lost() if word['waits'] else None
        raise Lost(lost or again(f'process 0 ended: {word["text"] or word["kind"]}'))


def _client() -> Any:
    """The client of the service that ``jax.distributed.initialize`` has started, which has no public name."""
    from jax._src import distributed

    return distributed.global_state.client


def _differing(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    names = sorted({*mine, *theirs})
    return [f'{n}: {theirs.get(n)} instead of {mine.get(n)}' for n in names if theirs.get(n) != mine.get(n)]


def _causes(gone: Sequence[int], said: Mapping[int, Any], silent: Sequence[int] = ()) -> list[str]:
    """Why a run has come to its end, a line each: the likeliest that there is.

    That is who is gone without a word; who has failed by itself, for which others may wait in silence; who is silent;
    whose failure may come of another's.
    """
    failed = {i: last for i, last in said.items() if last}
    return (
        [f'process {i} is gone' for i in gone if i not in said]
        or [f'process {i} ended: {why}' for i, (why, own) in failed.items() if own]
        or [f'process {i} is gone' for i in silent]
        or [f'process {i} ended: {why}' for i, (why, _) in failed.items()]
    )


def _may_be_another_s(error: BaseException) -> bool:
    """Whether an error may come of another process, which JAX's do where they are not of memory."""
    return isinstance(error, jax.errors.JaxRuntimeError | Lost) and 'RESOURCE_EXHAUSTED' not in str(error)


def _words_of(error: BaseException | None) -> dict[str, Any]:
    """How process 0 has ended, for the others to end likewise."""
    if isinstance(error, Interrupted):
        return {'kind': 'Interrupted', 'signal': int(error.signal), 'step': error.step, 'done': error.done}
    kinds = {'ValueError': ValueError, 'NotFinite': NotFinite}
    kind = next((name for name, type_ in kinds.items() if isinstance(error, type_)), type(error).__name__)
    text = printable(str(error), 2_000)
    waits = error is not None and _may_be_another_s(error)  # for who is lost to be named
    return {'kind': kind if error is not None else None, 'text': text, 'waits': waits}


def _of_process_0(tree: PyTree) -> PyTree:
    """The arrays that process 0 holds, to the bit; the others give some of the same shapes."""
    leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, tree))
    packed = np.frombuffer(b''.join(leaf.tobytes() for leaf in leaves), np.uint8)  # a sum would lose the sign of -0
    packed = np.asarray(multihost_utils.broadcast_one_to_all(packed))
    cuts = np.cumsum([leaf.nbytes for leaf in leaves])[:-1]
    parts = zip(np.split(packed, cuts), leaves, strict=True)
    return jax.tree.unflatten(structure, [np.frombuffer(p.tobytes(), x.dtype).reshape(x.shape) for p, x in parts])
