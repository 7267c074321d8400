// Attention maps: lines between tokens, a map, all heads at once, and how one query finds its keys.

const MODES = { lines: "Lines", heat: "Map", grid: "All heads", neuron: "Neuron" };
const MOST_LINES = 800; // the strongest ones: more would neither be readable nor quick to draw
const MOST_THICK = 80; // the others are as thin as the screen can, which is quick
const FAINT = 10; // of 255: a line below is not drawn
const HELP =
  "Arrow keys move the token, with Shift the key; Page Up and Page Down the layer, [ and ] the head. " +
  "Click or Enter holds a token: then point at another for what is between the two; Esc lets go. " +
  "Shift and click on a head shows it alone.";

// ---- what the traits say

/** The weights in a form to calculate with, or null while the traits of two texts are mixed. */
function readMaps(model) {
  const [L, H, T, S] = model.get("shape");
  const rounded = model.get("dtype") === "u8";
  const bytes = bytesOf(model.get("weights"));
  const weights = rounded ? bytes : new Float32Array(bytes.buffer);
  const tokens = model.get("tokens");
  const crossed = model.get("key_tokens").length > 0;
  const keys = crossed ? model.get("key_tokens") : tokens;
  if (weights.length !== L * H * T * S || tokens.length !== T || keys.length !== S) return null;
  const one = rounded ? 255 : 1; // what stands for a weight of 1
  const of = (layer, head) => weights.subarray((layer * H + head) * T * S, (layer * H + head + 1) * T * S);
  const [causal, digits, vectors] = [model.get("causal"), rounded ? 2 : 3, readVectors(model, [L, H, T, S])];
  return { L, H, T, S, tokens, keys, crossed, causal, one, digits, of, vectors };
}

/** q and k of one head, or null where they are not here. */
function readVectors(model, [L, H, T, S]) {
  const D = model.get("head_size");
  const numbers = new Float32Array(bytesOf(model.get("vectors")).buffer);
  if (!D || numbers.length !== L * H * (T + S) * D) return null;
  const all = L * H * T * D;
  return (layer, head) => {
    const n = layer * H + head;
    const q = numbers.subarray(n * T * D, (n + 1) * T * D);
    return { D, q, k: numbers.subarray(all + n * S * D, all + (n + 1) * S * D) };
  };
}

/** The traits that say what to look at; a value that does not fit here, as from a linked view, is none. */
function readLook(model, { L, H, T, S }) {
  const within = (name, size, other) => (model.get(name) >= 0 && model.get(name) < size ? model.get(name) : other);
  const head = within("head", H, -1);
  const known = model.get("heads").filter((head) => head < H);
  const on = known.length ? known : [0];
  const mode = model.get("mode") === "neuron" && !model.get("head_size") ? "heat" : model.get("mode");
  return {
    layer: within("layer", L, 0),
    head,
    on: head >= 0 ? [head] : mode === "neuron" ? on.slice(0, 1) : on, // one query meets its keys in one head
    hover: within("hover", T, -1),
    key: within("key", S, -1),
    mode,
    byRow: model.get("scale") === "row",
  };
}

/** The mean of some heads of a layer, as numbers from 0 to 1. */
function meanOf(maps, layer, heads) {
  const mean = new Float32Array(maps.T * maps.S);
  const share = 1 / (maps.one * heads.length);
  for (const head of heads) {
    const weights = maps.of(layer, head);
    for (let i = 0; i < mean.length; i++) mean[i] += weights[i] * share;
  }
  return mean;
}

/** What to multiply each row with, so that 255 is a weight of 1, or the largest of the row. */
function rowScales(weights, T, S, one, byRow) {
  const scales = new Float32Array(T).fill(255 / one);
  for (let t = 0; byRow && t < T; t++) {
    let most = 0;
    for (let i = t * S; i < (t + 1) * S; i++) if (weights[i] > most) most = weights[i];
    scales[t] = most > 0 ? 255 / most : 0;
  }
  return scales;
}

// ---- colors

/** The colors of the theme, for canvases; `heat` has one of 32 bits for each of 256 levels. */
function readColors(root) {
  const named = ["ink", "soft", "paper", "calm", "edge", "accent", "glow"];
  const colors = Object.fromEntries(named.map((name) => [name, colorOf(root, `--${name}`)]));
  const ramp = [1, 2, 3, 4].map((n) => colorOf(root, `--heat-${n}`).match(/[\d.]+/g).map(Number));
  colors.heat = Uint32Array.from({ length: 256 }, (_, level) => packed(between(ramp, level / 255)));
  colors.heat[0] = packed(colors.paper.match(/[\d.]+/g).map(Number)); // nothing at all is seen as nothing
  const [minus, plus] = ["--minus", "--plus"].map((name) => colorOf(root, name).match(/[\d.]+/g).map(Number));
  const zero = colors.paper.match(/[\d.]+/g).map(Number);
  colors.signed = Uint32Array.from({ length: 256 }, (_, level) => packed(between([minus, zero, plus], level / 255)));
  return colors;
}

