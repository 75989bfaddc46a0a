"use strict";
// What the page shows, and what mouse, touch and keyboard do. The arithmetic is in lenet5.js.

(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const trouble = (text) => {
    $("trouble").textContent = text;
    $("trouble").hidden = false;
  };
  if (typeof DecompressionStream === "undefined")
    return trouble("This browser is too old for the page: it cannot unpack the weights. One of 2023 or newer can.");

  const {FIELD, SIZE, A, WHITE, BLACK} = lenet5;
  const networks = await Promise.all(data.networks.map((each) => lenet5.network(data, each)));
  const voters = await Promise.all(
    data.voters.map((each) => ("network" in each ? networks[each.network] : lenet5.network(data, each))),
  );
  const images = await lenet5.unpacked(data.digits.images);
  const digit = (place) => images.subarray(place * FIELD * FIELD, (place + 1) * FIELD * FIELD);
  const last = data.layers.length - 1; // the output
  const TABLE = data.layers.findIndex((layer) => layer.kind === "convolution" && layer.table); // C3's place

  const state = {chosen: 0, image: null, about: "", unit: null, row: null, states: null, distances: null};

  // --- colors ---------------------------------------------------------------------------------------------------

  const colors = {};
  function readColors() {
    const style = getComputedStyle(document.documentElement);
    for (const name of [
      "paper",
      "ink",
      "mark",
      "near",
      "panel",
      "text",
      "soft",
      "line",
      "negative",
      "positive",
      "zero",
    ])
      colors[name] = style.getPropertyValue(`--${name}`).trim();
    for (const name of ["paper", "ink", "negative", "positive", "zero"])
      colors[`${name}RGB`] = [1, 3, 5].map((k) => parseInt(colors[name].slice(k, k + 2), 16));
  }
  const mixed = (from, to, share) => from.map((value, k) => value + (to[k] - value) * Math.min(1, Math.max(0, share)));
  const between = (low, high) => (value) => mixed(colors.paperRGB, colors.inkRGB, (value - low) / (high - low));
  const ofState = between(-A, A),
    ofInput = between(WHITE, BLACK),
    ofByte = between(0, 255);
  const ofWeight = (most) => (value) =>
    mixed(colors.zeroRGB, value < 0 ? colors.negativeRGB : colors.positiveRGB, Math.abs(value) / most);

  // --- canvases -------------------------------------------------------------------------------------------------

  // A context in CSS pixels.
  function context(canvas, width, height) {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const c = canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.imageSmoothingEnabled = false;
    return c;
  }

  // An image of numbers, `scale` pixels each.
  const spare = document.createElement("canvas");
  function picture(c, numbers, from, height, width, x, y, scale, color) {
    spare.width = width;
    spare.height = height;
    const s = spare.getContext("2d"),
      made = s.createImageData(width, height);
    for (let k = 0; k < height * width; k++) {
      made.data.set(color(numbers[from + k]), 4 * k);
      made.data[4 * k + 3] = 255;
    }
    s.putImageData(made, 0, 0);
    c.imageSmoothingEnabled = false;
    c.drawImage(spare, 0, 0, width, height, x, y, width * scale, height * scale);
  }

  function frame(c, x, y, width, height, color = colors.line, line = 1) {
    c.strokeStyle = color;
    c.lineWidth = line;
    c.strokeRect(x - line / 2, y - line / 2, width + line, height + line);
  }

  // An outline that is seen on black and on white.
  function outlined(c, x, y, width, height) {
    frame(c, x, y, width, height, colors.paper, 4);
    frame(c, x, y, width, height, colors.mark, 2);
  }

  const font = (size) => `${size}px system-ui, "Liberation Sans", "DejaVu Sans", sans-serif`;
  function text(c, what, x, y, {size = 11, align = "center", color = colors.soft, weight = ""} = {}) {
    c.font = `${weight} ${font(size)}`;
    c.fillStyle = color;
    c.textAlign = align;
    c.textBaseline = "middle";
    c.fillText(what, x, y);
  }

  const number = (value) => (Math.abs(value) < 100 ? value.toFixed(2) : value.toFixed(0)).replace("-", "−");

  // --- a pad to draw on -----------------------------------------------------------------------------------------

  class Pad {
    constructor(canvas, width, height, changed) {
      Object.assign(this, {canvas, changed, radius: 12, strokes: [], down: false, cursor: [width / 3, height / 4]});
      this.resize(width, height);
      canvas.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        event.preventDefault();
        canvas.focus({preventScroll: true});
        this.keyed = false;
        canvas.setPointerCapture(event.pointerId);
        this.pointer = event.pointerId;
        this.begin(this.place(event));
      });
      canvas.addEventListener("pointermove", (event) => {
        if (event.pointerId !== this.pointer) return;
        for (const each of event.getCoalescedEvents ? event.getCoalescedEvents() : [event])
          this.extend(this.place(each));
        this.show();
      });
      for (const end of ["pointerup", "pointercancel"])
        canvas.addEventListener(end, (event) => {
          if (event.pointerId === this.pointer) this.pointer = null;
        });
      canvas.addEventListener("keydown", (event) => this.key(event));
      for (const name of ["focus", "blur"])
        canvas.addEventListener(name, () => {
          this.down = false;
          this.keyed = canvas.matches(":focus-visible");
          this.paint();
        });
    }
    resize(width, height) {
      Object.assign(this, {width, height, ink: new Float64Array(width * height)});
      this.canvas.width = width;
      this.canvas.height = height;
      this.redraw();
    }
    place(event) {
      const box = this.canvas.getBoundingClientRect();
      return [
        ((event.clientX - box.left) / box.width) * this.width,
        ((event.clientY - box.top) / box.height) * this.height,
      ];
    }
    begin(point) {
      this.strokes.push([point]);
      this.radii = [...(this.radii || []).slice(0, this.strokes.length - 1), this.radius];
      lenet5.drawn(this.ink, this.height, this.width, [point], this.radius);
      this.cursor = point;
      this.show();
    }
    extend(point) {
      const stroke = this.strokes[this.strokes.length - 1];
      stroke.push(point);
      lenet5.drawn(this.ink, this.height, this.width, stroke, this.radius, stroke.length - 1);
      this.cursor = point;
    }
    key(event) {
      const step = event.shiftKey ? 2 : 8;
      this.keyed = true;
      const moves = {ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step]};
      if (event.key in moves) {
        const [dx, dy] = moves[event.key],
          inside = (value, most) => Math.min(most - 2, Math.max(2, value));
        this.cursor = [inside(this.cursor[0] + dx, this.width), inside(this.cursor[1] + dy, this.height)];
        if (this.down) this.extend(this.cursor);
        if (this.down) this.show();
        else this.paint();
      } else if (event.key === " " || event.key === "Enter") {
        this.down = !this.down;
        if (this.down) this.begin([...this.cursor]);
        else this.paint();
      } else if (event.key === "Backspace") this.undo();
      else if (event.key === "Delete") this.clear();
      else return;
      event.preventDefault();
    }
    undo() {
      this.strokes.pop();
      this.down = false;
      this.redraw();
      this.changed();
    }
    clear() {
      this.strokes = [];
      this.down = false;
      this.redraw();
      this.changed();
    }
    redraw() {
      this.ink.fill(0);
      this.strokes.forEach((stroke, k) => lenet5.drawn(this.ink, this.height, this.width, stroke, this.radii[k]));
      this.paint();
    }
    show() {
      this.paint();
      this.changed();
    }
    paint() {
      if (this.waiting) return;
      this.waiting = true;
      requestAnimationFrame(() => {
        this.waiting = false;
        const c = this.canvas.getContext("2d"),
          made = c.createImageData(this.width, this.height);
        const [paper, ink] = [colors.paperRGB, colors.inkRGB];
        for (let k = 0; k < this.ink.length; k++) {
          for (let i = 0; i < 3; i++) made.data[4 * k + i] = paper[i] + (ink[i] - paper[i]) * this.ink[k];
          made.data[4 * k + 3] = 255;
        }
        c.putImageData(made, 0, 0);
        if (document.activeElement === this.canvas && this.keyed) {
          c.beginPath();
          c.arc(...this.cursor, this.radius, 0, 2 * Math.PI);
          c.lineWidth = 3;
          c.strokeStyle = colors.mark;
          c.stroke();
          if (this.down) {
            c.fillStyle = colors.mark;
            c.fill();
          }
        }
      });
    }
  }

  // --- one digit ------------------------------------------------------------------------------------------------

  let asked = false;
  function soon() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      compute();
    });
  }

  function compute() {
    const network = networks[state.chosen];
    const field = state.image
      ? lenet5.field(state.image)
      : {maps: 1, height: SIZE, width: SIZE, data: new Float64Array(SIZE * SIZE).fill(lenet5.LEVELS[0])};
    state.states = lenet5.states(network, field);
    state.distances = lenet5.rbf(network, state.states[last]).data;
    showInput();
    showAnswer();
    showBitmaps();
    showVotes();
    for (const view of views) view.paint();
    showDetail();
  }

  function showInput() {
    const c = context($("gets"), 192, 192);
    picture(c, state.states[0].data, 0, SIZE, SIZE, 0, 0, 6, ofInput);
    frame(c, 1, 1, 190, 190);
    c.setLineDash([3, 3]);
    frame(c, 36, 36, 120, 120, colors.soft);
    $("source").textContent = state.about;
  }

  function showAnswer() {
    const {digit, next, score} = lenet5.answer(state.distances);
    const limit = parseFloat($("threshold").value) || 0,
      rejected = score < limit;
    $("answer").textContent = state.image ? digit : "";
    $("answer").classList.toggle("rejected", rejected);
    const far = `${next} is next, ${number(score)} further away (the score)`;
    $("verdict").textContent = !state.image
      ? "Nothing is drawn yet."
      : rejected
        ? `Rejected: ${far}, which is below ${number(limit)}.`
        : `Accepted: ${far}.`;
    const most = Math.max(...state.distances);
    for (const [k, row] of rows.entries()) {
      row.classList.toggle("nearest", Boolean(state.image) && k === digit);
      row.setAttribute("aria-pressed", k === shownRow());
      row.setAttribute(
        "aria-label",
        `${k}: distance ${number(state.distances[k])}${k === digit ? ", the nearest" : ""}`,
      );
      row.children[1].firstChild.style.width = `${(100 * state.distances[k]) / most}%`;
      row.children[2].textContent = number(state.distances[k]);
    }
  }

  const shownRow = () => (state.row === null ? lenet5.answer(state.distances).digit : state.row);
  const rows = Array.from({length: 10}, (_, k) => {
    const row = document.createElement("button");
    row.type = "button";
    row.innerHTML = `<span>${k}</span><span><span class="bar" style="display:block"></span></span><span class="value"></span>`;
    row.addEventListener("click", () => {
      state.row = state.row === k ? null : k;
      showAnswer();
      showBitmaps();
    });
    $("distances").append(row);
    return row;
  });

  function showBitmaps() {
    const k = shownRow(),
      f6 = state.states[last].data,
      code = networks[state.chosen].prototypes.subarray(84 * k, 84 * k + 84);
    const draw = (id, numbers, color) => {
      const c = context($(id), 86, 146);
      picture(c, numbers, 0, 12, 7, 1, 1, 12, color);
      frame(c, 1, 1, 84, 144, colors.soft);
    };
    draw("f6", f6, between(-1.2, 1.2));
    draw("prototype", code, between(-1.2, 1.2));
    draw(
      "difference",
      code.map((value, j) => (value - f6[j]) ** 2),
      between(0, 4),
    );
    $("prototype-name").textContent = `bitmap of ${k}${state.row === null ? ", the nearest" : ""}`;
    $("prototype").setAttribute("aria-label", `Bitmap of the digit ${k}`);
  }

  function showVotes() {
    if (!voters.length) return;
    const found = voters.map(
      (each) =>
        lenet5.answer(lenet5.distances(each, {maps: 1, height: SIZE, width: SIZE, data: state.states[0].data}).data)
          .digit,
    );
    const counts = Array(10).fill(0);
    for (const each of found) counts[each]++;
    const best = counts.indexOf(Math.max(...counts));
    $("tally").textContent = state.image ? `${counts[best]} of ${voters.length} say ${best}.` : "";
    $("votes").replaceChildren(
      ...found.map((each, k) => {
        const item = document.createElement("li"),
          big = document.createElement("b");
        big.textContent = state.image ? each : "–";
        item.append(big, data.voters[k].title);
        if (state.image && each !== best) item.className = "other";
        return item;
      }),
    );
  }

  const pad = new Pad($("pad"), 280, 280, () => {
    state.image = lenet5.normalized(pad.ink, pad.height, pad.width);
    state.about = state.image
      ? "Your drawing, fitted into 20×20 pixels with its center of mass in the middle, as MNIST was made. Dashed: the middle 20×20."
      : "";
    state.row = null;
    mark(null);
    soon();
  });
  $("undo").onclick = () => pad.undo();
  $("clear").onclick = () => pad.clear();
  $("pen").onchange = () => {
    pad.radius = Number($("pen").value);
  };

  // --- digits to take -------------------------------------------------------------------------------------------

  const PAGE = 30;
  const sets = [
    {name: "Fig. 8: the 82 errors of 1998", places: data.digits.fig8},
    {
      name: `The first ${data.digits.first.toLocaleString("en")} test digits`,
      places: Array.from({length: data.digits.first}, (_, k) => k),
    },
    ...data.digits.mistakes.map((places, k) => ({
      name: `The ${places.length} errors of ${data.networks[k].title}`,
      places,
    })),
  ];
  let start = 0,
    pressed = null;
  $("set").append(...sets.map((set, k) => new Option(set.name, k)));

  function take(place) {
    state.image = digit(place);
    state.row = null;
    const old = data.digits.fig8.indexOf(place),
      label = data.digits.labels[place];
    state.about =
      `Test digit ${data.digits.index[place]}, a ${label}.` +
      (old >= 0 ? ` The network of 1998 took it for a ${data.digits.answers1998[old]}.` : "");
    if (pad.strokes.length) {
      pad.strokes = [];
      pad.redraw();
    }
    mark(place);
    soon();
  }

  function mark(place) {
    pressed = place;
    for (const each of $("thumbs").children) each.setAttribute("aria-pressed", Number(each.dataset.place) === place);
  }

  function showThumbs() {
    const {places} = sets[$("set").value],
      shown = places.slice(start, start + PAGE);
    $("range").textContent = `${start + 1} to ${start + shown.length} of ${places.length.toLocaleString("en")}`;
    $("earlier").disabled = start === 0;
    $("later").disabled = start + PAGE >= places.length;
    $("thumbs").replaceChildren(
      ...shown.map((place) => {
        const button = document.createElement("button"),
          canvas = document.createElement("canvas");
        button.type = "button";
        button.dataset.place = place;
        button.title = `test digit ${data.digits.index[place]}`;
        button.setAttribute("aria-label", `Test digit ${data.digits.index[place]}, a ${data.digits.labels[place]}`);
        button.setAttribute("aria-pressed", place === pressed);
        canvas.width = canvas.height = FIELD;
        picture(canvas.getContext("2d"), digit(place), 0, FIELD, FIELD, 0, 0, 1, ofByte);
        button.append(canvas);
        button.onclick = () => take(place);
        return button;
      }),
    );
  }
  $("set").onchange = () => {
    start = 0;
    showThumbs();
  };
  $("earlier").onclick = () => {
    start = Math.max(0, start - PAGE);
    showThumbs();
  };
  $("later").onclick = () => {
    start += PAGE;
    showThumbs();
  };
  $("chance").onclick = () => {
    const {places} = sets[$("set").value],
      k = Math.floor(Math.random() * places.length);
    start = PAGE * Math.floor(k / PAGE);
    showThumbs();
    take(places[k]);
  };

  // --- layers ---------------------------------------------------------------------------------------------------

  const SCALES = {32: 4, 28: 3, 14: 4, 10: 5, 5: 9, 1: 13};
  const WORDS = {
    convolution: (layer) => `${layer.kernel.join("×")} kernels`,
    full: () => "reads all of the layer below",
    subsampling: () => "averages of 2×2, times a weight",
  };

  class View {
    constructor(number) {
      this.number = number; // 0 is the input
      const layer = data.layers[number - 1];
      [this.maps, this.height, this.width] = layer ? layer.out : [1, SIZE, SIZE];
      this.name = layer ? layer.name : "Input";
      this.f6 = number === last;
      this.single = this.height === 1;
      const row = document.createElement("div"),
        head = document.createElement("div");
      row.className = "layer";
      this.holder = document.createElement("div");
      this.canvas = document.createElement("canvas");
      const size = this.single
        ? `${this.maps} units`
        : number
          ? `${this.maps} maps of ${this.height}×${this.width}`
          : "32×32 pixels";
      head.innerHTML = `<b>${this.name}</b> <span class="hint">${size}${layer ? `; ${layer.table && number - 1 === TABLE ? `${layer.kernel.join("×")} kernels, by Table I` : WORDS[this.single && layer.kind === "convolution" ? "full" : layer.kind](layer)}` : ""}</span>`;
      this.holder.append(this.canvas);
      row.append(head, this.holder);
      $("layers").append(row);
      if (!number) {
        this.canvas.setAttribute("role", "img");
        this.canvas.setAttribute("aria-label", "Input");
        return;
      }
      this.canvas.tabIndex = 0;
      this.canvas.setAttribute("role", "application");
      this.canvas.setAttribute(
        "aria-label",
        `${this.name}, ${size}. Arrow keys choose a unit${this.single ? "" : ", Page Up and Page Down a map"}.`,
      );
      this.canvas.addEventListener("pointermove", (event) => {
        if (event.pointerType === "mouse") this.point(event);
      });
      this.canvas.addEventListener("pointerdown", (event) => this.point(event));
      this.canvas.addEventListener("keydown", (event) => this.key(event));
      this.canvas.addEventListener("focus", () => {
        if (this.canvas.matches(":focus-visible") && !(state.unit && state.unit.number === number))
          choose(number, 0, this.height >> 1, this.width >> 1);
      });
    }
    arrange() {
      const room = Math.max(120, this.holder.clientWidth - 4),
        scale = this.f6 ? 13 : SCALES[this.height];
      Object.assign(this, {scale, gap: this.f6 ? 0 : this.single ? 2 : 5, head: this.single || !this.number ? 0 : 14});
      const step = this.width * scale + this.gap,
        most = this.f6 ? 7 : Math.max(1, Math.floor((room + this.gap) / step));
      let across = Math.min(this.maps, most, this.single ? 40 : 8);
      while (this.maps % across) across--;
      Object.assign(this, {across, stepX: step, stepY: this.height * scale + this.gap + this.head});
    }
    corner(map) {
      return [2 + (map % this.across) * this.stepX, 2 + this.head + Math.floor(map / this.across) * this.stepY];
    }
    paint() {
      this.arrange();
      const {scale, height, width} = this,
        x = state.states[this.number];
      const c = context(
        this.canvas,
        this.across * this.stepX - this.gap + 4,
        Math.ceil(this.maps / this.across) * this.stepY - this.gap + 4,
      );
      const unit = state.unit,
        lit = unit && this.number < unit.number ? unit.reads[this.number] : null;
      const color = this.number ? ofState : ofInput;
      for (let map = 0; map < this.maps; map++) {
        const [left, top] = this.corner(map),
          dimmed = lit && !lit.maps.has(map);
        c.globalAlpha = dimmed ? 0.22 : 1;
        if (this.head)
          text(c, map, left + (width * scale) / 2, top - 8, {
            color: lit && !dimmed ? colors.text : colors.soft,
            weight: lit && !dimmed ? "bold" : "",
          });
        picture(c, x.data, map * height * width, height, width, left, top, scale, color);
        if (!this.f6) frame(c, left, top, width * scale, height * scale, colors.line);
        c.globalAlpha = 1;
      }
      if (this.f6) frame(c, 2, 2, 7 * scale, 12 * scale, colors.soft);
      if (lit)
        for (const map of lit.maps) {
          const [left, top] = this.corner(map),
            [r0, r1, c0, c1] = lit.box;
          if (!this.single) outlined(c, left + c0 * scale, top + r0 * scale, (c1 - c0) * scale, (r1 - r0) * scale);
        }
      if (lit && this.single)
        frame(
          c,
          1,
          1,
          this.across * this.stepX - this.gap + 2,
          Math.ceil(this.maps / this.across) * this.stepY - this.gap + 2,
          colors.mark,
          2,
        );
      if (unit && unit.number === this.number) {
        const [left, top] = this.corner(unit.map);
        outlined(c, left + unit.column * scale, top + unit.row * scale, scale, scale);
      }
    }
    point(event) {
      const box = this.canvas.getBoundingClientRect(),
        x = event.clientX - box.left - 2,
        y = event.clientY - box.top - 2;
      const column = Math.floor(x / this.stepX),
        row = Math.floor(y / this.stepY),
        map = row * this.across + column;
      if (column < 0 || row < 0 || column >= this.across || map >= this.maps) return;
      const c = Math.floor((x - column * this.stepX) / this.scale),
        r = Math.floor((y - row * this.stepY - this.head) / this.scale);
      if (c >= 0 && r >= 0 && c < this.width && r < this.height) choose(this.number, map, r, c);
    }
    key(event) {
      const moves = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]};
      const unit = state.unit && state.unit.number === this.number ? state.unit : {map: 0, row: 0, column: 0};
      let {map, row, column} = unit;
      const within = (value, n) => Math.min(n - 1, Math.max(0, value));
      if (event.key in moves) {
        const [down, right] = moves[event.key];
        if (this.single) map = within(map + down * this.across + right, this.maps);
        else [row, column] = [within(row + down, this.height), within(column + right, this.width)];
      } else if (event.key === "PageDown" && !this.single) map = (map + 1) % this.maps;
      else if (event.key === "PageUp" && !this.single) map = (map + this.maps - 1) % this.maps;
      else if (event.key === "Escape") return forget();
      else return;
      event.preventDefault();
      choose(this.number, map, row, column);
    }
  }
  const views = Array.from({length: last + 1}, (_, number) => new View(number));

  function choose(number, map, row, column) {
    const unit = state.unit;
    if (unit && unit.number === number && unit.map === map && unit.row === row && unit.column === column) return;
    state.unit = {number, map, row, column, reads: lenet5.reads(networks[state.chosen], number, map, row, column)};
    for (const view of views) view.paint();
    showDetail();
  }
  function forget() {
    state.unit = null;
    for (const view of views) view.paint();
    showDetail();
  }

  // --- one unit -------------------------------------------------------------------------------------------------

  const listed = (numbers) =>
    numbers.length > 6
      ? `all ${numbers.length} maps`
      : numbers.length > 1
        ? `maps ${numbers.slice(0, -1).join(", ")} and ${numbers[numbers.length - 1]}`
        : `map ${numbers[0]}`;

  function showDetail() {
    const unit = state.unit;
    const tableToo = Boolean(unit) && (unit.number === TABLE + 1 || unit.number === TABLE);
    $("table").hidden = !tableToo;
    $("sum").hidden = !unit;
    if (!unit) {
      $("unit").textContent = "Choose a unit";
      $("reading").textContent = "Its value, what it reads and with which weights are shown here.";
      $("sum-note").textContent = "";
      return;
    }
    const layer = networks[state.chosen].layers[unit.number - 1],
      x = state.states[unit.number - 1],
      own = state.states[unit.number];
    const value = own.data[(unit.map * own.height + unit.row) * own.width + unit.column];
    const below = unit.number > 1 ? data.layers[unit.number - 2].name : "the input";
    const [r0, r1, c0, c1] = unit.reads[0].box;
    $("unit").textContent =
      own.height > 1
        ? `${layer.name}, map ${unit.map}, row ${unit.row}, column ${unit.column}: ${number(value)}`
        : `${layer.name}, unit ${unit.map}: ${number(value)}`;
    const direct = unit.reads[unit.number - 1];
    const where =
      unit.number === 1
        ? ""
        : layer.kernel[0] === 1
          ? `It reads all units of ${below}. `
          : `It reads ${listed([...direct.maps])} of ${below}. `;
    $("reading").textContent = `${where}It sees rows ${r0} to ${r1 - 1} and columns ${c0} to ${c1 - 1} of the input.`;
    if (layer.kind === "subsampling") subsamplingDetail(layer, unit, x, value);
    else weightsDetail(layer, unit, x, value);
    if (tableToo) showTable(unit);
  }

  function sumNote(a, value) {
    $("sum-note").textContent = `Sum with bias a = ${number(a)}; state 1.7159 tanh(2a/3) = ${number(value)}.`;
  }

  function subsamplingDetail(layer, unit, x, value) {
    const c = context($("sum"), 290, 70),
      patch = [];
    for (let i = 0; i < 2; i++)
      for (let j = 0; j < 2; j++)
        patch.push(x.data[(layer.table[unit.map][0] * x.height + 2 * unit.row + i) * x.width + 2 * unit.column + j]);
    picture(c, patch, 0, 2, 2, 1, 4, 26, ofState);
    frame(c, 1, 4, 52, 52, colors.mark, 2);
    const total = patch.reduce((a, b) => a + b) * (layer.average ? 0.25 : 1),
      w = layer.numbers[unit.map],
      b = layer.biases[unit.map];
    text(c, `${layer.average ? "average" : "sum"} ${number(total)}`, 70, 16, {
      size: 13,
      align: "left",
      color: colors.text,
    });
    text(c, `× weight of the map ${number(w)}`, 70, 36, {size: 13, align: "left", color: colors.text});
    text(c, `+ bias ${number(b)}`, 70, 56, {size: 13, align: "left", color: colors.text});
    sumNote(total * w + b, value);
  }

  function weightsDetail(layer, unit, x, value) {
    const [kh, kw] = layer.kernel,
      sources = layer.table[unit.map],
      flat = kh === 1;
    const size = kh * kw,
      first = layer.table.slice(0, unit.map).reduce((n, maps) => n + maps.length * size, 0);
    const weights = layer.weights.subarray(first, first + sources.length * size),
      most = Math.max(...weights.map(Math.abs));
    let a = layer.biases[unit.map];
    if (flat) {
      // F6: all units of C5 in one image
      const c = context($("sum"), 290, 150),
        states = Float64Array.from(sources, (s) => x.data[s]);
      states.forEach((state, k) => {
        a += state * weights[k];
      });
      picture(c, states, 0, 10, 12, 1, 18, 11, ofState);
      picture(c, weights, 0, 10, 12, 151, 18, 11, ofWeight(most));
      frame(c, 1, 18, 132, 110, colors.mark, 2);
      frame(c, 151, 18, 132, 110);
      text(c, "states of C5", 67, 8);
      text(c, "weights", 217, 8);
      text(c, `− up to ${number(most)}`, 151, 140, {align: "left", color: colors.negative});
      text(c, `+ up to ${number(most)}`, 283, 140, {align: "right", color: colors.positive});
    } else {
      const scale = sources.length > 6 ? 5 : 8,
        wide = 2 * kw * scale + 6,
        across = sources.length > 6 ? 4 : 3,
        high = kh * scale + 28;
      const c = context($("sum"), 294, Math.ceil(sources.length / across) * high + 20);
      sources.forEach((source, k) => {
        const left = 2 + (k % across) * (wide + (294 - across * wide) / across),
          top = 16 + Math.floor(k / across) * high,
          patch = new Float64Array(size);
        let sum = 0;
        for (let i = 0; i < kh; i++)
          for (let j = 0; j < kw; j++) {
            patch[i * kw + j] = x.data[(source * x.height + unit.row + i) * x.width + unit.column + j];
            sum += patch[i * kw + j] * weights[k * size + i * kw + j];
          }
        a += sum;
        text(c, unit.number === 1 ? "input, weights" : `map ${source}`, left, top - 8, {align: "left"});
        picture(c, patch, 0, kh, kw, left, top, scale, unit.number === 1 ? ofInput : ofState);
        frame(c, left, top, kw * scale, kh * scale, colors.mark, 1);
        picture(c, weights, k * size, kh, kw, left + kw * scale + 4, top, scale, ofWeight(most));
        frame(c, left + kw * scale + 4, top, kw * scale, kh * scale);
        text(c, `${sum < 0 ? "" : "+"}${number(sum)}`, left, top + kh * scale + 7, {align: "left", color: colors.text});
      });
      const bottom = Math.ceil(sources.length / across) * high + 12;
      text(c, `weights: − up to ${number(most)}`, 2, bottom, {align: "left", color: colors.negative});
      text(c, `+ up to ${number(most)}`, 292, bottom, {align: "right", color: colors.positive});
    }
    sumNote(a, value);
  }

  function showTable(unit) {
    const layer = data.layers[TABLE],
      columns = layer.out[0],
      rowsOf = layer.in[0],
      size = 16,
      edge = 18;
    const c = context($("table-one"), edge + columns * size + 2, edge + rowsOf * size + 2);
    const column = unit.number === TABLE + 1 ? unit.map : -1,
      row = unit.number === TABLE ? unit.map : -1;
    for (let m = 0; m < columns; m++)
      text(
        c,
        m,
        edge + (m + 0.5) * size,
        9,
        m === column ? {size: 10, color: colors.text, weight: "bold"} : {size: 10},
      );
    for (let s = 0; s < rowsOf; s++) {
      text(c, s, 9, edge + (s + 0.5) * size, s === row ? {color: colors.text, weight: "bold"} : {});
      for (let m = 0; m < columns; m++) {
        const linked = layer.table[m].includes(s),
          lit = linked && (m === column || s === row),
          x = edge + m * size,
          y = edge + s * size;
        if (lit) {
          c.fillStyle = colors.mark;
          c.fillRect(x, y, size, size);
        }
        frame(c, x + 1, y + 1, size - 1, size - 1);
        if (linked)
          text(c, "×", x + size / 2 + 0.5, y + size / 2 + 1, {
            size: 13,
            color: lit ? colors.paper : colors.text,
            weight: "bold",
          });
      }
    }
  }

  // --- strings --------------------------------------------------------------------------------------------------

  const wide = {field: null, about: "", chosen: null};
  const longPad = new Pad($("long-pad"), 1000, 200, () => {
    wide.field = lenet5.writtenField(longPad.ink, longPad.height, longPad.width);
    wide.chosen = null;
    soonString();
  });
  longPad.radius = 9;
  $("long-undo").onclick = () => longPad.undo();
  $("long-clear").onclick = () => longPad.clear();

  let askedString = false;
  function soonString() {
    if (askedString) return;
    askedString = true;
    requestAnimationFrame(() => {
      askedString = false;
      computeString();
    });
  }

  function compose() {
    const typed = $("typed")
      .value.replace(/[^0-9]/g, "")
      .slice(0, 10);
    if (!typed) {
      $("string").textContent = "Type some digits first.";
      return;
    }
    const places = [...typed].map((wanted, k) => {
      const known = wide.places && wide.places[k];
      if (known !== undefined && wide.kept && data.digits.labels[known] === wanted) return known;
      const among = sets[1].places.filter((place) => data.digits.labels[place] === wanted);
      return among[Math.floor(Math.random() * among.length)];
    });
    Object.assign(wide, {places, field: lenet5.composedField(places.map(digit), Number($("gap").value)), chosen: null});
    if (longPad.strokes.length) {
      longPad.strokes = [];
      longPad.redraw();
    }
    soonString();
  }
  $("compose").onclick = () => {
    wide.kept = false;
    compose();
  };
  $("typed").onkeydown = (event) => {
    if (event.key === "Enter") $("compose").click();
  };
  $("gap").oninput = () => {
    $("gap-value").textContent = `${$("gap").value} px`;
    wide.kept = true;
    if (!longPad.strokes.length) compose();
  };
  $("blank").oninput = () => {
    $("blank-value").textContent = $("blank").value;
    soonString();
  };

  function computeString() {
    const canvas = $("outputs");
    $("output").textContent = "";
    canvas.hidden = !wide.field;
    if (!wide.field) {
      $("string").textContent = "Nothing is written yet.";
      return;
    }
    const network = networks[state.chosen],
      found = lenet5.states(network, wide.field),
      f6 = found[last];
    const distances = lenet5.rbf(network, f6),
      outputs = distances.height * distances.width;
    const penalties = Array.from({length: outputs}, (_, k) =>
      Array.from({length: 10}, (_, i) => distances.data[i * outputs + k]),
    );
    const {digits, path, penalty} = lenet5.decoded(penalties, Number($("blank").value));
    const said = document.createElement("b");
    said.textContent = digits.join("") || "(nothing)";
    $("string").replaceChildren("It reads", said, `penalty ${number(penalty)}, ${outputs} outputs`);
    Object.assign(wide, {penalties, path, f6, digits});
    canvas.setAttribute(
      "aria-label",
      `Outputs of the replicated network. The path: ${path.map((k) => (k < 0 ? "blank" : k)).join(", ")}`,
    );
    paintString();
  }

  const LEFT = 44;
  function paintString() {
    const {field, penalties, path, f6} = wide;
    if (!field) return;
    const room = document.querySelector(".wide").clientWidth - LEFT - 4;
    const scale = Math.max(4, Math.min(7, Math.floor(room / field.width))),
      cell = 4 * scale,
      row = 16;
    const top = SIZE * scale + 8,
      bitmaps = top + 11 * row + 24,
      pixel = Math.max(1, Math.floor((cell - 2) / 7));
    const c = context($("outputs"), LEFT + field.width * scale + 4, bitmaps + 12 * pixel + 4);
    Object.assign(wide, {scale, top, cell});
    const x = (k) => LEFT + (4 * k + 14) * scale; // output k's cell, about the middle of its window
    picture(c, field.data, 0, SIZE, field.width, LEFT, 1, scale, ofInput);
    frame(c, LEFT, 1, field.width * scale, SIZE * scale, colors.soft);
    for (let i = 0; i < 10; i++) text(c, i, LEFT + 14 * scale - 12, top + (i + 0.5) * row, {color: colors.text});
    text(c, "blank", LEFT + 14 * scale - 6, top + 10.5 * row, {align: "right"});
    const color = (value) => mixed(colors.inkRGB, colors.paperRGB, Math.sqrt(value / 120));
    penalties.forEach((own, k) => {
      own.forEach((value, i) => {
        c.fillStyle = `rgb(${color(value).map(Math.round).join(" ")})`;
        c.fillRect(x(k), top + i * row, cell - 1, row - 1);
      });
      const at = path[k] < 0 ? 10 : path[k];
      text(c, path[k] < 0 ? "–" : path[k], x(k) + cell / 2, top + 11 * row + 11, {
        size: 13,
        color: colors.text,
        weight: path[k] < 0 ? "" : "bold",
      });
      const codes = Float64Array.from({length: 84}, (_, j) => f6.data[j * penalties.length + k]);
      picture(c, codes, 0, 12, 7, x(k) + (cell - 7 * pixel) / 2, bitmaps, pixel, between(-1.2, 1.2));
      frame(c, x(k) + (cell - 7 * pixel) / 2, bitmaps, 7 * pixel, 12 * pixel);
      if (k) {
        c.beginPath();
        c.moveTo(x(k - 1) + cell / 2, top + ((path[k - 1] < 0 ? 10 : path[k - 1]) + 0.5) * row);
        c.lineTo(x(k) + cell / 2, top + (at + 0.5) * row);
        c.strokeStyle = colors.mark;
        c.lineWidth = 2;
        c.stroke();
      }
    });
    path.forEach((digit, k) => {
      c.beginPath();
      c.arc(x(k) + cell / 2, top + ((digit < 0 ? 10 : digit) + 0.5) * row, 5, 0, 2 * Math.PI);
      c.fillStyle = digit < 0 ? colors.panel : colors.mark;
      c.fill();
      c.lineWidth = 2;
      c.strokeStyle = colors.mark;
      c.stroke();
    });
    if (wide.chosen !== null) {
      outlined(c, LEFT + 4 * wide.chosen * scale, 2, SIZE * scale, SIZE * scale - 2);
      frame(c, x(wide.chosen), top - 1, cell - 1, 11 * row, colors.mark, 2);
    }
  }
  function pointString(event) {
    if (!wide.field) return;
    const box = $("outputs").getBoundingClientRect(),
      k = Math.floor((event.clientX - box.left - LEFT) / wide.cell - 3.5);
    showOutput(Math.min(wide.penalties.length - 1, Math.max(0, k)));
  }
  function showOutput(k) {
    wide.chosen = k;
    paintString();
    const {digit, next, score} = lenet5.answer(wide.penalties[k]);
    $("output").textContent =
      `Output ${k} sees columns ${4 * k} to ${4 * k + 31}. Nearest: ${digit} at ${number(wide.penalties[k][digit])}; then ${next}, ${number(score)} further. On the path: ${wide.path[k] < 0 ? "blank" : wide.path[k]}.`;
  }
  $("outputs").addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse") pointString(event);
  });
  $("outputs").addEventListener("pointerdown", pointString);
  document.querySelector(".wide").addEventListener("keydown", (event) => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!step || !wide.field) return;
    event.preventDefault();
    showOutput(Math.min(wide.penalties.length - 1, Math.max(0, (wide.chosen ?? -1) + step)));
  });

  // --- all of it ------------------------------------------------------------------------------------------------

  function useNetwork(k) {
    state.chosen = k;
    const {title, note, errors, threshold, rejected, strings, blank} = data.networks[k];
    $("note").textContent = `${title}: ${note}. ${errors} of 10,000 test digits wrong.`;
    $("threshold").value = threshold;
    $("threshold-note").textContent =
      `(${threshold} rejects ${(100 * rejected).toFixed(1)}% of the test digits and leaves 0.5% errors on the rest)`;
    $("blank").value = blank;
    $("blank-value").textContent = blank;
    $("learned").textContent = strings
      ? "This network learned digits between neighbors, as in Section VII."
      : "The last layers of this network learned only single digits in the middle of their window, so it misreads many strings. “For strings” also learned neighbors, blanks and noise.";
    compute();
    computeString();
  }
  data.networks.forEach(({title}, k) => {
    const label = document.createElement("label"),
      radio = document.createElement("input");
    Object.assign(radio, {type: "radio", name: "network", checked: !k});
    radio.onchange = () => useNetwork(k);
    label.append(radio, ` ${title}`);
    $("networks").append(label);
  });
  $("threshold").oninput = () => showAnswer();
  $("vote-note").textContent = voters.length
    ? "The same training from other initial weights. Those that only vote have weights of 3 or 4 bits, which change some 40 of 10,000 answers."
    : "This page holds one seed. Train others and give their files:";
  if (!voters.length) {
    const command = document.createElement("code");
    command.textContent = "lenet98 demo --vote FILE FILE";
    $("vote-note").append(document.createElement("br"), command);
  }

  function repaint() {
    readColors();
    const c = context($("scale"), 80, 12);
    picture(
      c,
      Array.from({length: 80}, (_, k) => (k / 79) * 2 * A - A),
      0,
      1,
      80,
      0,
      0,
      1,
      ofState,
    );
    picture(
      c,
      Array.from({length: 80 * 12}, (_, k) => ((k % 80) / 79) * 2 * A - A),
      0,
      12,
      80,
      0,
      0,
      1,
      ofState,
    );
    frame(c, 1, 1, 78, 10, colors.soft);
    pad.paint();
    longPad.paint();
    showThumbs();
    if (state.states) compute();
    paintString();
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  let width = 0;
  function fitted() {
    if (width === window.innerWidth) return;
    width = window.innerWidth;
    const long = width < 600 ? 520 : 1000;
    if (longPad.width !== long && !longPad.strokes.length) longPad.resize(long, 200);
    $("long-pad").style.aspectRatio = `${longPad.width} / 200`;
    if (state.states) repaint();
  }
  window.addEventListener("resize", fitted);

  $("gap-value").textContent = `${$("gap").value} px`;
  $("about").textContent =
    `The page holds ${data.digits.index.length.toLocaleString("en")} of the 10,000 test digits of MNIST: Fig. 8, the errors of its networks, and the first ${data.digits.first.toLocaleString("en")}. More do not fit into 600 kB. Weights have 9 bits or more, which changes no answer of a published network.`;
  readColors();
  fitted();
  repaint();
  $("set").value = 1;
  showThumbs();
  take(sets[1].places[4]);
  useNetwork(0);
  wide.kept = false;
  compose();
})();
