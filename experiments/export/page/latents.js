// Latent vectors: JAX's own random numbers, so that a seed shows what wgan_jax.load(...).latents(key(seed), n) gives;
// and the way from one vector to another.
function makeLatents() {
  'use strict';

  // Threefry-2x32 with 20 rounds: the block cipher of JAX's keys (Salmon et al. 2011, "Parallel random numbers: as easy
  // as 1, 2, 3"). Takes and gives pairs of 32-bit words.
  function threefry([k0, k1], [x0, x1]) {
    const key = [k0, k1, k0 ^ k1 ^ 0x1BD11BDA], turns = [[13, 15, 26, 6], [17, 29, 16, 24]];
    x0 = (x0 + key[0]) | 0;
    x1 = (x1 + key[1]) | 0;
    for (let round = 1; round <= 5; round++) {
      for (const turn of turns[(round - 1) % 2]) {
        x0 = (x0 + x1) | 0;
        x1 = ((x1 << turn) | (x1 >>> (32 - turn))) ^ x0;
      }
      x0 = (x0 + key[round % 3]) | 0;
      x1 = (x1 + key[(round + 1) % 3] + round) | 0;
    }
    return [x0 >>> 0, x1 >>> 0];
  }

  const foldIn = (key, number) => threefry(key, [0, number]);

  const word = new DataView(new ArrayBuffer(4));

  // A float32 in [low, high) of 32 random bits: 23 of them make a number in [1, 2).
  function uniform(bits, low, high) {
    word.setUint32(0, (bits >>> 9) | 0x3F800000);
    const unit = Math.fround(word.getFloat32(0) - 1);
    return Math.max(low, Math.fround(Math.fround(unit * Math.fround(high - low)) + low));
  }

  // The inverse error function in single precision (Giles 2010, "Approximating the erfinv function", table 5).
  const CENTRE = [2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
    -0.00417768164, 0.246640727, 1.50140941];
  const TAILS = [-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
    0.00943887047, 1.00167406, 2.83297682];

  function inverseErf(x) {
    const w = -Math.log1p(-Math.fround(x * x));
    const [at, coefficients] = w < 5 ? [w - 2.5, CENTRE] : [Math.sqrt(w) - 3, TAILS];
    return x * coefficients.reduce((sum, coefficient) => sum * at + coefficient);
  }

  const ABOVE_MINUS_ONE = -(1 - 2 ** -24);  // the next float32
  const LAWS = {
    normal: (bits) => Math.SQRT2 * inverseErf(uniform(bits, ABOVE_MINUS_ONE, 1)),
    uniform: (bits) => uniform(bits, -1, 1),
  };

  // Latent number ``index`` of a seed.
  function draw(law, size, seed, index) {
    const key = foldIn([0, seed], index);
    return Float32Array.from({length: size}, (_, j) => {
      const [high, low] = threefry(key, [0, j]);
      return LAWS[law]((high ^ low) >>> 0);
    });
  }

  const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);

  // The point at t in [0, 1] of the arc from a to b: its direction evenly turned, its length evenly spaced
  // (Shoemake 1985). Along a straight line the middle would be shorter than any latent that the generator has seen.
  function slerp(a, b, t) {
    const lengths = [Math.sqrt(dot(a, a)), Math.sqrt(dot(b, b))];
    const cosine = Math.min(1, Math.max(-1, dot(a, b) / (lengths[0] * lengths[1]))), angle = Math.acos(cosine);
    const length = (1 - t) * lengths[0] + t * lengths[1];
    if (!(Math.sin(angle) > 1e-4)) return a.map((x, i) => (1 - t) * x + t * b[i]);  // no arc, or no one arc
    const u = Math.sin((1 - t) * angle) / Math.sin(angle) / lengths[0];
    const v = Math.sin(t * angle) / Math.sin(angle) / lengths[1];
    return a.map((x, i) => length * (u * x + v * b[i]));
  }

  return {draw, dot, slerp};
}