function between(stops, share) {
  const place = share * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  return stops[low].map((value, i) => value + (stops[low + 1][i] - value) * (place - low));
}

function packed([red, green, blue]) {
  return ((255 << 24) | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red)) >>> 0;
}

/** A small picture with one pixel for each number, to be drawn larger. */
function pixels(width, height, fill) {
  const canvas = element("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  fill(new Uint32Array(image.data.buffer));
  context.putImageData(image, 0, 0);
  return canvas;
}

// ---- a row of tokens: point, click, arrow keys

/** Tokens to point at; `side` is the trait they stand for, "hover" or "key". */
function tokenList(view, side, label, className = "") {
  const tokens = side === "hover" ? view.maps.tokens : view.maps.keys;
  const node = element("div", `tokens ${className}`, "", { role: "listbox", "aria-label": label });
  const items = tokens.map((token, i) => {
    const item = element("span", "token", token, { role: "option", "aria-selected": "false", tabindex: i ? "-1" : "0" });
    item.title = `${i}: ${token}`;
    return node.appendChild(item);
  });
  const index = (event) => items.indexOf(event.target.closest(".token"));
  const target = (i) => (side === "hover" ? { hover: i, key: -1 } : { hover: -1, key: i });
  node.addEventListener("mouseover", (event) => index(event) >= 0 && view.aim(target(index(event))));
  node.addEventListener("focusin", (event) => view.aim(target(index(event))));
  node.addEventListener("click", (event) => index(event) >= 0 && view.hold(target(index(event))));
  const shares = new Uint8Array(items.length);
  let [here, there] = [0, 0];
  return {
    node,
    /** Show which token is looked from, or none at -1, and which other one it is compared with. */
    mark(i, other = -1) {
      items[there].classList.remove("there");
      if (other >= 0) items[(there = other)].classList.add("there");
      items[here].setAttribute("aria-selected", "false");
      items[here].tabIndex = -1;
      if (i >= 0) here = i;
      items[here].setAttribute("aria-selected", String(i >= 0));
      items[here].tabIndex = 0;
      if (i >= 0 && node.contains(document.activeElement)) items[i].focus();
    },
    /** Shade each token by a number from 0 to 1, or none. */
    shade(values) {
      for (const [i, item] of items.entries()) {
        const share = values ? Math.round(100 * Math.min(values[i], 1)) : 0;
        if (share === shares[i]) continue;
        shares[i] = share;
        item.style.background = share ? `color-mix(in srgb, var(--shade) ${share}%, transparent)` : "";
      }
    },
  };
}

/** The text above a scene: the tokens, shaded by what the one pointed at sees, or by who sees it. */
function textStrip(view) {
  const node = element("div", "strips");
  const queries = tokenList(view, "hover", view.maps.crossed ? "Queries" : "Tokens", "strip");
  const keys = view.maps.crossed ? tokenList(view, "key", "Keys", "strip") : queries;
  node.append(queries.node);
  if (view.maps.crossed) node.append(keys.node);
  return { node, hover: () => showHover(view, queries, keys) };
}

function showHover(view, queries, keys) {
  const { hover, key } = view.look;
  const found = hover >= 0 ? view.rowOf(hover) : null;
  const most = found && view.look.byRow ? Math.max(...found, 1e-9) : 1;
  const row = found && found.map((value) => value / most);
  const column = hover < 0 && key >= 0 ? view.columnOf(key) : null;
  if (queries === keys) {
    queries.shade(row ?? column);
    queries.mark(hover >= 0 ? hover : key, hover >= 0 ? key : -1);
  } else {
    keys.shade(row);
    queries.shade(column);
    queries.mark(hover);
    keys.mark(key);
  }
}

// ---- lines between two columns

function linesScene(view) {
  const { T, S } = view.maps;
  const row = Math.max(12, Math.min(22, Math.floor(660 / Math.max(T, S))));
  const node = element("div", "lines", "", { style: `--row:${row}px` });
  const queries = tokenList(view, "hover", "Queries: the tokens that look", "column from");
  const keys = tokenList(view, "key", "Keys: the tokens looked at", "column");
  const wires = element("div", "wires");
  const base = wires.appendChild(element("canvas", "", "", { "aria-hidden": "true" }));
  const over = wires.appendChild(element("canvas", "", "", { "aria-hidden": "true" }));
  node.append(queries.node, wires, keys.node);
  const height = Math.max(T, S) * row;
  const width = () => Math.max(120, Math.min(560, view.width() - 290));
  const colorOfHead = (head) => view.headColors[head % view.headColors.length];

  let context;

  /** Draw lines, the strongest on top. */
  function stroke(draw, lines) {
    const w = width();
    const thin = 1 / (devicePixelRatio || 1);
    lines.sort((a, b) => a.level - b.level);
    for (const [i, { head, t, s, level }] of lines.entries()) {
      const [from, to] = [(t + 0.5) * row, (s + 0.5) * row];
      const thick = level > 60 && i >= lines.length - MOST_THICK;
      draw.strokeStyle = colorOfHead(head);
      draw.globalAlpha = 0.08 + (0.92 * level) / 255;
      draw.lineWidth = thick ? 0.6 + (2.4 * level) / 255 : thin;
      draw.beginPath();
      draw.moveTo(0, from);
      draw.bezierCurveTo(w * 0.4, from, w * 0.6, to, w, to);
      draw.stroke();
    }
  }

  /** The lines of these queries and keys from `least` of 255 on, and no more than can be drawn. */
  function strongest(least, [firstQuery, endQuery], [firstKey, endKey]) {
    const { layer, on, byRow } = view.look;
    const counts = new Uint32Array(256);
    const levels = on.map((head) => {
      const weights = view.maps.of(layer, head);
      const scales = rowScales(weights, T, S, view.maps.one, byRow);
      return (t, s) => Math.min(255, weights[t * S + s] * scales[t]);
    });
    for (const levelAt of levels) {
      for (let t = firstQuery; t < endQuery; t++) for (let s = firstKey; s < endKey; s++) counts[levelAt(t, s) | 0]++;
    }
    let cut = 255;
    for (let total = counts[255]; cut > least && total + counts[cut - 1] <= MOST_LINES; ) total += counts[--cut];
    const lines = [];
    for (const [n, levelAt] of levels.entries()) {
      for (let t = firstQuery; t < endQuery; t++) {
        for (let s = firstKey; s < endKey; s++) {
          const level = levelAt(t, s);
          if (level >= cut) lines.push({ head: on[n], t, s, level });
        }
      }
    }
    return lines;
  }

  return {
    node,
    paint() {
      const lines = strongest(FAINT, [0, T], [0, S]);
      stroke(sized(base, width(), height), lines);
      view.root.dataset.lines = lines.length;
      context = sized(over, width(), height);
    },
    hover() {
      const { hover, key } = view.look;
      const aimed = hover >= 0 || key >= 0;
      base.style.opacity = aimed ? 0.12 : 1;
      context.clearRect(0, 0, over.width, over.height);
      const span = (one, size) => (one >= 0 ? [one, one + 1] : [0, size]);
      if (aimed) stroke(context, strongest(2, span(hover, T), span(key, S)));
      showHover(view, queries, keys);
    },
  };
}

// ---- the map

function heatScene(view) {
  const { T, S, tokens, keys } = view.maps;
  const node = element("div");
  const strip = textStrip(view);
  const map = element("div", "map");
  const base = map.appendChild(element("canvas", "", "", { role: "img" }));
  const over = map.appendChild(element("canvas", "", "", { "aria-hidden": "true" }));
  node.append(strip.node, map);
  let cell, left, top, context;

  /** As large as there is room for, and the labels beside. */
  function measure() {
    const longest = (names) => Math.min(14, Math.max(...names.map((name) => name.length)));
    left = 16 + 7 * longest(tokens);
    top = 12 + 7 * longest(keys);
    const room = (view.width() - left - 8) / S;
    cell = Math.max(3, Math.min(26, Math.floor(room), Math.floor(760 / T)));
  }

  function label(draw, names, write) {
    const step = Math.ceil(12 / cell);
    draw.font = `${Math.max(11, Math.min(13, cell - 1))}px ui-monospace, monospace`;
    draw.textBaseline = "middle";
    for (let i = 0; i < names.length; i += step) write(draw, i, short(names[i]));
  }
  const short = (name) => (name.length > 14 ? `${name.slice(0, 13)}…` : name);
  const across = (draw, t, name) => {
    draw.textAlign = "right";
    draw.fillText(name, left - 6, top + (t + 0.5) * cell);
  };
  const upward = (draw, s, name) => {
    draw.save();
    draw.translate(left + (s + 0.5) * cell, top - 6);
    draw.rotate(-Math.PI / 2);
    draw.textAlign = "left";
    draw.fillText(name, 0, 0);
    draw.restore();
  };

  map.addEventListener("mousemove", (event) => view.aim(cellAt(event)));
  map.addEventListener("click", (event) => view.hold(cellAt(event)));
  function cellAt(event) {
    const box = base.getBoundingClientRect();
    const zoom = box.width / base.offsetWidth || 1; // of the page around, as "zoom: 0.5" in its style
    const t = Math.floor(((event.clientY - box.top) / zoom - top) / cell);
    const s = Math.floor(((event.clientX - box.left) / zoom - left) / cell);
    return { hover: t >= 0 && t < T ? t : -1, key: s >= 0 && s < S ? s : -1 };
  }

  return {
    node,
    paint() {
      measure();
      const { byRow } = view.look;
      const mean = view.mean();
      const scales = rowScales(mean, T, S, 1, byRow);
      const picture = pixels(S, T, (out) => {
        for (let i = 0; i < out.length; i++) out[i] = view.colors.heat[levelOf(mean[i] * scales[(i / S) | 0])];
      });
      const [width, height] = [left + S * cell + 2, top + T * cell + 2];
      const draw = sized(base, width, height);
      draw.imageSmoothingEnabled = false;
      draw.drawImage(picture, left, top, S * cell, T * cell);
      draw.strokeStyle = view.colors.edge;
      draw.strokeRect(left - 0.5, top - 0.5, S * cell + 1, T * cell + 1);
      draw.fillStyle = view.colors.soft;
      label(draw, tokens, across);
      label(draw, keys, upward);
      base.setAttribute("aria-label", `Map of ${view.title()}: ${T} queries by ${S} keys`);
      context = sized(over, width, height);
    },
    hover() {
      const { hover, key } = view.look;
      context.clearRect(0, 0, over.width, over.height);
      context.strokeStyle = view.colors.glow;
      context.lineWidth = 1.5;
      context.font = "bold 12px ui-monospace, monospace";
      context.textBaseline = "middle";
      if (hover >= 0) {
        context.strokeRect(left, top + hover * cell, S * cell, cell);
        context.fillStyle = view.colors.paper;
        context.fillRect(0, top + (hover + 0.5) * cell - 9, left - 2, 18);
        context.fillStyle = view.colors.ink;
        across(context, hover, short(tokens[hover]));
      }
      if (key >= 0) {
        context.strokeRect(left + key * cell, top, cell, T * cell);
        context.fillStyle = view.colors.paper;
        context.fillRect(left + (key + 0.5) * cell - 9, 0, 18, top - 2);
        context.fillStyle = view.colors.ink;
        upward(context, key, short(keys[key]));
      }
      strip.hover();
    },
  };
}

/** A level above nothing is at least 1, so that what is masked and what is small look different. */
function levelOf(value) {
  return value > 0 ? Math.max(1, Math.min(255, Math.round(value))) : 0;
}

// ---- all heads at once

function gridScene(view) {
  const { L, H, T, S } = view.maps;
  const node = element("div");
  const strip = textStrip(view);
  const grid = element("div", "grid", "", { role: "group", "aria-label": "All layers and heads" });
  const base = element("canvas", "", "", { "aria-hidden": "true" }); // one for all of them: each canvas costs every frame
  const over = element("canvas", "over", "", { "aria-hidden": "true" });
  node.append(strip.node, grid);
  grid.append(base, over, element("span"));
  for (let head = 0; head < H; head++) grid.append(element("span", "name", H > 6 ? `${head}` : `head ${head}`));
  const thumbs = [];
  for (let layer = 0; layer < L; layer++) {
    grid.append(element("span", "name", L > 6 ? `${layer}` : `layer ${layer}`));
    for (let head = 0; head < H; head++) {
      const thumb = element("button", "thumb", "", { "aria-label": `layer ${layer}, head ${head}`, tabindex: "-1" });
      thumb.title = `layer ${layer}, head ${head}: click to open`;
      thumb.addEventListener("click", () => put(view.model, { layer, head, mode: "heat" }));
      thumbs.push(grid.appendChild(thumb));
    }
  }
  grid.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -H, ArrowDown: H }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const next = thumbs[thumbs.indexOf(document.activeElement) + step];
    if (next) next.focus();
  });

  /** No more pixels than are shown; the largest of the weights that fall into one, so that no thin line is lost. */
  function thumbnail(layer, head) {
    const [width, height] = [Math.min(S, side), Math.min(T, side)];
    const weights = view.maps.of(layer, head);
    const scales = rowScales(weights, T, S, view.maps.one, view.look.byRow);
    const levels = new Uint8Array(width * height);
    const column = Uint16Array.from({ length: S }, (_, s) => (s * width) / S);
    for (let t = 0; t < T; t++) {
      const start = Math.floor((t * height) / T) * width;
      for (let s = 0; s < S; s++) {
        const level = levelOf(weights[t * S + s] * scales[t]);
        if (level > levels[start + column[s]]) levels[start + column[s]] = level;
      }
    }
    return pixels(width, height, (out) => out.forEach((_, i) => (out[i] = view.colors.heat[levels[i]])));
  }

  let painted = "";
  let side, context, corners;
  return {
    node,
    paint() {
      const { layer, head, byRow } = view.look;
      side = Math.max(34, Math.min(150, Math.floor((view.width() - 60) / H) - 8));
      grid.style.gridTemplateColumns = `max-content repeat(${H}, ${side}px)`;
      grid.style.setProperty("--side", `${side}px`);
      for (const [n, thumb] of thumbs.entries()) {
        const [l, h] = [Math.floor(n / H), n % H];
        thumb.tabIndex = l === layer && h === Math.max(head, 0) ? 0 : -1;
        thumb.classList.toggle("here", l === layer && (head < 0 || h === head));
      }
      const now = `${byRow} ${side} ${view.colors.paper}`;
      if (painted === now) return;
      painted = now;
      corners = thumbs.map((thumb) => [thumb.offsetLeft, thumb.offsetTop]);
      const draw = sized(base, grid.clientWidth, grid.clientHeight);
      draw.imageSmoothingEnabled = false;
      for (const [n, [x, y]] of corners.entries()) draw.drawImage(thumbnail(Math.floor(n / H), n % H), x, y, side, side);
      context = sized(over, grid.clientWidth, grid.clientHeight);
    },
    hover() {
      const { hover, key } = view.look;
      context.clearRect(0, 0, over.width, over.height);
      context.strokeStyle = view.colors.glow;
      for (const [x, y] of corners) {
        if (hover >= 0) context.strokeRect(x + 0.5, y + (side * hover) / T, side - 1, Math.max(2, side / T));
        if (key >= 0) context.strokeRect(x + (side * key) / S, y + 0.5, Math.max(2, side / S), side - 1);
      }
      if (hover >= 0 && key >= 0) {
        context.font = "bold 11px system-ui, sans-serif";
        context.textAlign = "right";
        for (const { layer, head, weight } of view.between().slice(0, 8)) {
          const [x, y] = corners[layer * H + head];
          context.fillStyle = view.colors.paper;
          context.fillRect(x + side - 29, y + 2, 27, 14);
          context.fillStyle = view.colors.ink;
          context.fillText(weight.toFixed(2), x + side - 4, y + 13);
        }
      }
      strip.hover();
    },
  };
}

