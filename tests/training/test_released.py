"""Every number of every published preset, typed from its release (and not from the presets), and what it does.

The comments quote the line of the release; wgan_jax/training/PRESETS.md says where it stands and what is not as
released.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.training.build import build_gan, build_networks
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import override

# What a preset that does not speak of it has. A new setting belongs here, and wherever a release has it.
UNSET = {
    'dataset': 'flags', 'data_dir': None, 'arch': 'dcgan', 'resnet_variant': 'auto', 'critic_width': 0,
    'upsampling': 'transposed', 'label_smoothing': 0.0, 'constraint': 'none', 'clip': 0.01, 'penalty_weight': 10.0,
    'held_out': 0.0, 'instance_noise': 0.0, 'beta1': 0.5, 'beta2': 0.999, 'decay_steps': 0, 'critic_warmup': False,
    'generator_batch_size': 0, 'precision': 'float32', 'augment': 'none', 'ema_decay': 0.0, 'init_from': None,
    'deterministic': False, 'seed': 0, 'channels': 'auto', 'fit': 'crop', 'background': '#ffffff', 'min_side': 0,
    'max_images': 0, 'conditional': False, 'decay': 'linear', 'final_lr': 0.0, 'final_penalty': 1.0, 'final_beta2': 0.0,
    'doublings': 0, 'critic_bias': False,
}  # fmt: skip

DCGAN = {
    'image_size': '64x64',  # npx = 64
    'width': 128,  # ngf = 128, ndf = 128
    'latent_dim': 100,  # nz = 100
    'latent': 'uniform',  # np_rng.uniform(-1., 1., size=(len(imb), nz))
    'critic_norm': 'batch',  # lrelu(batchnorm(dnn_conv(h, w2, ...)))
    'objective': 'non_saturating',  # g_cost_d = bce(p_gen, T.ones(p_gen.shape)).mean()
    'optimizer': 'adam',
    'generator_lr': 0.0002,  # lr = 0.0002
    'critic_lr': 0.0002,
    'beta1': 0.5,  # b1 = 0.5
    'beta2': 0.999,  # b2=0.999
    'n_critic': 1,  # k = 1
    'batch_size': 128,  # nbatch = 128
    'steps': 100_000,
}

WGAN_GP = {
    'image_size': '64x64',  # OUTPUT_DIM = 64*64*3
    'width': 64,  # DIM = 64
    'latent_dim': 128,  # tf.random_normal([n_samples, 128])
    'latent': 'normal',
    'critic_norm': 'none',  # functools.partial(DCGANDiscriminator, bn=False)
    'objective': 'wasserstein',
    'constraint': 'gradient_penalty',  # tf.reduce_mean((slopes-1.)**2)
    'penalty_weight': 10,  # LAMBDA = 10
    'optimizer': 'adam',  # tf.train.AdamOptimizer(learning_rate=1e-4, beta1=0., beta2=0.9)
    'generator_lr': 1e-4,
    'critic_lr': 1e-4,
    'beta1': 0,
    'beta2': 0.9,
    'n_critic': 5,  # CRITIC_ITERS = 5
    'batch_size': 64,  # BATCH_SIZE = 64
    'steps': 200000,  # ITERS = 200000
}

RELEASED = {
    'wgan': {
        'image_size': '64x64',  # '--imageSize', type=int, default=64
        'width': 64,  # '--ngf', type=int, default=64; '--ndf', type=int, default=64
        'latent_dim': 100,  # '--nz', type=int, default=100
        'latent': 'normal',  # noise.resize_(opt.batchSize, nz, 1, 1).normal_(0, 1)
        'critic_norm': 'batch',  # nn.BatchNorm2d(out_feat)
        'objective': 'wasserstein',
        'constraint': 'clip',  # p.data.clamp_(opt.clamp_lower, opt.clamp_upper)
        'clip': 0.01,  # '--clamp_lower', type=float, default=-0.01
        'optimizer': 'rmsprop',  # optim.RMSprop(netD.parameters(), lr = opt.lrD)
        'generator_lr': 0.00005,  # '--lrG', type=float, default=0.00005
        'critic_lr': 0.00005,  # '--lrD', type=float, default=0.00005
        'n_critic': 5,  # '--Diters', type=int, default=5
        'critic_warmup': True,  # if gen_iterations < 25 or gen_iterations % 500 == 0: Diters = 100
        'batch_size': 64,  # '--batchSize', type=int, default=64
        'steps': 100_000,
    },
    'wgan_gp': WGAN_GP,
    'wgan_lp': {**WGAN_GP, 'constraint': 'one_sided_penalty'},  # tf.clip_by_value(slopes - 1., 0, np.infty)**2
    'dcgan': DCGAN,
    'dcgan_minimax': {**DCGAN, 'objective': 'minimax'},  # eq. 1: the generator minimises log(1 - D(G(z)))
    'sngan': {
        'image_size': '32x32',  # chainer.datasets.get_cifar10
        'arch': 'resnet',  # gen_models/resnet_32.py, dis_models/snresnet_32.py
        'resnet_variant': 'cifar',
        'width': 256,  # ch: 256
        'critic_width': 128,  # ch: 128
        'latent_dim': 128,  # dim_z: 128
        'latent': 'normal',  # distribution="normal"
        'critic_norm': 'none',
        'critic_bias': True,  # SNConvolution2D without nobias
        'objective': 'hinge',  # loss_type: hinge
        'constraint': 'spectral',  # SNConvolution2D, SNLinear
        'optimizer': 'adam',
        'generator_lr': 0.0002,  # alpha: 0.0002
        'critic_lr': 0.0002,
        'beta1': 0.0,  # beta1: 0.0
        'beta2': 0.9,  # beta2: 0.9
        'decay_steps': 50000,  # iteration_decay_start: 0
        'n_critic': 5,  # n_dis: 5
        'batch_size': 64,  # batchsize: 64
        'generator_batch_size': 128,  # n_gen_samples: 128
        'steps': 50000,  # iteration: 50000
    },
    'dragan': {
        'image_size': '64x64',
        'width': 64,
        'latent_dim': 100,  # z_dim = 100
        'latent': 'uniform',  # np.random.uniform(-1., 1., size=[m, n])
        'critic_norm': 'none',  # tf.nn.relu(tf.matmul(x, D_W1) + D_b1)
        'objective': 'non_saturating',  # sigmoid_cross_entropy_with_logits(logits=D_fake, targets=tf.ones_like(D_fake))
        'constraint': 'dragan',  # minibatch + 0.5 * minibatch.std() * np.random.random(minibatch.shape)
        'penalty_weight': 10,  # lambd = 10
        'optimizer': 'adam',  # tf.train.AdamOptimizer(learning_rate=1e-4, beta1=0.5, beta2=0.9)
        'generator_lr': 1e-4,
        'critic_lr': 1e-4,
        'beta1': 0.5,
        'beta2': 0.9,
        'n_critic': 1,  # for _ in range(1):
        'batch_size': 128,  # mb_size = 128
        'steps': 200000,  # for it in range(1, 200000):
    },
    'r1': {
        'image_size': '64x64',
        'width': 64,
        'latent_dim': 256,  # dim: 256
        'latent': 'normal',  # type: gauss
        'critic_norm': 'none',
        'objective': 'non_saturating',  # gan_type: standard; gloss = self.compute_loss(d_fake, 1)
        'constraint': 'r1',  # reg_type: real
        'penalty_weight': 2 * 10,  # reg_param: 10.; reg = self.reg_param * compute_grad2(d_real, x_real).mean()
        'optimizer': 'rmsprop',  # optimizer: rmsprop
        'generator_lr': 0.0001,  # lr_g: 0.0001
        'critic_lr': 0.0001,  # lr_d: 0.0001
        'n_critic': 1,  # d_steps: 1
        'batch_size': 64,  # batch_size: 64
        'ema_decay': 0.999,  # model_average_beta: 0.999
        'steps': 100_000,
    },
    'r3gan': {
        'image_size': '64x64',
        'arch': 'r3gan',
        'width': 3 * 512 // 4,  # [3 * x // 4 for x in [1024, 1024, 1024, 1024, 512]]
        'latent_dim': 64,  # NoiseDimension = 64
        'latent': 'normal',  # torch.randn([batch_size, G.z_dim], device=device)
        'critic_norm': 'none',
        'objective': 'relativistic',  # nn.functional.softplus(-RelativisticLogits)
        'constraint': 'r1_r2',  # (Gamma / 2) * (R1Penalty + R2Penalty)
        'penalty_weight': 2,  # 'base_value': 2, 'final_value': 0.2
        'final_penalty': 0.1,
        'optimizer': 'adam',  # class_name='torch.optim.Adam'
        'generator_lr': 2e-4,  # 'base_value': 2e-4, 'final_value': 5e-5
        'critic_lr': 2e-4,
        'final_lr': 0.25,
        'beta1': 0,  # g['betas'] = (0, cur_beta2)
        'beta2': 0.9,  # 'base_value': 0.9, 'final_value': 0.99
        'final_beta2': 0.99,
        'decay': 'cosine',  # 0.5 * (1 + np.cos(np.pi * ...))
        'decay_steps': 20_000_000 // 256,  # decay_nimg = 2e7
        'n_critic': 1,
        'batch_size': 256,  # --batch=256
        'ema_decay': 0.99965,  # ema_beta = 0.5 ** (batch_size / max(cur_ema_nimg, 1e-8)), ema_nimg = 500 * 1000
        'steps': 100_000,
    },
    'hinge': {
        'image_size': '64x64',  # '--imageSize', type=int, default=64
        'width': 64,  # '--ngf', type=int, default=64
        'latent_dim': 100,  # '--nz', type=int, default=100
        'latent': 'normal',  # noise.data.normal_(0, 1)
        'critic_norm': 'batch',  # nn.BatchNorm2d(out_feat)
        'objective': 'hinge',  # margin=1.0
        'optimizer': 'rmsprop',  # optim.RMSprop(paramsD, lr=opt.lrD)
        'generator_lr': 0.0002,  # --lrD 0.0002 --lrG 0.0002
        'critic_lr': 0.0002,
        'n_critic': 1,  # '--Diters', type=int, default=1
        'batch_size': 64,  # '--batchSize', type=int, default=64
        'steps': 100_000,
    },
    'lsgan': {
        'image_size': '112x112',  # 'output_size', '112'
        'width': 64,  # df_dim = 64
        'latent_dim': 1024,  # 'z_dim', '1024'
        'latent': 'uniform',  # np.random.uniform(-1, 1, [FLAGS.batch_size, FLAGS.z_dim])
        'critic_norm': 'batch',  # d_bn1 = batch_norm(name='d_bn1')
        'objective': 'least_squares',  # tf.nn.l2_loss(D_logits_real - tf.ones_like(D_logits_real))
        'optimizer': 'adam',  # tf.train.AdamOptimizer(FLAGS.learning_rate, beta1=FLAGS.beta1)
        'generator_lr': 0.001,  # 'learning_rate', '0.001'
        'critic_lr': 0.001,
        'beta1': 0.5,  # 'beta1', '0.5'
        'beta2': 0.999,
        'n_critic': 1,
        'batch_size': 64,  # 'batch_size', '64'
        'steps': 1000000,  # 'max_steps', 1000000
    },
}


def test_every_published_preset_is_held():
    assert set(RELEASED) == set(PRESETS) - {'flags', 'pictures'}


@pytest.mark.parametrize('name', RELEASED)
def test_every_number_is_as_released(name):
    assert vars(PRESETS[name]) == {**UNSET, **RELEASED[name]}


def _built(name):
    return build_gan(PRESETS[name], 3, conv_impl='native')


def test_r1_penalises_by_ten_times_the_mean_square_of_the_gradient():
    gan, hyperparameters = _built('r1')
    slopes = jnp.array([3.0, -4.0])  # a critic w x, whose gradient is w everywhere
    penalty = gan.constraint.penalty(lambda x: x @ slopes, jnp.ones((6, 2)), jnp.zeros((6, 2)), None)
    np.testing.assert_allclose(hyperparameters.penalty_weight * penalty, 10 * 25, rtol=1e-6)


def test_r3gan_ends_where_the_release_does():
    gan, hyperparameters = _built('r3gan')
    np.testing.assert_allclose(gan.penalty_weight(hyperparameters, 10**6), 0.2, rtol=1e-6)
    np.testing.assert_allclose(gan.beta2, (0.9, 0.99))
    np.testing.assert_allclose(0.5 ** (256 / 500_000), gan.ema_decay, rtol=1e-5)
    slopes = jnp.array([3.0, -4.0])  # gamma / 2 of the squares on both sides
    penalty = gan.constraint.penalty(lambda x: x @ slopes, jnp.ones((6, 2)), jnp.zeros((6, 2)), None)
    np.testing.assert_allclose(gan.penalty_weight(hyperparameters, 0) * penalty, 2 / 2 * (25 + 25), rtol=1e-6)
    sizes = [_count(network) for network in gan.networks]
    assert sizes == [22_429_824, 22_381_440]  # counted in the release


def test_sngan_decays_from_the_first_update_and_draws_more_for_the_generator():
    gan, hyperparameters = _built('sngan')
    np.testing.assert_allclose(
        [gan.left(hyperparameters, step) for step in (0, 12_500, 50_000)], [1, 0.75, 0], rtol=1e-6
    )
    assert gan.batch_sizes == (128, 64)


def test_the_original_trains_its_critic_a_hundred_times_at_first():
    steps = np.array([0, 24, 25, 499, 500, 501])
    np.testing.assert_array_equal(_built('wgan')[0].critic_updates(steps), [100, 100, 5, 5, 100, 5])


def _count(network):
    return sum(x.size for x in jax.tree.leaves(jax.eval_shape(network.init, jax.random.key(0)).params))


def test_sngan_of_twice_the_size_has_a_block_more():
    sizes = [_count(build_networks(override(PRESETS['sngan'], {'image_size': s}), 3).generator) for s in ('32', '64')]
    assert sizes[0] == 4_276_739
    block = 2 * (9 * 256 + 1) * 256 + (256 + 1) * 256 + 2 * 2 * 256  # convolutions, shortcut, norms
    assert sizes[1] - sizes[0] == block  # and begins with 4x4 pixels, too


@pytest.mark.parametrize('name, top', [('dcgan', 1024), ('wgan', 512), ('lsgan', 512)])
def test_channels_where_the_image_is_smallest(name, top):
    networks = build_networks(PRESETS[name], 3)
    start = jax.eval_shape(networks.generator.init, jax.random.key(0)).params['up_0']['kernel']
    assert start.shape == (PRESETS[name].latent_dim, top * (PRESETS[name].height_width[0] // 16) ** 2)
