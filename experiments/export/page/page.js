// The page: a grid of samples, one of them large with its sliders, and what is drawn by workers in the background.
(function () {
  'use strict';

  const COLUMNS = 8, WORKERS = 4, REACH = 3.5;
  const $ = (id) => document.getElementById(id);
  const model = JSON.parse($('model').textContent);
  const [height, width, channels] = model.shape;
  const weights = Uint8Array.from(atob($('weights').textContent), (c) => c.charCodeAt(0)).buffer;
  const engine = makeEngine(), {draw, dot, slerp} = makeLatents();
  const axes = engine.unpack(model.directions.table, weights);  // unit vectors
  const rows = Math.max(COLUMNS, Math.min(model.classes.length, 12)), count = rows * COLUMNS;

  // ---- Pictures, from whichever worker is free ---------------------------------------------------------------------

  const free = [], waiting = [];  // what is asked for: {latent, label, urgent, done, failed}

  function worker() {
    const source = `const engine = (${makeEngine})(); let run;
      onmessage = ({data}) => {
        if (data.program) run = engine.load(data.program, engine.unpack(data.table, data.weights));
        else postMessage(engine.toPixels(run(...data.inputs)));
      };`;
    const made = new Worker(URL.createObjectURL(new Blob([source], {type: 'text/javascript'})));
    made.postMessage({program: model.program, table: model.table, weights});
    return {
      ask: (inputs, done, failed) => {
        made.onmessage = ({data}) => done(data);
        made.onerror = (event) => { event.preventDefault(); failed(event.message); };
        made.postMessage({inputs});
      },
    };
  }

  // Where a browser allows a page from a disk no workers, the page draws by itself, one picture at a time.
  function own() {
    const run = engine.load(model.program, engine.unpack(model.table, weights));
    return {ask: (inputs, done) => setTimeout(() => done(engine.toPixels(run(...inputs)))) };
  }

  function begin() {
    const most = Math.max(1, Math.min(WORKERS, (navigator.hardwareConcurrency || 2) - 1));
    try {
      for (let i = 0; i < most; i++) free.push(worker());
    } catch (error) {
      free.push(own());
    }
  }

  function next() {
    while (free.length && waiting.length) {
      const urgent = waiting.findIndex((job) => job.urgent), [job] = waiting.splice(Math.max(0, urgent), 1);
      const one = free.pop(), inputs = model.classes.length ? [job.latent, [job.label]] : [job.latent];
      one.ask(inputs, (pixels) => { free.push(one); job.done(pixels); next(); },
        (message) => { free.push(one); job.failed(message); next(); });
    }
  }

  // A promise of the pixels, (H, W, C) of 0 to 255. An urgent one takes the place of any other that still waits.
  function picture(latent, label, urgent) {
    return new Promise((done, failed) => {
      const before = urgent ? waiting.findIndex((job) => job.urgent) : -1;
      const job = {latent, label, urgent, done, failed: (message) => { say(`Drawing failed: ${message}`, true); failed(Error(message)); }};
      if (before >= 0) waiting.splice(before, 1, job);
      else waiting.push(job);
      next();
    });
  }

  function imageOf(pixels) {
    const image = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[channels * i + (channels === 1 ? 0 : c)];
      image.data[4 * i + 3] = channels === 4 ? pixels[4 * i + 3] : 255;
    }
    return image;
  }

  function paint(canvas, pixels) {
    canvas.getContext('2d').putImageData(imageOf(pixels), 0, 0);
  }

  function say(text, warning) {
    $('status').textContent = text;
    $('status').classList.toggle('warning', Boolean(warning));
  }

  // ---- The grid ----------------------------------------------------------------------------------------------------

  let seed = 0, samples = [], from = null, shown = 0;  // from: the sample that a morph begins at; shown: seeds so far
  const tiles = Array.from({length: count}, (_, i) => {
    const tile = document.createElement('button'), canvas = document.createElement('canvas');
    [canvas.width, canvas.height, tile.type, tile.tabIndex] = [width, height, 'button', i ? -1 : 0];
    tile.append(canvas);
    tile.addEventListener('focus', () => tiles.forEach((other) => { other.tabIndex = other === tile ? 0 : -1; }));
    $('grid').append(tile);
    return tile;
  });
  $('grid').classList.toggle('alpha', channels === 4);
  $('large').parentNode.classList.toggle('alpha', channels === 4);
  [$('large').width, $('large').height] = [width, height];
  $('large').parentNode.style.setProperty('--ratio', width / height);

  const nameOf = (i) => `sample ${i + 1}` + (model.classes.length ? `, ${model.classes[samples[i].label]}` : '');

  function labelOf(i) {
    const chosen = $('class').value;
    return chosen === 'rows' ? Math.floor(i / COLUMNS) % model.classes.length : Number(chosen);
  }

  function newSamples() {
    const mine = ++shown;
    for (let k = waiting.length; k--;) if (!waiting[k].urgent) waiting.splice(k, 1);
    mark(null);
    samples = tiles.map((_, i) => ({
      latent: draw(model.latent, model.size, seed, i), label: model.classes.length ? labelOf(i) : 0, pixels: null,
    }));
    [$('progress').value, $('progress').max] = [0, count];
    say(`Drawing the samples of seed ${seed}.`);
    let left = count;
    samples.forEach((sample, i) => {
      tiles[i].setAttribute('aria-label', nameOf(i));
      tiles[i].firstChild.getContext('2d').clearRect(0, 0, width, height);
      picture(sample.latent, sample.label).then((pixels) => {
        if (mine !== shown) return;
        paint(tiles[i].firstChild, sample.pixels = pixels);
        $('progress').value = count - --left;
        if (!left) say(`${count} samples of seed ${seed} drawn.`);
      }, () => {});
    });
    select(0);
  }

  $('fresh').addEventListener('click', () => {
    seed = (seed + 1) % 2 ** 31;
    $('seed').value = seed;
    newSamples();
  });
  $('seed').addEventListener('change', () => {
    seed = Math.min(Math.max(Math.trunc(Number($('seed').value)) || 0, 0), 2 ** 31 - 1);
    $('seed').value = seed;
    newSamples();
  });

  if (model.classes.length) {
    $('class-field').hidden = false;
    $('class').append(new Option('a row for each', 'rows'), ...model.classes.map((name, k) => new Option(name, k)));
    $('class').addEventListener('change', newSamples);
  }

  $('grid').addEventListener('keydown', (event) => {
    const i = tiles.indexOf(document.activeElement);
    const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -COLUMNS, ArrowDown: COLUMNS}[event.key];
    if (i < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === 'm' || event.key === 'M') meet(i);
    else if (event.key === 'Escape') mark(null);
    else if (event.key === 'Home') tiles[0].focus();
    else if (event.key === 'End') tiles[count - 1].focus();
    else if (step) { if (tiles[i + step]) tiles[i + step].focus(); } else return;
    event.preventDefault();
  });

  // Dragging: a press that moves off its tile; a tile that is let go of at the same place is a click.
  let held = null, dropped = false;
  const under = (event) => {
    const found = document.elementFromPoint(event.clientX, event.clientY);
    return tiles.indexOf(found && found.closest('#grid button'));
  };
  const over = (i) => tiles.forEach((tile, k) => tile.classList.toggle('over', k === i && i !== held));
  $('grid').addEventListener('pointerdown', (event) => {
    held = event.button ? null : under(event);
    dropped = false;
  });
  addEventListener('pointermove', (event) => {
    if (held === null || held < 0) return;
    const i = under(event);
    $('grid').classList.toggle('dragging', i !== held || dropped);
    over(i);
  });
  const release = (event) => {
    const start = held, end = event.type === 'pointerup' ? under(event) : -1;
    held = null;
    over(-1);
    $('grid').classList.remove('dragging');
    if (start !== null && start >= 0 && end >= 0 && end !== start) { dropped = true; go(start, end); }
  };
  addEventListener('pointerup', release);
  addEventListener('pointercancel', release);
  $('grid').addEventListener('dragstart', (event) => event.preventDefault());
  $('grid').addEventListener('click', (event) => {
    const i = tiles.indexOf(event.target.closest('button'));
    if (i < 0 || dropped) return;
    if (from !== null && from !== i) go(from, i);
    else select(i);
  });

  // ---- The chosen picture ------------------------------------------------------------------------------------------

  // at: the sample it is, if it is one. base: the latent without what the sliders change. way: the ends of a morph.
  let chosen = {at: 0, base: null, label: 0, way: null};
  const sliders = model.directions.shares.map((share, k) => {
    const field = document.createElement('div'), label = document.createElement('label');
    const input = document.createElement('input'), value = document.createElement('output');
    const note = document.createElement('small');
    field.className = 'slider';
    [input.type, input.id, input.min, input.max, input.step] = ['range', `direction-${k}`, -REACH, REACH, 0.05];
    label.htmlFor = value.htmlFor = input.id;
    note.textContent = `explains ${(100 * share).toFixed(1)} % of variance`;
    label.append(`Direction ${k + 1} `, note);
    field.append(label, value, input);
    $('directions').append(field);
    input.addEventListener('input', () => { write(k); redraw(); });
    return {input, value};
  });

  function write(k) {
    const value = Number(sliders[k].input.value);
    sliders[k].value.textContent = (value < 0 ? '−' : '+') + Math.abs(value).toFixed(2);
  }

  // The sliders as the base has them, in deviations of the latents' law.
  const coordinate = (k) => dot(chosen.base, axes[k]) / model.deviation;

  function setSliders() {
    sliders.forEach(({input}, k) => {
      input.value = coordinate(k);
      input.dataset.start = input.value;  // rounded to the slider's steps: untouched, it changes nothing
      write(k);
    });
  }

  function latent() {
    const moved = Float32Array.from(chosen.base);
    sliders.forEach(({input}, k) => {
      if (input.value === input.dataset.start) return;
      const by = (Number(input.value) - coordinate(k)) * model.deviation;
      axes[k].forEach((x, i) => { moved[i] += by * x; });
    });
    return model.latent === 'uniform' ? moved.map((x) => Math.min(Math.max(x, -1), 1)) : moved;
  }

  let drawn = null, asked = 0, newest = 0;  // pixels of the chosen picture; of several workers the last may be first
  function redraw() {
    const mine = ++asked;
    picture(latent(), chosen.label, true).then((pixels) => {
      if (mine < newest) return;
      newest = mine;
      paint($('large'), drawn = pixels);
    }, () => {});
  }

  function choose(base, label, at, way, caption) {
    chosen = {base, label, at, way};
    tiles.forEach((tile, k) => tile.setAttribute('aria-pressed', k === at));
    $('way-field').hidden = !way;
    $('caption').textContent = caption;
    setSliders();
    redraw();
  }

  const capital = (text) => text[0].toUpperCase() + text.slice(1);

  function select(i) {
    choose(samples[i].latent, samples[i].label, i, null, `${capital(nameOf(i))}, seed ${seed}`);
  }

  // ---- From one sample to another ----------------------------------------------------------------------------------

  function mark(i) {
    from = i;
    tiles.forEach((tile, k) => tile.classList.toggle('from', k === i));
    $('morph').setAttribute('aria-pressed', i !== null);
    $('morph').textContent = i === null ? 'Morph from here' : 'Now pick where to (cancel)';
    if (i !== null) say(`Morph from ${nameOf(i)}: now pick another sample.`);
  }

  function meet(i) {
    if (from === null) mark(i);
    else if (from !== i) go(from, i);
    else mark(null);
  }

  function go(a, b) {
    mark(null);
    $('way').value = 0.5;
    chosen = {...chosen, way: [samples[a], samples[b]]};
    $('way-ends').textContent = `from ${nameOf(a)} to ${nameOf(b)}`;
    along();
    say(`The slider goes from ${nameOf(a)} to ${nameOf(b)}.`);
    $('way').focus({preventScroll: innerWidth > 900});
  }

  function along() {
    const t = Number($('way').value), [a, b] = chosen.way;
    const half = t < 0.5 ? a : b;  // a class has no half
    $('way-value').textContent = `${Math.round(100 * t)} %`;
    choose(slerp(a.latent, b.latent, t), half.label, null, chosen.way, `Between two samples of seed ${seed}`);
  }

  $('way').addEventListener('input', along);
  $('morph').addEventListener('click', () => {
    if (from !== null) return mark(null);
    mark(chosen.at === null ? Math.max(0, tiles.findIndex((tile) => tile.tabIndex === 0)) : chosen.at);
    tiles[from].focus();
  });
  $('reset').addEventListener('click', () => { setSliders(); redraw(); });

  // ---- PNG files ---------------------------------------------------------------------------------------------------

  for (const factor of [1, 2, 4, 8, 16]) $('scale').append(new Option(`${factor}×`, factor, factor === 4, factor === 4));

  function save(pictures, columns, name) {
    const scale = Number($('scale').value), gap = columns > 1 ? 2 : 0, high = Math.ceil(pictures.length / columns);
    const small = document.createElement('canvas'), sheet = document.createElement('canvas');
    [small.width, small.height] = [width, height];
    [sheet.width, sheet.height] = [columns * (width * scale + gap) + gap, high * (height * scale + gap) + gap];
    const context = sheet.getContext('2d');
    if (channels !== 4) { context.fillStyle = '#ffffff'; context.fillRect(0, 0, sheet.width, sheet.height); }
    context.imageSmoothingEnabled = false;
    pictures.forEach((pixels, i) => {
      if (!pixels) return;
      paint(small, pixels);
      const x = gap + (i % columns) * (width * scale + gap), y = gap + Math.floor(i / columns) * (height * scale + gap);
      context.drawImage(small, x, y, width * scale, height * scale);
    });
    sheet.toBlob((blob) => {
      if (!blob) return say('This picture is too large to be saved: enlarge it less.', true);
      const link = document.createElement('a');
      link.href = URL.createObjectURL(blob);
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
      say(`Saved ${name}, ${sheet.width} x ${sheet.height} pixels.`);
    });
  }

  $('save-one').addEventListener('click', () => {
    if (drawn) save([drawn], 1, chosen.at === null ? `${model.name}.png` : `${model.name}-seed${seed}-${chosen.at + 1}.png`);
  });
  $('save-grid').addEventListener('click', () => save(samples.map((sample) => sample.pixels), COLUMNS, `${model.name}-seed${seed}.png`));

  // ---- Beginning, and the comparison with JAX ----------------------------------------------------------------------

  function compare() {
    const wanted = Uint8Array.from(atob(model.check.pixels), (c) => c.charCodeAt(0));
    picture(draw(model.latent, model.size, 0, 0), model.check.label).then((pixels) => {
      const most = wanted.reduce((max, x, i) => Math.max(max, Math.abs(x - pixels[i])), 0);
      $('check').textContent = `In this browser sample 1 of seed 0 differs from JAX's by ${most} of 255 at most.`;
      $('check').classList.toggle('warning', most > 2);
    }, () => {});
  }

  begin();
  newSamples();
  compare();

  // For the console: the pixels of any latent, and the latents of a seed.
  window.explore = {
    picture: (z, label) => picture(z, label || 0),
    latents: (of, n) => Array.from({length: n}, (_, i) => draw(model.latent, model.size, of, i)),
  };
})();