// ---- how one query finds its keys

function neuronScene(view) {
  const { T, S, tokens, keys } = view.maps;
  const node = element("div");
  const strip = textStrip(view);
  const ROW = 17;
  const place = element("div", "", "", { style: `min-height:${(S + 4) * ROW}px` }); // so that the page keeps its height
  const canvas = place.appendChild(element("canvas", "", "", { role: "img" }));
  node.append(strip.node, place);

  return {
    node,
    paint() {},
    hover() {
      strip.hover();
      if (!view.maps.vectors) return; // they are on their way
      const { layer, on, hover, key } = view.look;
      const [head] = on;
      const t = hover >= 0 ? hover : T - 1;
      const { D, q, k } = view.maps.vectors(layer, head);
      const weights = view.maps.of(layer, head).subarray(t * S, (t + 1) * S);
      const own = view.maps.causal ? t + S - T : S - 1; // the last key that it may see
      const rows = Math.max(own, weights.findLastIndex((weight) => weight > 0)) + 1;
      const query = q.subarray(t * D, (t + 1) * D);
      const product = Float32Array.from({ length: rows * D }, (_, i) => query[i % D] * k[i]);
      const scores = Array.from({ length: rows }, (_, s) => sum(product.subarray(s * D, (s + 1) * D)) / Math.sqrt(D));

      const names = 16 + 7.5 * Math.min(14, Math.max(...keys.map((name) => name.length), tokens[t].length));
      const strand = Math.max(D, Math.min(250, Math.floor((view.width() - names - 260) / 2)));
      const at = { k: names, product: names + strand + 18, score: names + 2 * strand + 40, softmax: names + 2 * strand + 140 };
      const top = 3 * ROW + 6;
      const context = sized(canvas, at.softmax + 130, top + (rows + (rows < S)) * ROW + 4);
      context.imageSmoothingEnabled = false;
      context.textBaseline = "middle";
      context.font = "12px ui-monospace, monospace";
      const write = (text, x, row, color = "ink", align = "left") => {
        context.fillStyle = view.colors[color];
        context.textAlign = align;
        context.fillText(text, x, row);
      };
      const strands = (values, count, x, y) => {
        const most = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
        const picture = pixels(D, count, (out) => {
          for (let i = 0; i < out.length; i++) out[i] = view.colors.signed[Math.round(127.5 * (1 + values[i] / most))];
        });
        context.drawImage(picture, x, y + 1, strand, count * ROW);
        context.fillStyle = view.colors.paper;
        for (let row = 1; row < count; row++) context.fillRect(x, y + row * ROW, strand, 1.5);
        context.strokeStyle = view.colors.edge;
        context.strokeRect(x - 0.5, y + 0.5, strand + 1, count * ROW + 1);
      };

      write("q", at.k, ROW / 2, "soft");
      write(`of ${tokens[t]}`, at.k + 14, ROW / 2);
      strands(query, 1, at.k, ROW);
      const heading = 2.6 * ROW;
      const fits = (long, brief) => (context.measureText(long).width < strand + 12 ? long : brief);
      write(fits("k of each key", "k"), at.k, heading, "soft");
      write(fits("q times k", "q·k"), at.product, heading, "soft");
      write(`sum / √${D}`, at.score, heading, "soft");
      write("softmax", at.softmax, heading, "soft");
      strands(k.subarray(0, rows * D), rows, at.k, top);
      strands(product, rows, at.product, top);
      const widest = Math.max(...scores.map(Math.abs), 1e-9);
      for (let s = 0; s < rows; s++) {
        const y = top + (s + 0.5) * ROW;
        if (s === key || s === t) {
          context.fillStyle = view.colors.calm;
          context.fillRect(0, y - ROW / 2 + 1, names - 6, ROW - 2);
        }
        write(keys[s].slice(0, 14), names - 10, y, "ink", "right");
        const middle = at.score + 62;
        context.fillStyle = view.colors[scores[s] < 0 ? "accent" : "glow"];
        context.fillRect(middle, y - 4, (28 * scores[s]) / widest, 8);
        write(scores[s].toFixed(2), at.score + 30, y, "ink", "right");
        const weight = weights[s] / view.maps.one;
        context.fillStyle = view.colors.accent;
        context.fillRect(at.softmax + 36, y - 5, 90 * weight, 10);
        write(weight.toFixed(2), at.softmax + 30, y, weight < 0.005 ? "soft" : "ink", "right");
      }
      if (rows < S) write(`${several(S - rows, "later token")} ${S - rows === 1 ? "is" : "are"} masked`, names, top + (rows + 0.6) * ROW, "soft");
      const best = scores.indexOf(Math.max(...scores));
      const found = `${keys[best]} (${best}), score ${scores[best].toFixed(2)}, softmax ${(weights[best] / view.maps.one).toFixed(2)}`;
      canvas.setAttribute("aria-label", `Layer ${layer}, head ${head}: of ${rows} keys, ${tokens[t]} (${t}) fits best to ${found}`);
    },
  };
}

