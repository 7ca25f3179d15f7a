"""Every claim of the field that this project checks: what is claimed, what theory says, what was measured."""

import math
from collections.abc import Iterable

from .checks import Claim, Results, near


def _update(results: Results, name: str) -> Results:
    return next(row for row in results['runs'] if row['update'] == name)


_MULTIPLIERS = (  # the rules that multiply d + i g by one number a step, so that the rate is exact at every step
    'simultaneous', 'extragradient', 'proximal', 'implicit_midpoint', 'consensus', 'symplectic_adjustment',
    'competitive', 'lookahead', 'runge_kutta',
)  # fmt: skip


def _largest(values: Iterable[float]) -> float:
    """The largest number; NaN where one is, which Python's max may pass over, and TypeError for None."""
    values = [float(value) for value in values]
    return math.nan if any(map(math.isnan, values)) else max(values)


def _worst_rate(results: Results) -> float:
    """Largest difference of the fitted and the predicted rate over the rules that have one multiplier."""
    rows = [_update(results, name) for name in _MULTIPLIERS]
    return _largest(abs(row['fitted_rate'] - row['predicted_rate']) for row in rows)


def _at(results: Results, key: str, delta: float) -> float:
    sliding = results['sliding']
    return sliding[key][sliding['delta'].index(delta)]


def _largest_ratio_to_bound(results: Results) -> float:
    """Largest estimate / (Lipschitz bound * exact W1) over all constraints and pairs."""
    rows = [row for own in results['table']['constraints'].values() for row in own.values() if isinstance(row, dict)]
    return _largest(row['estimate_over_upper_bound_over_w1'] for row in rows)


def _worst_orthonormal(results: Results) -> float:
    own = results['table']['constraints']['orthonormal']
    return _largest(abs(own[pair]['estimate_over_w1'] - 1) for pair in results['table']['distances'])


def _longest_trained(results: Results) -> Results:
    return results[max(results, key=lambda name: int(name.split('_')[1]))]


def _study(results: Results, line: str, place: str, key: str) -> float:
    """Mean over seeds of a number of one variant of a toy study."""
    own = next(row for row in results['variants'] if (row['line'], row['place']) == (line, place))
    return own[key]['mean']


def _converged_over_five(results: Results, line: str) -> float:
    """Exact W1 reached with 100 critic updates a step, over that with 5."""
    return _study(results, line, '100', 'w1') / _study(results, line, '5', 'w1')


_D, _G, _P, _V, _Q = 'distances', 'game', 'discriminator', 'vanishing_gradients', 'loss_quality'
_L, _N, _C, _W = 'lipschitz', 'momentum', 'n_critic', 'w1_benchmark'
_M, _O = 'mode_collapse', 'mode_collapse_ours'

