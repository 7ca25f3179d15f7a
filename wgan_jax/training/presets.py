"""Named settings: the papers' as their authors released them, and this project's own recipe for flags.

Beside each number stands the line that it was read from: in the file and at the commit named above it, or in the
paper. A number without one is ours, and so are the steps of a release that counts epochs of its own dataset. What a
release has and these settings do not is in PRESETS.md beside this file.
"""

from dataclasses import replace

from wgan_jax.training.settings import Settings

# Sized for minutes on two cores: upsampling without checkerboard, and many small steps at a high rate that decays to
# zero; see the table of trials in experiments/RESULTS.md.
_FLAGS = Settings(
    image_size='32x48', width=16, doublings=4, upsampling='nearest', latent_dim=64, critic_norm='none',
    constraint='gradient_penalty', penalty_weight=10.0, optimizer='adam', generator_lr=1e-3, critic_lr=1e-3,
    beta1=0.0, beta2=0.9, decay_steps=4_500, n_critic=1, steps=4_500, batch_size=32, ema_decay=0.995,
)  # fmt: skip

# For other pictures: with one critic update to a step, as for flags, the generator collapses on a set that is more
# varied; see the trials in experiments/RESULTS.md. Some images are kept apart, to see what is learnt by heart.
_PICTURES = replace(
    _FLAGS, image_size='32x32', doublings=0, n_critic=3, ema_decay=0.98, held_out=0.1, decay_steps=2_000, steps=2_000
)

# Radford et al. 2016, figure 1 and section 4; faces/train_uncond_dcgan.py of github.com/Newmu/dcgan_code@ee12b2d.
_DCGAN = Settings(
    image_size='64x64',  # line 42
    width=128,  # 44, 45: 1,024 channels at 4x4
    latent_dim=100,  # 43
    latent='uniform',  # 202: in [-1, 1]
    critic_norm='batch',  # 118-121: not after the first convolution
    objective='non_saturating',  # 134-138
    optimizer='adam',  # 144, 145
    generator_lr=2e-4,  # 49
    critic_lr=2e-4,
    beta1=0.5,  # 39
    beta2=0.999,  # lib/updates.py, Adam
    n_critic=1,  # 36
    batch_size=128,  # 41
    steps=100_000,  # 47: 25 epochs
)

# Gulrajani et al. 2017, algorithm 1; gan_64x64.py of github.com/igul222/improved_wgan_training@fa66c57, with the DCGAN
# pair of its lines 47-48, the baseline of the paper's section 5.
_WGAN_GP = Settings(
    image_size='64x64',  # line 34
    width=64,  # 28
    latent_dim=128,  # 240
    latent='normal',  # 240
    critic_norm='none',  # 57 (bn=False); or else layer norm (84-88), which MLPs and bounded layers cannot have
    objective='wasserstein',  # 487, 488
    constraint='gradient_penalty',  # 490-500, one weight of the interpolation for each sample
    penalty_weight=10.0,  # 33
    optimizer='adam',  # 542-545
    generator_lr=1e-4,
    critic_lr=1e-4,
    beta1=0.0,
    beta2=0.9,
    n_critic=5,  # 29
    batch_size=64,  # 31
    steps=200_000,  # 32
)