function sum(values) {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

// ---- controls

function choice(label, options, chosen) {
  const select = element("select", "", "", { "aria-label": label });
  for (const [value, text] of options) select.append(element("option", "", text, { value }));
  select.addEventListener("change", () => chosen(Number(select.value)));
  const node = element("label", "", label);
  node.append(select);
  return { node, select };
}

function switches(label, options, chosen) {
  const node = element("div", "switches", "", { role: "group", "aria-label": label });
  const buttons = Object.entries(options).map(([name, text]) => {
    const button = node.appendChild(element("button", "", text, { type: "button" }));
    button.addEventListener("click", () => chosen(name));
    return [name, button];
  });
  const show = (chosen) => buttons.forEach(([name, button]) => button.setAttribute("aria-pressed", String(name === chosen)));
  return { node, buttons: Object.fromEntries(buttons), show };
}

/** One chip for each head: a click switches it, Shift or a double click leaves it alone. */
function headChips(view) {
  const { model } = view;
  const H = view.maps.H;
  const all = Array.from({ length: H }, (_, head) => head);
  const node = element("div", "chips", "", { role: "group", "aria-label": "Heads that are shown" });
  const show = (on) => put(model, on.length === 1 ? { head: on[0] } : { head: -1, heads: on.length ? on : all });
  const alone = (head) => show(view.look.on.length === 1 && view.look.on[0] === head ? all : [head]);
  const chips = all.map((head) => {
    const chip = element("button", "chip", `${head}`, { type: "button", "aria-label": `head ${head}` });
    chip.style.setProperty("--head", view.headColors[head % view.headColors.length]);
    chip.addEventListener("click", (event) => {
      const { on } = view.look;
      if (event.shiftKey) alone(head);
      else if (event.detail < 2) show(on.includes(head) ? on.filter((other) => other !== head) : [...on, head].sort((a, b) => a - b));
    });
    chip.addEventListener("dblclick", (event) => event.shiftKey || show([head]));
    return node.appendChild(chip);
  });
  return { node, show: (on) => chips.forEach((chip, head) => chip.setAttribute("aria-pressed", String(on.includes(head)))) };
}

/** What is wrong with the weights, each with a button that goes there. */
function warningList(view) {
  const node = element("div", "warnings", "", { role: "status" });
  let shown = "";
  return {
    node,
    show() {
      if (shown === `${view.model.get("warnings")}`) return; // so that a button keeps the focus
      shown = `${view.model.get("warnings")}`;
      const places = view.model.get("places");
      node.replaceChildren(
        ...view.model.get("warnings").map((sentence, n) => {
          const line = element("p", "warning", sentence);
          if (places[n]?.length) {
            const button = line.appendChild(element("button", "", "Show", { type: "button", "aria-label": `Show: ${sentence}` }));
            button.addEventListener("click", () => view.show(places[n]));
          }
          return line;
        }),
      );
    },
  };
}

/** The text box: Python reads what is typed once there is a pause. */
function textBox(model) {
  const node = element("label", "text", "Text");
  const box = node.appendChild(element("textarea", "", "", { rows: "2", spellcheck: "false" }));
  let timer;
  const send = () => {
    timer = undefined;
    put(model, { text: box.value });
  };
  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(send, 250);
  });
  return {
    node,
    show() {
      node.hidden = !model.get("live") || model.get("alone");
      if (timer === undefined && box.value !== model.get("text")) box.value = model.get("text");
    },
    end: () => clearTimeout(timer),
  };
}

