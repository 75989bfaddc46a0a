"use strict";
// LeNet-5 in plain JavaScript: the arithmetic of the page, without a document. lenet98/demo/check.py compares it with
// Python's. All numbers are float64.

const lenet5 = (() => {
  const A = 1.7159,
    S = 2 / 3; // App. A
  const FIELD = 28,
    BOX = 20,
    FAINTEST = 0.05,
    SIZE = 32; // lenet98/data/images.py
  const WHITE = -0.1,
    BLACK = 1.175; // II.B
  const LEVELS = Float64Array.from({length: 256}, (_, gray) => Math.fround(gray * ((BLACK - WHITE) / 255) + WHITE));
  const BLANK = -1;

  // --- networks as they are packed (rounding.py) -------------------------------------------------------------------

  const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";

  // The bytes of a text in base 85: five letters for four bytes, at the end one letter more than bytes.
  function bytesOf(text) {
    const bytes = new Uint8Array(Math.floor((text.length * 4) / 5));
    for (let k = 0, at = 0; k < text.length; k += 5) {
      const value = [...text.slice(k, k + 5).padEnd(5, "~")].reduce(
        (sum, letter) => sum * 85 + LETTERS.indexOf(letter),
        0,
      );
      for (let shift = 24; shift >= 0 && at < bytes.length; shift -= 8)
        bytes[at++] = Math.floor(value / 2 ** shift) % 256;
    }
    return bytes;
  }

  // The content of a zlib stream.
  async function unpacked(text) {
    const bytes = bytesOf(text);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  const product = (numbers) => numbers.reduce((a, b) => a * b, 1);
  const every = (n) => Array.from({length: n}, (_, k) => k);

  // A network of the page's data: its layers with their parameters as flat arrays.
  async function network(data, described) {
    const bytes = await unpacked(described.weights);
    let at = 0;
    const floats = (n) =>
      Float64Array.from({length: n}, () => new DataView(bytes.buffer).getFloat32((at += 4) - 4, true));
    const layers = data.layers.map((layer) => {
      const table = layer.table || Array(layer.out[0]).fill(every(layer.in[0]));
      return {
        ...layer,
        table:
          layer.kind === "subsampling" ? every(layer.out[0]).map((m) => [layer.table ? layer.table[m][0] : m]) : table,
      };
    });
    for (const layer of layers) {
      if (layer.kind === "rbf") continue;
      layer.numbers = floats(layer.out[0]); // coefficients, or the steps of each map's codes
      layer.biases = floats(layer.out[0]);
      layer.average = described.subsampling === "average";
    }
    const coded = layers.filter((layer) => layer.kind !== "rbf" && layer.kind !== "subsampling");
    for (const layer of coded) {
      const own = layer.table.map((maps) => maps.length * product(layer.kernel)); // weights of each map
      const count = own.reduce((a, b) => a + b);
      layer.weights = Float64Array.from(new Int8Array(bytes.buffer, at, count));
      layer.own = own;
      at += count;
    }
    for (const layer of coded) {
      const rest = Math.max(described.bits[layer.name] - 8, 0),
        scale = 2 ** rest;
      let k = 0;
      layer.own.forEach((n, map) => {
        for (let i = 0; i < n; i++, k++) {
          let low = 0;
          for (let b = 0, bit = k * rest; b < rest; b++, bit++) low |= ((bytes[at + (bit >> 3)] >> (bit & 7)) & 1) << b;
          layer.weights[k] = (layer.weights[k] * scale + low) * layer.numbers[map];
        }
      });
      at += (k * rest + 7) >> 3;
    }
    if (at !== bytes.length) throw new Error(`a network has ${bytes.length} bytes, and ${at} were read`);
    const prototypes = Float64Array.from(data.prototypes, (pixel) => (pixel === "#" ? 1 : -1));
    return {title: described.title, layers, prototypes};
  }

  // --- the network over a field -------------------------------------------------------------------------------------

  // A field of 32x32 or more is {maps: 1, height, width, data}; so is what every layer gives. Larger fields replicate
  // the network (Section VII).
  function weighted(layer, x) {
    const [kh, kw] = layer.kernel,
      height = x.height - kh + 1,
      width = x.width - kw + 1,
      positions = height * width;
    const maps = layer.out[0],
      data = new Float64Array(maps * positions),
      given = x.data,
      {weights, table, biases} = layer;
    let w = 0;
    for (let m = 0; m < maps; m++) {
      const out = m * positions;
      data.fill(biases[m], out, out + positions);
      for (const source of table[m]) {
        const from = source * x.height * x.width;
        if (positions === 1) {
          // the kernel covers the field
          let sum = 0;
          for (let k = 0; k < kh * kw; k++) sum += weights[w + k] * given[from + k];
          data[out] += sum;
        } else
          for (let i = 0; i < kh; i++)
            addRows(data, out, height, width, given, from + i * x.width, x.width, weights, w + i * kw, kw);
        w += kh * kw;
      }
    }
    return {maps, height, width, data};
  }

  // To every row of a map, what one row of a kernel makes of the field.
  function addRows(data, out, height, width, given, from, step, weights, w, kw) {
    const [w0, w1, w2, w3, w4] =
      kw === 5 ? [weights[w], weights[w + 1], weights[w + 2], weights[w + 3], weights[w + 4]] : [0, 0, 0, 0, 0];
    for (let r = 0; r < height; r++, out += width, from += step)
      if (kw === 5)
        for (let c = 0, b = from; c < width; c++, b++)
          data[out + c] +=
            w0 * given[b] + w1 * given[b + 1] + w2 * given[b + 2] + w3 * given[b + 3] + w4 * given[b + 4];
      else
        for (let j = 0; j < kw; j++)
          for (let c = 0; c < width; c++) data[out + c] += weights[w + j] * given[from + c + j];
  }

  function subsampled(layer, x) {
    const maps = layer.out[0],
      height = x.height >> 1,
      width = x.width >> 1;
    const data = new Float64Array(maps * height * width),
      share = layer.average ? 0.25 : 1;
    for (let m = 0, k = 0; m < maps; m++)
      for (let r = 0; r < height; r++)
        for (let c = 0; c < width; c++, k++) {
          const a = (layer.table[m][0] * x.height + 2 * r) * x.width + 2 * c,
            b = a + x.width;
          const sum = x.data[a] + x.data[a + 1] + x.data[b] + x.data[b + 1];
          data[k] = layer.numbers[m] * share * sum + layer.biases[m];
        }
    return {maps, height, width, data};
  }

  // The input and the states of every layer below the output.
  function states(network, field) {
    const found = [field];
    for (const layer of network.layers) {
      if (layer.kind === "rbf") break;
      const x = found[found.length - 1];
      const made = layer.kind === "subsampling" ? subsampled(layer, x) : weighted(layer, x);
      if (layer.squashing === "tanh")
        for (let k = 0; k < made.data.length; k++) made.data[k] = A * Math.tanh(S * made.data[k]);
      found.push(made);
    }
    return found;
  }

  // Eq. 7 of each class at each position of F6's states.
  function rbf(network, x) {
    const positions = x.height * x.width,
      classes = network.prototypes.length / x.maps;
    const data = new Float64Array(classes * positions);
    for (let i = 0; i < classes; i++)
      for (let j = 0; j < x.maps; j++)
        for (let p = 0; p < positions; p++)
          data[i * positions + p] += (x.data[j * positions + p] - network.prototypes[i * x.maps + j]) ** 2;
    return {maps: classes, height: x.height, width: x.width, data};
  }

  function distances(network, field) {
    const found = states(network, field);
    return rbf(network, found[found.length - 1]);
  }

  // Class of the least distance, the next, and how much further it is (the rejection score of III.C).
  function answer(distances) {
    const order = every(distances.length).sort((a, b) => distances[a] - distances[b] || a - b);
    return {digit: order[0], next: order[1], score: distances[order[1]] - distances[order[0]]};
  }

  // Maps, rows and columns of each layer below that a unit of layer `number` (1 is C1) depends on; the last is the input.
  function reads(network, number, map, row, column) {
    const found = Array(number);
    let maps = new Set([map]),
      box = [row, row + 1, column, column + 1];
    for (let l = number - 1; l >= 0; l--) {
      const layer = network.layers[l],
        stride = layer.kind === "subsampling" ? 2 : 1;
      const [kh, kw] = layer.kernel;
      maps = new Set([...maps].flatMap((m) => layer.table[m]));
      box = [box[0] * stride, (box[1] - 1) * stride + kh, box[2] * stride, (box[3] - 1) * stride + kw];
      found[l] = {maps, box};
    }
    return found;
  }

  // --- digits in MNIST's form (lenet98/data/images.py, `in_field`) --------------------------------------------------

  // 28x28 gray levels in a 32x32 field, scaled (II.B).
  function field(image) {
    const data = new Float64Array(SIZE * SIZE).fill(LEVELS[0]),
      edge = (SIZE - FIELD) / 2;
    for (let r = 0; r < FIELD; r++)
      for (let c = 0; c < FIELD; c++) data[(r + edge) * SIZE + c + edge] = LEVELS[image[r * FIELD + c]];
    return {maps: 1, height: SIZE, width: SIZE, data};
  }

  // Halves go to the even number, as Python's do.
  function rounded(x) {
    const low = Math.floor(x),
      rest = x - low;
    return rest < 0.5 ? low : rest > 0.5 ? low + 1 : low + (low % 2 ? 1 : 0);
  }

  function hamming(x) {
    x = Math.abs(x);
    if (x === 0) return 1;
    if (x >= 1) return 0;
    x *= Math.PI;
    return (Math.sin(x) / x) * (0.54 + 0.46 * Math.cos(x));
  }

  // Lines of `n` numbers resampled to `size`, as Pillow does with its Hamming window; `lines` of them, stored across.
  function resampledAcross(data, lines, n, size) {
    if (n === size) return data;
    const scale = n / size,
      wide = Math.max(scale, 1),
      made = new Float64Array(lines * size);
    for (let k = 0; k < size; k++) {
      const center = (k + 0.5) * scale;
      const from = Math.max(Math.trunc(center - wide + 0.5), 0),
        to = Math.min(Math.trunc(center + wide + 0.5), n);
      const weights = every(to - from).map((i) => hamming((i + from - center + 0.5) * (1 / wide)));
      const sum = weights.reduce((a, b) => a + b, 0);
      for (let line = 0; line < lines; line++) {
        let total = 0;
        for (let i = 0; i < weights.length; i++) total += data[line * n + from + i] * (weights[i] / sum);
        made[line * size + k] = Math.fround(total);
      }
    }
    return made;
  }

  const turned = (data, height, width) =>
    Float64Array.from({length: height * width}, (_, k) => data[(k % height) * width + Math.floor(k / height)]);

  function resampled(data, height, width, newHeight, newWidth) {
    const across = resampledAcross(data, height, width, newWidth);
    return turned(resampledAcross(turned(across, height, newWidth), newWidth, height, newHeight), newWidth, newHeight);
  }

  // Rows and columns [top, bottom, left, right] that hold ink, or null.
  function inked(ink, height, width) {
    let top = height,
      bottom = 0,
      left = width,
      right = 0;
    for (let r = 0; r < height; r++)
      for (let c = 0; c < width; c++)
        if (ink[r * width + c] > FAINTEST) {
          top = Math.min(top, r);
          bottom = Math.max(bottom, r + 1);
          left = Math.min(left, c);
          right = Math.max(right, c + 1);
        }
    return bottom ? [top, bottom, left, right] : null;
  }

  function cut(ink, width, [top, bottom, left, right]) {
    const data = new Float64Array((bottom - top) * (right - left));
    for (let r = top, k = 0; r < bottom; r++) for (let c = left; c < right; c++) data[k++] = ink[r * width + c];
    return data;
  }

  const gray = (value, most) => rounded(Math.fround(Math.fround(255 * value) / most));

  // Ink from 0 to 1 fitted into 20x20 pixels, its center of mass at the center of 28x28; null if there is none.
  function normalized(ink, height, width) {
    const box = inked(ink, height, width);
    if (!box) return null;
    const [h, w] = [box[1] - box[0], box[3] - box[2]];
    const [newHeight, newWidth] = [h, w].map((side) => Math.max(1, rounded((BOX * side) / Math.max(h, w))));
    const digit = resampled(cut(ink, width, box), h, w, newHeight, newWidth);
    let mass = 0,
      down = 0,
      across = 0,
      most = 0;
    for (let r = 0; r < newHeight; r++)
      for (let c = 0; c < newWidth; c++) {
        const value = digit[r * newWidth + c];
        mass += value;
        down += r * value;
        across += c * value;
        most = Math.max(most, value);
      }
    const place = (center, side) => Math.min(Math.max(rounded(FIELD / 2 - center), 0), FIELD - side);
    const top = place(down / mass, newHeight),
      left = place(across / mass, newWidth);
    const image = new Uint8Array(FIELD * FIELD);
    for (let r = 0; r < newHeight; r++)
      for (let c = 0; c < newWidth; c++) image[(top + r) * FIELD + left + c] = gray(digit[r * newWidth + c], most);
    return image;
  }

  // --- strings (Section VII) ----------------------------------------------------------------------------------------

  const MARGIN = 14; // empty columns at both ends of a string

  // A field 32 pixels high of gray levels (height, width) that stand in its middle; its width is 32 + 4k.
  function wideField(image, height, width) {
    const wide = Math.max(SIZE, SIZE + 4 * Math.ceil((width + 2 * MARGIN - SIZE) / 4));
    const data = new Float64Array(SIZE * wide).fill(LEVELS[0]);
    const top = (SIZE - height) >> 1,
      left = (wide - width) >> 1;
    for (let r = 0; r < height; r++)
      for (let c = 0; c < width; c++) data[(top + r) * wide + left + c] = LEVELS[image[r * width + c]];
    return {maps: 1, height: SIZE, width: wide, data};
  }

  // A written string: its ink made 20 pixels high, or less if it is longer than `longest` then; null if there is none.
  function writtenField(ink, height, width, longest = 240) {
    const box = inked(ink, height, width);
    if (!box) return null;
    const [h, w] = [box[1] - box[0], box[3] - box[2]],
      scale = Math.min(BOX / h, longest / w);
    const [newHeight, newWidth] = [h, w].map((side) => Math.max(1, rounded(scale * side)));
    const string = resampled(cut(ink, width, box), h, w, newHeight, newWidth);
    const most = string.reduce((a, b) => Math.max(a, b), 0);
    return wideField(
      string.map((value) => gray(value, most)),
      newHeight,
      newWidth,
    );
  }

  // Digits (28x28 each) side by side, `gap` empty columns between their boxes; where they overlap the darker ink shows.
  function composedField(images, gap) {
    const boxes = images.map((image) => inked(image, FIELD, FIELD) || [0, FIELD, 0, FIELD]);
    const starts = [0];
    for (const box of boxes) starts.push(starts[starts.length - 1] + box[3] - box[2] + gap);
    const width = Math.max(...boxes.map((box, k) => starts[k] + box[3] - box[2]));
    const row = new Float64Array(FIELD * width);
    images.forEach((image, k) => {
      for (let r = 0; r < FIELD; r++)
        for (let c = boxes[k][2]; c < boxes[k][3]; c++) {
          const at = starts[k] + c - boxes[k][2];
          if (at >= 0) row[r * width + at] = Math.max(row[r * width + at], image[r * FIELD + c]);
        }
    });
    return wideField(row, FIELD, width);
  }

  // The path of least penalty through the least grammar, as lenet98/decoding.py has it. `penalties` are the rows of the
  // outputs.
  function decoded(penalties, blank) {
    const classes = penalties[0].length;
    const first = (costs) => costs.reduce((best, cost, k) => (cost < costs[best] ? k : best), 0);
    const end = (least) => {
      const best = first(least.slice(0, classes));
      return least[classes] <= least[best] ? classes : best;
    };
    let least = [...penalties[0], blank];
    const before = [];
    for (const row of penalties.slice(1)) {
      const came = every(classes).map((k) => (least[k] < least[classes] ? k : classes));
      came.push(end(least));
      before.push(came);
      const earlier = least;
      least = [...row, blank].map((cost, k) => cost + earlier[came[k]]);
    }
    let state = end(least);
    const penalty = least[state],
      path = [state];
    for (const came of before.reverse()) path.unshift((state = came[state]));
    const named = path.map((k) => (k === classes ? BLANK : k));
    return {digits: named.filter((k, i) => k !== BLANK && k !== named[i - 1]), path: named, penalty};
  }

  // --- the pen ------------------------------------------------------------------------------------------------------

  // Ink of a pen of `radius` along strokes [[x, y], ...], darkening `ink` (height, width); edges are smooth.
  function drawn(ink, height, width, stroke, radius, from = 0) {
    for (let k = Math.max(from, 1) - 1; k < Math.max(stroke.length - 1, 1); k++) {
      const [x0, y0] = stroke[k],
        [x1, y1] = stroke[Math.min(k + 1, stroke.length - 1)];
      const dx = x1 - x0,
        dy = y1 - y0,
        length = dx * dx + dy * dy;
      const low = (a, b) => Math.max(0, Math.floor(Math.min(a, b) - radius - 1));
      const high = (a, b, n) => Math.min(n, Math.ceil(Math.max(a, b) + radius + 1));
      for (let r = low(y0, y1); r < high(y0, y1, height); r++)
        for (let c = low(x0, x1); c < high(x0, x1, width); c++) {
          const px = c + 0.5 - x0,
            py = r + 0.5 - y0;
          const t = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
          const value = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(px - t * dx, py - t * dy)));
          if (value > ink[r * width + c]) ink[r * width + c] = Math.fround(value);
        }
    }
    return ink;
  }

  return {
    BLANK,
    FIELD,
    SIZE,
    LEVELS,
    WHITE,
    BLACK,
    A,
    unpacked,
    network,
    states,
    rbf,
    distances,
    answer,
    reads,
    field,
    normalized,
    writtenField,
    composedField,
    decoded,
    drawn,
    resampled,
  };
})();

if (typeof module !== "undefined") module.exports = lenet5;
