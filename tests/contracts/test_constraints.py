"""What every constraint must satisfy with every objective and network: it builds, lowers for TPU and CUDA, and trains
two finite steps in one program."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.networks import ARCHITECTURES
from wgan_jax.objectives import OBJECTIVES, Objective
from wgan_jax.training.build import build_gan
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings, validate
from wgan_jax.training.state import init_state
from wgan_jax.training.step import Metrics, train_steps

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 1), np.uint8)
QUICK = {'xla_backend_optimization_level': 0}  # of programs that run a few steps
REFUSED = {  # see networks.resnet.critic, networks.r3gan.critic
    ('orthonormal', 'resnet'),
    *((name, 'r3gan') for name, constraint in CONSTRAINTS.items() if constraint.parametrization is not None),
}
# Programs that compile for a minute each, in which its own constraint, a penalty on both sides, stands for the others.
ENOUGH = {'r3gan': ('r1_r2',)}
PAIRS = [(c, a) for a in ARCHITECTURES for c in ENOUGH.get(a, CONSTRAINTS) if (c, a) not in REFUSED]
# Every constraint with every objective, with the MLP. Convolutions compile long: with them the presets' own contract
# trains clip, penalties and spectral; all others, orthonormal ones among them, are slow.
FAST = [(c, a) for c, a in PAIRS if a == 'mlp']


def _settings(constraint: str, arch: str, objective: str = 'wasserstein') -> Settings:
    settings = dataclasses.replace(
        PRESETS['wgan_gp'], image_size='16x16', width=4, latent_dim=3, batch_size=4, n_critic=2, arch=arch,
        objective=objective, constraint=constraint,
    )  # fmt: skip
    validate(settings)
    return settings


def _numbered_objective(number, paired: bool) -> Objective:
    """The objective of that number among those (not) of pairs; it may be traced: one program serves all of them."""
    some = [objective for objective in OBJECTIVES.values() if objective.paired == paired]

    def choose(field):
        return lambda *scores: jax.lax.switch(number, [getattr(o, field) for o in some], *scores)

    return Objective(choose('critic_loss'), choose('generator_loss'), paired)


@pytest.mark.parametrize(
    'constraint, arch', [pytest.param(*pair, marks=() if pair in FAST else pytest.mark.slow) for pair in PAIRS]
)
def test_two_steps_of_every_objective_are_finite_and_one_program(constraint, arch):
    gan, hyperparameters = build_gan(_settings(constraint, arch), 1, conv_impl='native')
    start = jax.jit(lambda: init_state(gan, hyperparameters, 0), compiler_options=QUICK)()

    @functools.partial(jax.jit, compiler_options=QUICK, static_argnums=0)
    def steps(paired, number, hyperparameters, state, num_steps):
        one = dataclasses.replace(gan, objective=_numbered_objective(number, paired))
        return train_steps(one, hyperparameters, state, PIXELS, num_steps, capacity=2)

    losses = []
    pairs_too = constraint == 'r1_r2'  # their own contract is that of convergence
    numbers = {True: 0, False: 0}
    for objective, losses_of in OBJECTIVES.items():
        if losses_of.paired and not pairs_too:
            continue
        which, numbers[losses_of.paired] = (losses_of.paired, numbers[losses_of.paired]), numbers[losses_of.paired] + 1
        state, _ = steps(*which, hyperparameters, start, 1)
        moved = hyperparameters._replace(
            clip=hyperparameters.clip / 2, penalty_weight=hyperparameters.penalty_weight / 2
        )
        before, after, rows = jax.device_get((state, *steps(*which, moved, state, 1)))
        assert int(after.step) == 2 and int(after.critic_step) == 4, objective
        leaves = [x for x in jax.tree.leaves((after, rows)) if jnp.issubdtype(x.dtype, jnp.floating)]
        assert all(np.isfinite(x).all() for x in leaves), objective
        metrics = Metrics(*rows[0])
        losses.append(metrics.generator_loss)
        assert metrics.critic_grad_norm > 0 and metrics.generator_grad_norm > 0, objective
        if constraint != 'one_sided_penalty':  # which is 0 for a flat critic
            assert (metrics.penalty != 0) == (CONSTRAINTS[constraint].penalty is not None), objective
        if constraint == 'clip':
            assert max(np.abs(x).max() for x in jax.tree.leaves(after.params.critic)) <= moved.clip
        spectral = after.network_state.critic
        assert bool(spectral) == constraint.startswith('spectral')
        pairs = zip(*map(jax.tree.leaves, (spectral, before.network_state.critic)), strict=True)
        moves = [np.any(a != b) for a, b in pairs]
        assert any(moves) == bool(spectral)
    assert len(set(losses)) >= len(losses) - 2  # hinge and wasserstein share the generator's; so they may here
    assert steps._cache_size() == 1 + pairs_too  # not another step, clip, penalty weight or objective compiles anything


@pytest.mark.slow
@pytest.mark.parametrize('arch', [pytest.param(a, marks=() if a == 'mlp' else pytest.mark.slow) for a in ARCHITECTURES])
def test_every_constraint_lowers_for_tpu_and_cuda(arch):
    # Each with one objective, taking turns: losses are functions of scores alone.
    for i, constraint in enumerate(c for c, a in PAIRS if a == arch):
        objective = list(OBJECTIVES)[i % len(OBJECTIVES)]
        gan, hyperparameters = build_gan(_settings(constraint, arch, objective), 1, conv_impl='native')
        state = jax.eval_shape(lambda gan=gan, hyperparameters=hyperparameters: init_state(gan, hyperparameters, 0))
        steps = jax.jit(functools.partial(train_steps, gan, capacity=2))
        arguments = jax.ShapeDtypeStruct(PIXELS.shape, jnp.uint8), jax.ShapeDtypeStruct((), jnp.int32)
        exported = jax.export.export(steps, platforms=['tpu', 'cuda'])(hyperparameters, state, *arguments)
        assert exported.out_avals[-1].shape == (2, len(Metrics._fields))


def test_what_cannot_hold_is_refused():
    for constraint, arch in REFUSED:
        with pytest.raises(ValueError, match=constraint):
            _settings(constraint, arch)