// ---- all together

const SCENES = { lines: linesScene, heat: heatScene, grid: gridScene, neuron: neuronScene };

/** What the scenes share: the numbers, what is looked at, and the ways to look elsewhere. */
function makeView(model, root) {
  let held = null; // what is looked at until it is let go
  let mean = { of: "" };
  const view = {
    model,
    root,
    headColors: model.get("colors"),
    width: () => (root.clientWidth || 784) - 24,
    get held() {
      return held !== null;
    },
    /** Read what the traits say; false while they do not fit together. */
    read(again) {
      const maps = again ? readMaps(model) : view.maps;
      if (!maps) return false;
      if (again) mean = { of: "" };
      view.maps = maps;
      view.look = readLook(model, maps);
      if (view.look.hover < 0 && view.look.key < 0) held = null;
      return true;
    },
    /** The mean of the heads that are on, calculated once. */
    mean() {
      const { layer, on } = view.look;
      if (mean.of !== `${layer}: ${on}`) mean = { of: `${layer}: ${on}`, values: meanOf(view.maps, layer, on) };
      return mean.values;
    },
    /** What each head has between the two tokens, the most first. */
    between() {
      const { L, H, S, of, one } = view.maps;
      const { hover, key } = view.look;
      const all = Array.from({ length: L * H }, (_, n) => ({ layer: Math.floor(n / H), head: n % H }));
      for (const found of all) found.weight = of(found.layer, found.head)[hover * S + key] / one;
      return all.sort((a, b) => b.weight - a.weight);
    },
    rowOf: (t) => view.mean().subarray(t * view.maps.S, (t + 1) * view.maps.S),
    columnOf: (s) => Float32Array.from({ length: view.maps.T }, (_, t) => view.mean()[t * view.maps.S + s]),
    title() {
      const { layer, on } = view.look;
      const heads = on.length === view.maps.H ? "all heads" : `heads ${on.join(", ")}`;
      return `Layer ${layer}, ${on.length === 1 ? `head ${on[0]}` : `the mean of ${heads}`}`;
    },
    /** Look from or at a token; while one is held, at what is between the two. */
    aim({ hover = -1, key = -1 }) {
      const other = Math.max(hover, key);
      if (held?.key === -1) [hover, key] = [held.hover, key >= 0 || other !== held.hover ? other : -1];
      else if (held?.hover === -1) [hover, key] = [hover >= 0 || other !== held.key ? other : -1, held.key];
      else if (held) return;
      if (hover !== model.get("hover") || key !== model.get("key")) put(model, { hover, key });
    },
    /** Look there, and hold that if something was held. */
    move(target) {
      const holding = held !== null;
      held = null;
      view.aim(target);
      if (holding) held = target;
    },
    /** Keep looking there while the pointer moves on; a second time lets go. */
    hold(target) {
      const again = held?.hover === target.hover && held.key === target.key;
      held = null;
      view.aim(target);
      held = again ? null : target;
      view.changed();
    },
    letGo() {
      held = null;
      view.aim({});
      view.changed();
    },
    show([layer, head, hover, key]) {
      held = { hover, key };
      put(model, { layer, head, hover, key, mode: view.look.mode === "grid" ? "heat" : view.look.mode });
    },
  };
  return view;
}