PRESETS: dict[str, Settings] = {
    'flags': _FLAGS,
    'pictures': _PICTURES,
    # Arjovsky et al. 2017, algorithm 1; main.py of github.com/martinarjovsky/WassersteinGAN@f7a01e8.
    'wgan': Settings(
        image_size='64x64',  # line 27
        width=64,  # 30, 31
        latent_dim=100,  # 29
        latent='normal',  # 205, 222
        critic_norm='batch',  # 43: on unless --noBN
        objective='wasserstein',  # 202, 210, 226
        constraint='clip',  # 186
        clip=0.01,  # 40, 41
        optimizer='rmsprop',  # 161, 162
        generator_lr=5e-5,  # 34
        critic_lr=5e-5,  # 33
        n_critic=5,  # 42
        critic_warmup=True,  # 176, 177
        batch_size=64,  # 26
        steps=100_000,  # 32: 25 epochs
    ),
    'wgan_gp': _WGAN_GP,
    # Petzka et al. 2018, eq. 8: WGAN-GP with a penalty on norms above 1 only; gan_64x64.py, line 511, of
    # github.com/lukovnikov/improved_wgan_training@a11a49c.
    'wgan_lp': replace(_WGAN_GP, constraint='one_sided_penalty'),
    'dcgan': _DCGAN,
    # The minimax loss of Goodfellow et al. 2014, eq. 1, whose generator stops learning when the discriminator is good.
    'dcgan_minimax': replace(_DCGAN, objective='minimax'),
    # Miyato et al. 2018, section 4 and table 4; configs/sn_cifar10_unconditional.yml of
    # github.com/pfnet-research/sngan_projection@e84b1a5.
    'sngan': Settings(
        image_size='32x32',  # line 17: 4 pixels, doubled three times in gen_models/resnet_32.py
        arch='resnet',  # 13, 23
        resnet_variant='cifar',
        width=256,  # 18
        critic_width=128,  # 26
        latent_dim=128,  # 16
        latent='normal',  # gen_models/resnet_32.py, 9
        critic_norm='none',  # dis_models/resblocks.py
        critic_bias=True,  # dis_models/resblocks.py: no nobias; read with --arch=dcgan, as residual blocks have them
        objective='hinge',  # 47
        constraint='spectral',  # dis_models/snresnet_32.py
        optimizer='adam',
        generator_lr=2e-4,  # 36
        critic_lr=2e-4,
        beta1=0.0,  # 37
        beta2=0.9,  # 38
        decay_steps=50_000,  # 3, 4: from the first update on
        n_critic=5,  # 44
        batch_size=64,  # 2
        generator_batch_size=128,  # 45
        steps=50_000,  # 3
    ),
    # Kodali et al. 2017, section 2.3; second cell of DRAGAN.ipynb of github.com/kodalinaveen3/DRAGAN@5cf95ab, in which
    # each is named.
    'dragan': Settings(
        image_size='64x64',
        width=64,
        latent_dim=100,  # z_dim
        latent='uniform',  # sample_z: in [-1, 1]
        critic_norm='none',  # discriminator
        objective='non_saturating',  # gen_cost
        constraint='dragan',  # get_perturbed_batch, gradient_penalty
        penalty_weight=10.0,  # lambd
        optimizer='adam',  # gen_train_op, disc_train_op
        generator_lr=1e-4,
        critic_lr=1e-4,
        beta1=0.5,
        beta2=0.9,
        n_critic=1,  # the loop over range(1)
        batch_size=128,  # mb_size
        steps=200_000,  # the loop over range(1, 200000)
    ),
    # Mescheder et al. 2018, eq. 9; configs/default.yaml of github.com/LMescheder/GAN_stability@c1f64c9.
    'r1': Settings(
        image_size='64x64',
        width=64,
        latent_dim=256,  # line 17
        latent='normal',  # 16
        critic_norm='none',  # gan_training/models/resnet.py
        objective='non_saturating',  # 20; gan_training/train.py, 31 and 96
        constraint='r1',  # 21
        penalty_weight=20.0,  # 22: 10 E|grad|^2 (train.py, 53, has no half), which is gamma / 2 E|grad|^2 for gamma 20
        optimizer='rmsprop',  # 35
        generator_lr=1e-4,  # 36
        critic_lr=1e-4,  # 37
        n_critic=1,  # 40
        batch_size=64,  # 23
        ema_decay=0.999,  # 26
        steps=100_000,  # the release never stops
    ),
    # Huang et al. 2024; train.py, preset FFHQ-64, of github.com/brownvc/R3GAN@19a7ddf.
    'r3gan': Settings(
        image_size='64x64',
        arch='r3gan',
        width=384,  # line 199
        latent_dim=64,  # 203
        latent='normal',  # training/training_loop.py, 288 and 291
        critic_norm='none',  # R3GAN/Networks.py
        objective='relativistic',  # R3GAN/Trainer.py, 22 and 39
        constraint='r1_r2',  # R3GAN/Trainer.py, 41
        penalty_weight=2.0,  # 211: gamma, from 2 to 0.2
        final_penalty=0.1,
        optimizer='adam',  # 159, 160
        generator_lr=2e-4,  # 210: from 2e-4 to 5e-5
        critic_lr=2e-4,
        final_lr=0.25,
        beta1=0.0,  # training_loop.py, 331
        beta2=0.9,  # 212: from 0.9 to 0.99
        final_beta2=0.99,
        decay='cosine',  # training_loop.py, 30
        decay_steps=78_125,  # 206: 20 million images
        n_critic=1,
        batch_size=256,  # README.md, 39
        ema_decay=0.99965,  # 208: half of it lies 500,000 images back, in the end
        steps=100_000,  # the release's default, 10,000 million images, is as good as endless
    ),
    # Lim and Ye 2017, section 5; main.py and scripts/exp3.celeba.sh of
    # github.com/lim0606/pytorch-geometric-gan@eb84feb. There the discriminator's last layer has a weight decay of 1/64
    # (line 372), and the generator ten updates for each of the discriminator (exp3, 31); here neither.
    'hinge': Settings(
        image_size='64x64',  # line 36
        width=64,  # 39, 40
        latent_dim=100,  # 38
        latent='normal',  # 466, 496
        critic_norm='batch',  # models/dcgan.py, 33
        objective='hinge',  # 304, 307
        optimizer='rmsprop',  # 388, 389
        generator_lr=2e-4,  # exp3, 29
        critic_lr=2e-4,
        n_critic=1,  # 52
        batch_size=64,  # 34
        steps=100_000,  # exp3, 32: 50 epochs
    ),
    # Mao et al. 2017, eq. 9: targets 0, 1 and 1; train_lsun.py and vgg.py of github.com/xudonmao/LSGAN@3b13d36.
    'lsgan': Settings(
        image_size='112x112',  # line 20
        width=64,  # vgg.py, 50
        latent_dim=1024,  # 19
        latent='uniform',  # 70: in [-1, 1]
        critic_norm='batch',  # vgg.py, 53-55
        objective='least_squares',  # vgg.py, 143-149
        optimizer='adam',  # vgg.py, 157, 158
        generator_lr=1e-3,  # 15
        critic_lr=1e-3,
        beta1=0.5,  # 16
        beta2=0.999,  # TensorFlow's default
        n_critic=1,  # 73-77
        batch_size=64,  # 17
        steps=1_000_000,  # 21
    ),
}
