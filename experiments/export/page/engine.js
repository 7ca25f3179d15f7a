// Runs a program of wgan_jax/networks/program.py: a flat list of steps on row-major arrays of float32.
//
// The function knows nothing of the page and uses nothing from outside of itself: its source is also what a worker runs.
function makeEngine() {
  'use strict';

  const MAPS = {
    abs: Math.abs, ceil: Math.ceil, cos: Math.cos, exp: Math.exp, expm1: Math.expm1, floor: Math.floor,
    log: Math.log, log1p: Math.log1p, sign: Math.sign, sin: Math.sin, sqrt: Math.sqrt, tanh: Math.tanh,
    trunc: Math.trunc,
    logistic: (x) => 1 / (1 + Math.exp(-x)), neg: (x) => -x, rsqrt: (x) => 1 / Math.sqrt(x), square: (x) => x * x,
    add: (x, y) => x + y, and: (x, y) => x & y, div: (x, y) => x / y, eq: (x, y) => +(x === y),
    ge: (x, y) => +(x >= y), gt: (x, y) => +(x > y), le: (x, y) => +(x <= y), lt: (x, y) => +(x < y),
    max: Math.max, min: Math.min, mul: (x, y) => x * y, ne: (x, y) => +(x !== y), or: (x, y) => x | y,
    pow: Math.pow, sub: (x, y) => x - y,
    select: (which, no, yes) => (which ? yes : no),
  };
  const FOLDS = {sum: [0, (x, y) => x + y], max: [-Infinity, Math.max], min: [Infinity, Math.min]};

  // The index in a flat array of every place of a view, in their order.
  function places(shape, strides, offset) {
    let found = Int32Array.of(offset || 0);
    shape.forEach((size, axis) => {
      const next = new Int32Array(found.length * size);
      for (let i = 0, k = 0; i < found.length; i++) {
        for (let j = 0; j < size; j++) next[k++] = found[i] + j * strides[axis];
      }
      found = next;
    });
    return found;
  }

  // out[starts[m] + n step] = sum_k x[x0 + m inner + k] y[y0 + n inner + k] for m < rows, n < columns. Sums are in
  // double precision; eight at a time, so that what is read is used more than once before it leaves the registers.
  function products(out, starts, step, x, x0, y, y0, rows, columns, inner) {
    let m = 0;
    for (; m + 1 < rows; m += 2) {
      const a = x0 + m * inner, b = a + inner, o = starts[m], p = starts[m + 1];
      let n = 0;
      for (; n + 3 < columns; n += 4) {
        let i = y0 + n * inner, j = i + inner, k = j + inner, l = k + inner;
        let s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0;
        for (let q = 0; q < inner; q++) {
          const u = x[a + q], v = x[b + q], y0 = y[i + q], y1 = y[j + q], y2 = y[k + q], y3 = y[l + q];
          s0 += u * y0; s1 += u * y1; s2 += u * y2; s3 += u * y3;
          t0 += v * y0; t1 += v * y1; t2 += v * y2; t3 += v * y3;
        }
        const d = n * step;
        out[o + d] = s0; out[o + d + step] = s1; out[o + d + 2 * step] = s2; out[o + d + 3 * step] = s3;
        out[p + d] = t0; out[p + d + step] = t1; out[p + d + 2 * step] = t2; out[p + d + 3 * step] = t3;
      }
      for (; n < columns; n++) {
        const i = y0 + n * inner;
        let s = 0, t = 0;
        for (let q = 0; q < inner; q++) { s += x[a + q] * y[i + q]; t += x[b + q] * y[i + q]; }
        out[o + n * step] = s; out[p + n * step] = t;
      }
    }
    for (; m < rows; m++) {
      const a = x0 + m * inner;
      for (let n = 0; n < columns; n++) {
        const i = y0 + n * inner;
        let s = 0;
        for (let q = 0; q < inner; q++) s += x[a + q] * y[i + q];
        out[starts[m] + n * step] = s;
      }
    }
  }

  const gcd = (a, b) => (b ? gcd(b, a % b) : a);

  // Along one axis, places of the result that the same kernel entries reach: [{taps, at: [place, ...]}].
  function phases(out, taps, {stride, low, dilation, spacing}) {
    const period = dilation / gcd(stride, dilation), found = [];
    for (let first = 0; first < Math.min(period, out); first++) {
      const at = [], reaching = [];
      for (let i = first; i < out; i += period) at.push(i);
      for (let a = 0; a < taps; a++) if ((first * stride + a * spacing - low) % dilation === 0) reaching.push(a);
      found.push({at, taps: reaching});
    }
    return found;
  }

  const BLOCK = 64;  // pixels of the result whose surroundings are copied together, few enough for a near cache

  // A convolution as products of matrices: for pixels that the same kernel entries reach, their surroundings times
  // these. Of a transposed convolution (dilation 2) so no product with the zeros between the pixels is computed.
  function convolution(o) {
    const [batch, , height, width] = o.size, [, , outHeight, outWidth] = o.out, [features, kh, kw, depth] = o.kernel;
    const along = (k) => ({stride: o.stride[k], low: o.low[k], dilation: o.dilation[k], spacing: o.spacing[k]});
    const rows = phases(outHeight, kh, along(0)), columns = phases(outWidth, kw, along(1));
    const perGroup = features / o.groups, [sn, sc, sh, sw] = o.strides, [on, oc, oh, ow] = o.out_strides;
    const from = (place, tap, k) => (place * o.stride[k] + tap * o.spacing[k] - o.low[k]) / o.dilation[k];
    const starts = new Int32Array(BLOCK);
    let around = new Float32Array(0), cut = null, cutOf = null;

    // The kernel's entries of each phase, together.
    function entries(kernel) {
      if (cutOf === kernel) return cut;
      cut = rows.map((row) => columns.map((column) => {
        const part = new Float32Array(features * row.taps.length * column.taps.length * depth);
        let k = 0;
        for (let d = 0; d < features; d++) for (const a of row.taps) for (const b of column.taps) {
          const start = ((d * kh + a) * kw + b) * depth;
          part.set(kernel.subarray(start, start + depth), k);
          k += depth;
        }
        return part;
      }));
      cutOf = kernel;
      return cut;
    }

    function surroundings(x, base, row, column, first, count) {
      let k = 0;
      for (let p = first; p < first + count; p++) {
        const i = row.at[Math.floor(p / column.at.length)], j = column.at[p % column.at.length];
        for (const a of row.taps) {
          const y = from(i, a, 0);
          for (const b of column.taps) {
            const z = from(j, b, 1);
            if (y < 0 || y >= height || z < 0 || z >= width) {
              around.fill(0, k, k + depth);
              k += depth;
            } else {
              for (let c = 0, at = base + y * sh + z * sw; c < depth; c++, at += sc) around[k++] = x[at];
            }
          }
        }
      }
    }

    return (out, x, kernel) => {
      const parts = entries(kernel);
      for (let n = 0; n < batch; n++) for (let g = 0; g < o.groups; g++) {
        rows.forEach((row, r) => columns.forEach((column, c) => {
          const inner = row.taps.length * column.taps.length * depth, pixels = row.at.length * column.at.length;
          if (around.length < BLOCK * inner) around = new Float32Array(BLOCK * inner);
          for (let first = 0; first < pixels; first += BLOCK) {
            const count = Math.min(BLOCK, pixels - first);
            surroundings(x, n * sn + g * depth * sc, row, column, first, count);
            for (let m = 0; m < count; m++) {
              const i = row.at[Math.floor((first + m) / column.at.length)], j = column.at[(first + m) % column.at.length];
              starts[m] = n * on + g * perGroup * oc + i * oh + j * ow;
            }
            products(out, starts, oc, around, 0, parts[r][c], g * perGroup * inner, count, perGroup, inner);
          }
        }));
      }
    };
  }

  // For each kind of step a function of its options that makes a function (out, ...inputs).
  const KINDS = {
    view: ({shape, strides, offset}) => {
      const index = places(shape, strides, offset);
      return (out, a) => { for (let i = 0; i < out.length; i++) out[i] = a[index[i]]; };
    },
    place: ({parts, fill}) => {
      const indices = parts.map((part) => places(part.shape, part.strides, part.offset));
      return (out, ...inputs) => {
        out.fill(fill);
        inputs.forEach((a, k) => { const index = indices[k]; for (let i = 0; i < a.length; i++) out[index[i]] = a[i]; });
      };
    },
    map: ({function: name, shape, strides}) => {
      const f = MAPS[name];
      const indices = (strides || []).map((row) => row && places(shape, row, 0));
      const read = (a, k, i) => (indices[k] ? a[indices[k][i]] : a[i]);
      return (out, a, b, c) => {
        if (!b) for (let i = 0; i < out.length; i++) out[i] = f(read(a, 0, i));
        else if (!c) for (let i = 0; i < out.length; i++) out[i] = f(read(a, 0, i), read(b, 1, i));
        else for (let i = 0; i < out.length; i++) out[i] = f(read(a, 0, i), read(b, 1, i), read(c, 2, i));
      };
    },
    reduce: ({function: name, count}) => {
      const [start, f] = FOLDS[name];
      return (out, a) => {
        for (let i = 0; i < out.length; i++) {
          let folded = start;
          for (let k = 0; k < count; k++) folded = f(folded, a[i * count + k]);
          out[i] = folded;
        }
      };
    },
    take: ({row}) => (out, table, index) => {
      for (let i = 0; i < index.length; i++) {
        const start = row * Math.min(Math.max(index[i], 0), table.length / row - 1);
        for (let k = 0; k < row; k++) out[i * row + k] = table[start + k];
      }
    },
    matmul: ({sizes: [batch, rows, columns, inner]}) => {
      const starts = Int32Array.from({length: batch * rows}, (_, m) => m * columns);
      return (out, x, y) => {
        for (let b = 0; b < batch; b++) {
          const own = starts.subarray(b * rows, (b + 1) * rows);
          products(out, own, 1, x, b * rows * inner, y, b * columns * inner, rows, columns, inner);
        }
      };
    },
    conv: convolution,
  };

  // The number that 16 bits mean, a sign, 5 bits of exponent and 10 of fraction.
  function half(bits) {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
  }

  // The arrays of a file by their numbers, little-endian, as the table says where they lie and of what type they are.
  function unpack(table, buffer) {
    const bytes = new DataView(buffer), arrays = [];
    for (const {number, start, size, type} of table) {
      const array = arrays[number] = new Float32Array(size);
      if (type === 'float16') for (let i = 0; i < size; i++) array[i] = half(bytes.getUint16(start + 2 * i, true));
      else for (let i = 0; i < size; i++) array[i] = bytes.getFloat32(start + 4 * i, true);
    }
    return arrays;
  }

  // The program as a function of its inputs, arrays of numbers; what it returns is overwritten by the next call.
  function load(program, constants) {
    const values = Object.assign([], constants);
    const prepare = ({kind, inputs, output, size, options}) => {
      const step = KINDS[kind](options), out = values[output] = new Float32Array(size);
      return () => step(out, ...inputs.map((number) => values[number]));
    };
    for (const step of program.setup) prepare(step)();
    const needed = new Set(program.steps.flatMap((step) => step.inputs).concat(program.output));
    values.forEach((_, number) => { if (!needed.has(number)) delete values[number]; });
    const steps = program.steps.map(prepare);
    return (...inputs) => {
      program.inputs.forEach((number, k) => { values[number] = Float32Array.from(inputs[k]); });
      for (const step of steps) step();
      return values[program.output];
    };
  }

  // Pixels 0 to 255 of a generator's numbers, as wgan_jax.data.images.to_uint8 makes them: halves go to even ones.
  function toPixels(image) {
    return Uint8ClampedArray.from(image, (x) => {
      const level = Math.fround(Math.fround(Math.min(Math.max(x, -1), 1) + 1) * 127.5), low = Math.floor(level);
      return level - low === 0.5 ? low + (low % 2) : Math.round(level);
    });
  }

  return {load, toPixels, unpack};
}