/** The numbers of the token that is looked from or at, in words. */
function inWords(view) {
  const { hover, key } = view.look;
  const { tokens, keys, digits } = view.maps;
  if (view.look.mode === "grid" && hover >= 0 && key >= 0) {
    const most = view.between().slice(0, 4);
    const listed = most.map(({ layer, head, weight }) => `layer ${layer}, head ${head} ${weight.toFixed(digits)}`);
    return `${tokens[hover]} (${hover}) → ${keys[key]} (${key}), most in: ${listed.join(" · ")}`;
  }
  if (hover < 0 && key < 0) {
    const bare = view.look.mode === "lines" && !Number(view.root.dataset.lines);
    const why = view.look.byRow ? "nothing to draw" : `all weaker than ${(FAINT / 255).toFixed(2)}: try "by row"`;
    return `${view.title()}: ${bare ? `${why}, or ` : ""}point at a token to see where it looks.`;
  }
  const [values, names] = hover >= 0 ? [view.rowOf(hover), keys] : [view.columnOf(key), tokens];
  const most = [...values.keys()].sort((a, b) => values[b] - values[a]).slice(0, 6);
  const listed = most.filter((i) => values[i] >= 0.005).map((i) => `${names[i]} ${values[i].toFixed(digits)}`);
  const seen = values.reduce((n, value) => n + (value > 0), 0);
  const small = seen ? `${several(seen, "token")}, ${seen === 1 ? "" : "each "}less than 0.01` : "nothing";
  const subject = hover >= 0 ? `${tokens[hover]} (${hover}) looks at` : `${keys[key]} (${key}) is seen by`;
  const pair = hover >= 0 && key >= 0 ? `${tokens[hover]} → ${keys[key]} ${values[key].toFixed(digits)}. ` : "";
  const mean = view.look.on.length > 1 ? `, mean of ${view.look.on.length} heads` : "";
  return `${pair}${subject}${mean}: ${listed.join(" · ") || small}${view.held ? " (held)" : ""}`;
}

