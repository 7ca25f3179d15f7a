"""Named settings: the papers' as published, and this project's own recipe for flags."""

from wgan_jax.training.settings import Settings

# Radford et al. 2016, section 4: batch 128, Adam 2e-4 with beta1 0.5, z ~ U[-1, 1]^100, one update each.
_DCGAN = Settings(
    objective='non_saturating', critic_norm='batch', latent='uniform', batch_size=128, n_critic=1,
    optimizer='adam', generator_lr=2e-4, critic_lr=2e-4, beta1=0.5, beta2=0.999, steps=100_000,
)  # fmt: skip

# Gulrajani et al. 2017, algorithm 1, with the DCGAN networks of its section 5.
_WGAN_GP = Settings(
    critic_norm='none', constraint='gradient_penalty', penalty_weight=10.0, n_critic=5, batch_size=64,
    optimizer='adam', generator_lr=1e-4, critic_lr=1e-4, beta1=0.0, beta2=0.9, latent_dim=128, steps=200_000,
)  # fmt: skip

PRESETS: dict[str, Settings] = {
    # Sized for minutes on two cores: upsampling without checkerboard, and many small steps at a high rate that decays
    # to zero; see the table of trials in the README.
    'flags': Settings(
        image_size='32x48', width=16, upsampling='nearest', latent_dim=64, critic_norm='none',
        constraint='gradient_penalty', penalty_weight=10.0, optimizer='adam', generator_lr=1e-3, critic_lr=1e-3,
        beta1=0.0, beta2=0.9, decay_steps=4_500, n_critic=1, steps=4_500, batch_size=32, ema_decay=0.995,
    ),
    # Arjovsky et al. 2017, algorithm 1.
    'wgan': Settings(
        critic_norm='batch', constraint='clip', clip=0.01, n_critic=5, batch_size=64, steps=100_000,
        optimizer='rmsprop', generator_lr=5e-5, critic_lr=5e-5,
    ),
    'wgan_gp': _WGAN_GP,
    'dcgan': _DCGAN,
    # The minimax loss of Goodfellow et al. 2014, whose generator stops learning when the discriminator is good.
    'dcgan_minimax': Settings(**{**vars(_DCGAN), 'objective': 'minimax'}),
    # Petzka et al. 2018, eq. 8: WGAN-GP with a penalty on norms above 1 only.
    'wgan_lp': Settings(**{**vars(_WGAN_GP), 'constraint': 'one_sided_penalty'}),
    # Miyato et al. 2018, section 4 and table 4: CIFAR ResNets, generator of width 256, spectral norm, hinge loss, five
    # critic updates, Adam 2e-4 without momentum, decayed linearly.
    'sngan': Settings(
        image_size='32x32', arch='resnet', width=256, critic_width=128, latent_dim=128, critic_norm='none',
        objective='hinge', constraint='spectral', optimizer='adam', generator_lr=2e-4, critic_lr=2e-4, beta1=0.0,
        beta2=0.9, decay_steps=100_000, n_critic=5, steps=100_000, batch_size=64,
    ),
    # Kodali et al. 2017, section 2.3: the minimax GAN penalised around the data (lambda 10, target 1), Adam 2e-4 with
    # beta1 0.5; no batch norm in the critic, whose gradient per sample the penalty needs.
    'dragan': Settings(
        objective='minimax', critic_norm='none', constraint='dragan', penalty_weight=10.0, n_critic=1, batch_size=64,
        optimizer='adam', generator_lr=2e-4, critic_lr=2e-4, beta1=0.5, beta2=0.999,
    ),
    # Mescheder et al. 2018, section 6: gamma 10, RMSProp 1e-4, batch 64, 256 latents, averaged weights; DCGAN networks.
    'r1': Settings(
        objective='non_saturating', critic_norm='none', constraint='r1', penalty_weight=10.0, n_critic=1,
        batch_size=64, latent_dim=256, optimizer='rmsprop', generator_lr=1e-4, critic_lr=1e-4, ema_decay=0.999,
    ),
    # Lim and Ye 2017, section 5: DCGAN networks, RMSProp 2e-4; one critic update per generator update.
    'hinge': Settings(
        objective='hinge', critic_norm='batch', n_critic=1, batch_size=64, optimizer='rmsprop', generator_lr=2e-4,
        critic_lr=2e-4,
    ),
    # Mao et al. 2017, section 4: Adam 1e-3 (scenes) with beta1 0.5; targets 0, 1, 1 (eq. 9).
    'lsgan': Settings(
        objective='least_squares', critic_norm='batch', n_critic=1, batch_size=64, optimizer='adam', generator_lr=1e-3,
        critic_lr=1e-3, beta1=0.5, beta2=0.999,
    ),
}  # fmt: skip