CLAIMS: tuple[Claim, ...] = (
    Claim(
        'The g·d game', 'Simultaneous gradient steps from (1, 1) with step size 0.1 spiral outwards: g² + d² after 100',
        '2 · 1.01¹⁰⁰ = 5.409627659', _G,
        lambda r: sum(v**2 for v in _update(r, 'simultaneous')['final'].values()), **near(5.40962765884, 1e-6),
    ),
    Claim(
        'The g·d game', 'Extragradient converges there: distance to the equilibrium after 100 steps',
        '√2 · 0.9950376877¹⁰⁰ = 0.8599397', _G,
        lambda r: _update(r, 'extragradient')['distance_end'], **near(0.85993975, 1e-5),
    ),
    Claim(
        'The g·d game', 'Optimistic steps converge there: distance after 100 steps', '0.8599852788', _G,
        lambda r: _update(r, 'optimistic')['distance_end'], **near(0.8599852788, 1e-7),
    ),
    Claim(
        'The g·d game', 'Rules with one multiplier grow or shrink at its size: largest difference of measured and '
        'predicted rate over nine rules', '0', _G, _worst_rate, **near(0.0, 1e-9),
    ),
    Claim(
        'Optimal discriminator', 'A discriminator trained between two Gaussians becomes D* = p_r / (p_r + p_g): '
        'largest error where 99.9 % of the mass lies', '0', _P, lambda r: r['largest_error_of_d'], **near(0.0, 0.02),
    ),
    Claim(
        'Optimal discriminator', 'The value that it reaches is 2 JS - log 4: relative error of the JS divergence that '
        'follows', '0', _P, lambda r: r['js_relative_error'], **near(0.0, 0.02),
    ),
    Claim(
        'Discriminator against critic', 'A critic with a gradient penalty is close to linear between the modes: '
        'largest slope over smallest', '1 for the best critic', _P,
        lambda r: r['gradient_penalty']['slope_ratio_between_means'], 1.0, 1.5,
    ),
    Claim(
        'Discriminator against critic', 'An orthonormal critic finds W1: estimate over its largest slope, over W1', '1',
        _P, lambda r: r['orthonormal']['estimate_over_slope'] / r['w1'], **near(1.0, 0.02),
    ),
    Claim(
        'Discriminator against critic', 'Clipping uses its Lipschitz constant badly: estimate over largest slope, over '
        'W1', 'at most 1', _P, lambda r: r['clip']['estimate_over_slope'] / r['w1'], 0.0, 1.0,
    ),
    Claim(
        'Vanishing gradients', 'A fresh discriminator tells the generator\'s images from real ones: its accuracy', '1',
        _V, lambda r: _longest_trained(r)['final_accuracy'], 0.999, 1.0,
    ),
    Claim(
        'Vanishing gradients', 'and the minimax gradient falls', 'towards 0; published: up to 5 orders of magnitude',
        _V, lambda r: _longest_trained(r)['minimax_gradient_fall_from_largest'], 3.0, unit='orders of magnitude',
    ),
    Claim(
        'Vanishing gradients', 'while -log D gives a gradient that grows', 'more than 0', _V,
        lambda r: _longest_trained(r)['non_saturating_gradient_rise'], 0.0, unit='orders of magnitude',
    ),
    Claim(
        'Vanishing gradients', 'and whose deviation over batches grows', 'more than 0', _V,
        lambda r: _longest_trained(r)['non_saturating_deviation_rise'], 0.0, unit='orders of magnitude',
    ),
    Claim(
        'Vanishing gradients', 'and a critic\'s under clipping stays within one order', 'at most 1', _V,
        lambda r: _longest_trained(r)['clip_gradient_span'], 0.0, 1.0, 'orders of magnitude',
    ),
    Claim(
        'Vanishing gradients', 'and so does one\'s under a gradient penalty', 'at most 1', _V,
        lambda r: _longest_trained(r)['gradient_penalty_gradient_span'], 0.0, 1.0, 'orders of magnitude',
    ),
    Claim(
        'Distances', 'JS levels off between Gaussians 5 standard deviations apart', '0.6759425774 nats', _D,
        lambda r: _at(r, 'js', 5.0), **near(0.6759425774, 1e-8), unit='nats',
    ),
    Claim(
        'Distances', 'At 100 it differs from log 2 by less than any float64: log of the difference', '-1253.687124', _D,
        lambda r: _at(r, 'js_log_gap', 100.0), **near(-1253.687124, 1e-4),
    ),
    Claim(
        'Distances', 'and so does its slope: log of the minimax slope', '-1249.774702', _D,
        lambda r: _at(r, 'minimax_log_gradient', 100.0), **near(-1249.774702, 1e-4),
    ),
    Claim(
        'Distances', 'KL does not level off: δ²/2 at 25', '312.5 nats', _D, lambda r: _at(r, 'kl', 25.0),
        **near(312.5, 1e-9), unit='nats',
    ),
    Claim('Distances', 'W1 is the distance itself', '100', _D, lambda r: _at(r, 'w1', 100.0), **near(100.0, 1e-9)),
    Claim(
        'Distances', 'KL depends on its direction where widths differ (1 and 2): difference of the two', '0.4887', _D,
        lambda r: r['directions']['kl_reversed'] - r['directions']['kl'], **near(0.4887056388801, 1e-9), unit='nats',
    ),
    Claim(
        'Distances', 'and JS does not', '0', _D, lambda r: r['directions']['js_reversed'] - r['directions']['js'],
        **near(0.0, 1e-9), unit='nats',
    ),
    Claim(
        'Parallel lines', 'JS between two lines apart is log 2 however far', '0.6931471806 nats', _D,
        lambda r: r['parallel_lines']['js'][0], **near(math.log(2), 1e-9), unit='nats',
    ),
    Claim(
        'Parallel lines', 'W1 is |θ|: over the offset', '1', _D,
        lambda r: r['parallel_lines']['w1'][0] / abs(r['parallel_lines']['offset']), **near(1.0, 1e-9),
    ),
    Claim(
        'Parallel lines', 'Instance noise makes JS finite information again (noise 0.3, lines 0.5 apart)',
        'below log 2', _D, lambda r: r['parallel_lines']['js'][-1], 0.0, math.log(2) - 0.1, 'nats',
    ),
    Claim(
        'Earth mover', '[5, 2, 2, 5] to [3, 3, 5, 3] costs', '5', _D, lambda r: r['piles']['examples'][0]['work'],
        **near(5.0, 1e-12), unit='unit steps',
    ),
    Claim(
        'Earth mover', '[3, 2, 1, 4] to [1, 2, 4, 3] costs', '5', _D, lambda r: r['piles']['examples'][1]['work'],
        **near(5.0, 1e-12), unit='unit steps',
    ),
    Claim(
        'Duality', 'Primal and dual of optimal transport agree: gap', '0', _D,
        lambda r: r['clouds']['primal'] - r['clouds']['dual'], **near(0.0, 1e-9),
    ),
    Claim(
        'Duality', 'for a potential that is 1-Lipschitz: its constant', '1', _D, lambda r: r['clouds']['lipschitz'],
        0.0, 1.0 + 1e-9,
    ),
    Claim(
        'Gradient descent on a distance', 'Under JS a line that is off does not move: largest displacement', '0', _D,
        lambda r: _largest(abs(a - b) for a, b in
                           zip(r['slide_home']['line_js_end'], r['slide_home']['start'], strict=True)),
        **near(0.0, 1e-9),
    ),
    Claim(
        'Loss and quality', 'The Wasserstein estimate falls as samples improve (WGAN-GP, DCGAN generator): rank '
        'correlation', '1 if they fall together', _Q, lambda r: r['wgan_gp_dcgan']['spearman'], 0.8, 1.0,
    ),
    Claim(
        'Loss and quality', 'also with an MLP generator', '1 if they fall together', _Q,
        lambda r: r['wgan_gp_mlp']['spearman'], 0.8, 1.0,
    ),
    Claim(
        'Loss and quality', 'and with weights clipped, DCGAN generator', '1 if they fall together', _Q,
        lambda r: r['wgan_dcgan']['spearman'], 0.8, 1.0,
    ),
    Claim(
        'Loss and quality', 'and with weights clipped, MLP generator', '1 if they fall together', _Q,
        lambda r: r['wgan_mlp']['spearman'], 0.8, 1.0,
    ),
    Claim(
        'Loss and quality', 'The JS estimate of a standard GAN does not', 'no correlation promised', _Q,
        lambda r: r['gan_dcgan']['spearman'], -1.0, 0.5,
    ),
    Claim(
        'Loss and quality', 'The loss of its generator, -log D, rises as samples improve: rank correlation with their '
        'distance', '-1 if one rises as the other falls', _Q, lambda r: r['gan_dcgan']['spearman_generator_loss'],
        -1.0, -0.5,
    ),
    Claim(
        'Loss and quality', 'and so does its deviation: last over first', 'more than 1', _Q,
        lambda r: r['gan_dcgan']['last_generator_loss_std'] / r['gan_dcgan']['first_generator_loss_std'], 1.0,
    ),
    Claim(
        'Critic to convergence', 'A Wasserstein critic may be trained to convergence (WGAN-GP): exact W1 that its '
        'generator reaches with 100 updates a step, over that with 5', 'at most 1', _C,
        lambda r: _converged_over_five(r, 'WGAN-GP'), highest=1.0,
    ),
    Claim(
        'Critic to convergence', 'a discriminator under log(1 - D) may not: the same ratio', 'more than 1', _C,
        lambda r: _converged_over_five(r, 'GAN, log(1 - D)'), 1.5,
    ),
    Claim(
        'Critic to convergence', 'nor under -log D', 'more than 1', _C,
        lambda r: _converged_over_five(r, 'GAN, -log D'), 1.1,
    ),
    Claim(
        'Momentum under clipping', 'Momentum destabilises a clipped critic: standard deviation of its loss under Adam '
        'with β1 = 0.9 over that with β1 = 0', 'more than 1', _N,
        lambda r: _study(r, 'WGAN, clipped', 'Adam, β1 = 0.9', 'critic_loss_std')
        / _study(r, 'WGAN, clipped', 'Adam, β1 = 0', 'critic_loss_std'), 3.0,
    ),
    Claim(
        'Momentum under clipping', 'and the generator ends further away: the same ratio of exact W1', 'more than 1', _N,
        lambda r: _study(r, 'WGAN, clipped', 'Adam, β1 = 0.9', 'w1')
        / _study(r, 'WGAN, clipped', 'Adam, β1 = 0', 'w1'), 1.5,
    ),
    Claim(
        'Momentum under clipping', 'a moderate one already: W1 with β1 = 0.5 over that with β1 = 0', 'more than 1', _N,
        lambda r: _study(r, 'WGAN, clipped', 'Adam, β1 = 0.5', 'w1')
        / _study(r, 'WGAN, clipped', 'Adam, β1 = 0', 'w1'), 1.1,
    ),
    Claim(
        'Mode collapse', 'The standard GAN misses modes of the 25-grid: modes captured, mean over seeds',
        '17.3 published, of 25', _M, lambda r: r['methods']['gan']['grid']['captured']['mean'], 0.0, 24.9, 'modes',
    ),
    Claim(
        'Mode collapse', 'The recipe of this project captures all 25: modes of its worst seed', '25', _O,
        lambda r: r['methods']['r3gan_ema']['grid']['worst_seed']['captured'], 25, 25, 'modes',
    ),
    Claim(
        'Mode collapse', 'with high quality: share within 3 sigma of a mode, worst seed', '0.98889 for a perfect '
        'sampler', _O, lambda r: r['methods']['r3gan_ema']['grid']['worst_seed']['high_quality'], 0.95, 1.0,
    ),
    Claim(
        'Mode collapse', 'and all 8 of the ring: modes of its worst seed', '8', _O,
        lambda r: r['methods']['r3gan_ema']['ring']['worst_seed']['captured'], 8, 8, 'modes',
    ),
    Claim(
        'Lipschitz critics', 'A critic\'s estimate over its Lipschitz bound never exceeds the exact W1: largest '
        'ratio over all constraints', 'at most 1, always', _L, _largest_ratio_to_bound, highest=1.0 + 1e-4,
    ),
    Claim(
        'Lipschitz critics', 'An orthonormal critic estimates W1 itself: largest relative error over three pairs', '0',
        _L, _worst_orthonormal, **near(0.0, 0.02),
    ),
    Claim(
        'Lipschitz critics', 'An orthonormal convolutional critic proves the W1 of flags and lighter flags, unseen '
        'ones: estimate over bound over W1', '1, and never more', _L,
        lambda r: r['images']['constraints']['orthonormal']['estimate_over_upper_bound_over_w1'], 0.97, 1.0,
    ),
    Claim(
        'Lipschitz critics', 'Clipped deep critics lose their gradient layer by layer (c = 0.01)',
        'exponential in depth: other than 0', _L, lambda r: abs(r['layers']['c = 0.01']['decades_per_layer']), 0.1,
        unit='orders of magnitude a layer',
    ),
    Claim(
        'Lipschitz critics', 'and penalised ones keep it', 'within one order over 12 layers', _L,
        lambda r: r['layers']['gradient penalty']['decades_spanned'], 0.0, 1.0, 'orders of magnitude',
    ),
    Claim(
        'Lipschitz critics', 'Clipped weights pile up at the bound: share within 1 % of it', 'most of them', _L,
        lambda r: r['surfaces']['clip']['share_of_weights_at_the_bound'], 0.2,
    ),
    Claim(
        'Known distances', 'An envelope of cones has the gradient of the optimal critic: mean cosine over the pairs',
        '1; 0.77 published, WGAN-LP over all 28 pairs', _W, lambda r: r['means']['cones']['cosine'], 0.9, 1.0,
    ),
    Claim(
        'Known distances', 'and its estimate is the distance: mean relative error of W1', '0; 16 % of WGAN-LP', _W,
        lambda r: r['means']['cones']['w1_error'], 0.0, 0.05,
    ),
    Claim(
        'Known distances', 'its error on the worst pair', '0', _W, lambda r: r['means']['cones']['largest_w1_error'],
        0.0, 0.15,
    ),
    Claim(
        'Known distances', 'Over its Lipschitz bound it never exceeds W1: largest ratio, up to chance',
        'at most 1, always', _W, lambda r: _largest(cell['certified'] / cell['w1_true'] for cell in r['cells']),
        highest=1.001,
    ),
)  # fmt: skip