/** What a key does, or nothing. */
function pressed(view, event) {
  const { L, H } = view.maps;
  const { layer, head, hover, key } = view.look;
  const bracket = event.key === "[" || event.key === "]"; // which some keyboards have only with Alt
  if (event.metaKey || ((event.ctrlKey || event.altKey) && !bracket)) return false;
  const step = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
  const within = (value, size) => Math.max(0, Math.min(size - 1, value));
  if (step) {
    const atKey = event.shiftKey || (hover < 0 && key >= 0);
    if (atKey) view.move({ hover, key: within(key + step, view.maps.S) });
    else view.move({ hover: within(hover + step, view.maps.T), key: -1 });
  } else if (event.key === "PageUp" || event.key === "PageDown") {
    put(view.model, { layer: within(layer + (event.key === "PageUp" ? -1 : 1), L) });
  } else if (bracket) {
    put(view.model, { head: Math.max(-1, Math.min(H - 1, head + (event.key === "[" ? -1 : 1))) });
  } else if (event.key === "Escape") {
    view.letGo();
  } else if ((event.key === "Enter" || event.key === " ") && event.target.closest(".token")) {
    view.hold({ hover, key });
  } else {
    return false;
  }
  return true;
}

function render({ model, el }) {
  const root = element("div", "gptlib gptlib-attention");
  keepKeys(root);
  const view = makeView(model, root);
  el.append(root);
  view.read(true);

  const modes = switches("Mode", MODES, (mode) => put(model, { mode }));
  const { L, H } = view.maps;
  const layers = choice("Layer", Array.from({ length: L }, (_, i) => [i, `${i}`]), (layer) => put(model, { layer }));
  const heads = choice("Head", [[-1, "all (mean)"], ...Array.from({ length: H }, (_, i) => [i, `${i}`])], (head) => put(model, { head }));
  const scales = switches("Scale", { fixed: "0 to 1", row: "by row" }, (scale) => put(model, { scale }));
  const chips = headChips(view);
  const text = textBox(model);
  const warnings = warningList(view);
  const error = element("p", "warning", "", { role: "alert" });
  const bar = element("div", "bar");
  const ramp = element("span", "ramp", "", { "aria-hidden": "true" });
  bar.append(modes.node, layers.node, heads.node, chips.node, scales.node, ramp);
  const note = element("div", "note", "", { "aria-live": "polite" });
  const stage = element("div", "stage");
  root.append(text.node, error, bar, warnings.node, note, stage, element("div", "help", HELP));

  // What has to be done again: "build" the scene, "paint" it, or only show the "hover".
  const stale = new Set(["build"]);
  let scene, frame, mode, draws = 0;
  function draw() {
    frame = undefined;
    if (!root.isConnected) return; // JupyterLab puts it into the page later; then its size changes, which is heard
    view.colors ??= readColors(root);
    if (!view.read(stale.has("build"))) return;
    const { look } = view;
    if (stale.has("build") || look.mode !== mode) {
      mode = look.mode;
      scene = SCENES[mode](view);
      stage.replaceChildren(scene.node);
      stale.add("paint");
    }
    if (stale.has("paint")) {
      scene.paint();
      showControls();
    }
    scene.hover();
    note.textContent = inWords(view);
    stale.clear();
    const { layer, head, hover, key } = look;
    Object.assign(root.dataset, { ready: "1", layer, head, hover, key, mode, held: view.held, draws: ++draws });
  }
  function showControls() {
    const { layer, head, on } = view.look;
    modes.show(mode);
    scales.show(model.get("scale"));
    layers.select.value = layer;
    heads.select.value = mode === "neuron" ? on[0] : head;
    chips.show(on);
    text.show();
    warnings.show();
    error.textContent = model.get("error");
    const known = model.get("head_size") > 0;
    modes.buttons.neuron.disabled = !known;
    modes.buttons.neuron.title = known ? "q, k and their product" : "q and k are not known: give them, or the model, to the view";
  }
  function again(what) {
    stale.add(what);
    frame ??= requestAnimationFrame(draw);
  }
  view.changed = () => again("hover");

  root.addEventListener("keydown", (event) => {
    if (!event.target.closest("input, select, textarea") && pressed(view, event)) event.preventDefault();
  });
  stage.addEventListener("mouseleave", () => view.aim({}));
  let width = root.clientWidth;
  const resized = new ResizeObserver(() => {
    if (width !== root.clientWidth) again("paint");
    width = root.clientWidth;
  });
  resized.observe(root);
  const ends = [
    onChange(model, ["weights", "tokens", "key_tokens", "shape", "dtype", "vectors"], () => again("build")),
    onChange(model, ["layer", "head", "heads", "mode", "scale", "text", "error", "warnings"], () => again("paint")),
    onChange(model, ["hover", "key"], () => again("hover")),
    onTheme(() => {
      view.colors = undefined;
      again("paint");
    }),
    text.end,
    () => resized.disconnect(),
    () => cancelAnimationFrame(frame),
  ];
  draw();
  return () => ends.forEach((end) => end());
}

export default { render };
