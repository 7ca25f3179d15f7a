"""A GAN in training shown as a two-player game, so that everything in ``wgan_jax.games`` applies to it."""

import dataclasses
import functools
import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.data.feed import Feed
from wgan_jax.data.images import Images, hold_out, on_disk
from wgan_jax.games.game import Game
from wgan_jax.ranges import whole
from wgan_jax.training.build import build_gan
from wgan_jax.training.checkpoint import unflatten
from wgan_jax.training.classes import check_classes, class_shares, data_of, record_of
from wgan_jax.training.dataset import ARRAY, with_images
from wgan_jax.training.folder import checkpoint_of, read_run, settings_of
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.parallel import streaming
from wgan_jax.training.state import TrainState, init_state
from wgan_jax.training.step import draw_batches, generated_batch
from wgan_jax.types import Players, PyTree, given


def as_game(gan: GAN, hyperparameters: Hyperparameters, state: TrainState, data: PyTree) -> Game:
    """The game of both losses on one batch: that of the critic update which comes next.

    Both players see the same images and the same latents, so that a zero-sum objective makes a zero-sum game; a batch
    size of the generator's own is not looked at. The draws, the networks' own state (batch statistics enter through the
    batch) and the penalty are those of training; the optimizers are no part of a game.

    Args:
        gan, hyperparameters: what is trained, and its hyperparameters.
        state: a moment of the training; ``state.params`` is the point where the game stands.
        data: the whole dataset, as ``gan.draw`` takes it.

    Returns:
        A Game of players like ``state.params``. Weight clipping becomes the critic's projection.
    """
    real, _, penalty_keys, labels = draw_batches(gan, state, data, state.critic_step)

    def generate(params):
        return generated_batch(gan, state, params, state.critic_step, labels)

    def score(params, images):
        return gan.networks.critic.apply(state.critic._replace(params=params), images, train=True, **given(labels))[0]

    def generator_loss(players):
        scores = score(players.critic, generate(players.generator))
        if gan.objective.paired:
            return gan.objective.generator_loss(scores, score(players.critic, real))
        return gan.objective.generator_loss(scores)

    def critic_loss(players):
        fake = generate(players.generator)
        loss = gan.objective.critic_loss(score(players.critic, real), score(players.critic, fake))
        if gan.constraint.penalty is None:
            return loss
        penalty = gan.constraint.penalty(lambda images: score(players.critic, images), real, fake, penalty_keys)
        return loss + gan.penalty_weight(hyperparameters, state.step) * penalty

    game = Game(Players(generator_loss, critic_loss))
    if gan.constraint.transform is None:
        return game
    if gan.constraint.projection is None:
        raise ValueError('this constraint moves the weights by a transform and has no projection: a game needs one')
    project = functools.partial(gan.constraint.projection, hyperparameters.clip)
    return game._replace(projections=game.projections._replace(critic=project))


def load_game(
    workdir: str | os.PathLike,
    step: int | None = None,
    *,
    batch_size: int | None = None,
    images: Images | None = None,
    parts: Mapping[str, Any] | None = None,
) -> tuple[Game, Players, int]:
    """The game that a checkpoint of a training run stands in.

    Args:
        workdir: of a run of the train launcher.
        step: of the checkpoint; the newest sound one by default.
        batch_size: examples that make the losses; the run's own by default.
        images: the dataset, where the run was given it as an array.
        parts: the run's own networks, objective, constraint or augmentation, by the names of the settings.

    Returns:
        (game, players, step): the game on the run's data, the checkpoint's parameters, its generator updates.

    Raises:
        ValueError: when the folder holds no training run or no such checkpoint, its dataset cannot be found or is
            another one now, the batch size is below 1, or parts cannot be used.
    """
    config = read_run(workdir)
    settings = dataclasses.replace(settings_of(config), **(parts or {}))
    if batch_size is not None:
        whole(1).check('batch_size', batch_size)
        settings = dataclasses.replace(settings, batch_size=batch_size)
    found = checkpoint_of(workdir, config, step)
    if images is None:
        if settings.dataset == ARRAY:
            raise ValueError(
                f'{workdir} was trained on an array of images: pass them to load_game, or train on folder:PATH'
            )
        _, images = with_images(settings)
    else:
        images = hold_out(check_classes(settings, images), settings.held_out)
    if record_of(settings, images)['fingerprint'] != config['dataset']['fingerprint']:
        raise ValueError(f'{settings.dataset} is not the dataset that {workdir} was trained on: its content differs')
    gan, hyperparameters = build_gan(settings, images.pixels.shape[-1], class_shares=class_shares(settings, images))
    target = jax.eval_shape(lambda: init_state(gan, hyperparameters, np.uint32(0)))
    state = jax.tree.map(jnp.asarray, unflatten(target, found.arrays, str(workdir)))
    data = data_of(settings, images)
    if on_disk(images.pixels):  # of which one batch is wanted
        gan, data = streaming(gan, Feed.of(data, gan.batch_size)), ()
    return as_game(gan, hyperparameters, state, data), state.params, found.step
