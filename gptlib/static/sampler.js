// The next token's bars: what the model says, and what is left to draw from; Python computes both.

const KS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 2000, 5000];
const LIKELY = [0.01, 0.05, 0.2, 0.5]; // where the color of a taken token changes

const bits = (p) => (p > 0 ? `${(-Math.log2(p)).toFixed(1)} bits` : "more bits than can be said");
const warmth = (p) => `p${LIKELY.filter((edge) => p >= edge).length}`;

/** The sliders: where the knob of each stands for a value, what value a place stands for, and how it is said. */
function sliders(ks) {
  const off = (value, said) => (value === null ? "off" : said);
  return {
    temperature: {
      label: "temperature",
      max: 40,
      place: (value) => Math.round(value * 20),
      value: (place) => place / 20,
      say: (value) => (value === 0 ? "0 (likeliest)" : value.toFixed(2)),
    },
    top_k: {
      label: "top-k",
      max: ks.length,
      place: (value) => (value === null ? ks.length : Math.max(0, ks.filter((k) => k <= value).length - 1)),
      value: (place) => ks[place] ?? null,
      say: (value) => off(value, String(value)),
    },
    top_p: {
      label: "top-p",
      min: 1,
      max: 20,
      place: (value) => (value === null ? 20 : Math.round(value * 20)),
      value: (place) => (place === 20 ? null : place / 20),
      say: (value) => off(value, value?.toFixed(2)),
    },
  };
}

function render({ model, el }) {
  const root = el.appendChild(element("div", "gptlib gptlib-sampler"));
  keepKeys(root);
  const alone = model.get("alone");
  const ends = [typingBox(model, root, "prompt", 1)];
  const text = "This page shows what was saved: a notebook with a running Python is needed to take tokens and to move sliders.";
  if (alone) root.append(element("div", "note alone", text));
  const path = root.appendChild(element("div", "path", "", { dir: "ltr" }));
  const note = root.appendChild(element("div", "note limit"));
  const settings = root.appendChild(element("div", "bar settings"));
  const actions = root.appendChild(element("div", "bar"));
  const sample = actions.appendChild(element("button", "", "", { type: "button" }));
  const undo = actions.appendChild(element("button", "", "undo", { type: "button" }));
  const reset = actions.appendChild(element("button", "", "reset", { type: "button" }));
  const score = actions.appendChild(element("span", "note score"));
  const legend = root.appendChild(element("div", "legend"));
  for (const [kind, text] of [["own", "the model’s own probability"], ["now", "after temperature, top-k and top-p"]]) {
    const entry = legend.appendChild(element("span"));
    entry.append(element("i", kind), text);
  }
  const bars = root.appendChild(element("div", "bars", "", { role: "group", "aria-label": "the likeliest next tokens" }));
  const rest = root.appendChild(element("div", "note rest"));
  const detail = root.appendChild(element("div", "note detail"));
  let active = 0; // the bar that Tab leads to
  let pending = false;

  /** Ask Python to do something to the path that is shown; of two fast clicks it does the first. */
  function ask(what, ...rest) {
    if (alone) return;
    root.dataset.asking = "1";
    model.send({ do: what, with: rest, after: model.get("path").length });
  }

  for (const [name, slider] of Object.entries(sliders(KS.filter((k) => k < model.get("shown").size)))) {
    const setting = settings.appendChild(element("span", "setting"));
    const label = setting.appendChild(element("label", "", slider.label));
    const attributes = { type: "range", min: slider.min ?? 0, max: slider.max, step: 1 };
    const knob = label.appendChild(element("input", "", "", attributes));
    const said = setting.appendChild(element("output"));
    knob.disabled = alone;
    const show = () => {
      const value = model.get(name);
      knob.value = slider.place(value);
      said.textContent = slider.say(value);
      knob.setAttribute("aria-valuetext", said.textContent);
    };
    knob.addEventListener("input", () => put(model, { [name]: slider.value(Number(knob.value)) }));
    ends.push(onChange(model, [name], show));
    show();
  }

  const ended = () => {
    const taken = model.get("shown").path;
    return taken.length > 0 && taken.at(-1)[0] === model.get("shown").end;
  };

  function drawActions() {
    const { path: taken, bits: sum, perplexity } = model.get("shown");
    const over = ended();
    sample.textContent = over ? "the text has ended" : "sample";
    sample.disabled = alone || over;
    undo.disabled = reset.disabled = alone || !taken.length;
    score.textContent = taken.length
      ? `${several(taken.length, "token")} taken · ${sum.toFixed(1)} bits of surprise · perplexity ${perplexity.toFixed(2)}`
      : "take a token with a click, or draw one";
    if (alone && !taken.length) score.textContent = "";
  }

  function drawPath() {
    const { path: taken, end } = model.get("shown");
    const focused = [...path.children].indexOf(document.activeElement);
    const prompt = model.get("prompt");
    const start = prompt.length > 300 ? `…${prompt.slice(-299)}` : prompt;
    path.replaceChildren(element("span", "given", start));
    taken.forEach(([id, shown, bytes, p], index) => {
      const chip = fill(element("button", id === end ? "special" : warmth(p), "", { type: "button" }), shown);
      const says = `“${shown.join("")}” · id ${id} · ${percent(p)} by the model · ${bits(p)} of surprise`;
      chip.dataset.says = alone ? says : `${says} · click to go back to here`;
      chip.setAttribute("aria-label", chip.dataset.says);
      if (alone) chip.setAttribute("aria-disabled", "true");
      chip.addEventListener("click", () => ask("keep", index + 1));
      path.append(chip);
      breakLines(path, bytes);
    });
    if (focused >= 0) path.children[Math.min(focused, path.children.length - 1)].focus();
  }

  function drawBars() {
    const { bars: rows, rest: others, end } = model.get("shown");
    while (bars.children.length > rows.length) bars.lastChild.remove();
    while (bars.children.length < rows.length) {
      const row = bars.appendChild(element("button", "row", "", { type: "button", tabindex: -1 }));
      row.dataset.index = bars.children.length - 1;
      if (alone) row.setAttribute("aria-disabled", "true");
      row.append(element("span", "token"), element("span", "track"), element("span", "numbers"));
      row.children[1].append(element("i", "own"), element("i", "now"));
    }
    const longest = Math.max(1e-9, ...rows.map(([, , , own, now]) => Math.max(own, now)));
    rows.forEach(([id, shown, , own, now, kept], index) => {
      const row = bars.children[index];
      const [token, track, numbers] = row.children;
      token.replaceChildren();
      fill(token, shown);
      token.classList.toggle("special", id === end);
      track.children[0].style.width = `${(100 * own) / longest}%`;
      track.children[1].style.width = `${(100 * now) / longest}%`;
      row.classList.toggle("cut", !kept);
      numbers.textContent = `${percent(own)} → ${kept ? percent(now) : "cut"}`;
      const takes = id === end ? ", which ends the text" : "";
      const drawn = kept ? `drawn with ${percent(now)}` : "cut away";
      row.setAttribute("aria-label", `${shown.join("")}${takes}, ${percent(own)} by the model, ${drawn}`);
      Object.assign(row.dataset, { id });
    });
    active = Math.max(0, Math.min(active, rows.length - 1));
    [...bars.children].forEach((row, index) => (row.tabIndex = index === active ? 0 : -1));
    const [n, own, now, kept] = others;
    const more = n ? `${several(n, "other token")}: ${percent(own)} → ${percent(now)} together; ` : "";
    rest.textContent = rows.length ? `${more}the filters keep ${several(kept, "token")}` : "The text has ended: undo, or reset.";
  }

  function drawHover() {
    const { bars: rows, end } = model.get("shown");
    const index = model.get("hover");
    [...bars.children].forEach((row, i) => row.classList.toggle("here", i === index));
    root.dataset.hover = rows[index] ? index : -1;
    detail.textContent = "point at a token to see its id and how likely it is";
    if (!rows[index]) return;
    const [id, shown, bytes, own] = rows[index];
    const then = id === end ? "taking it ends the text" : "click to take it";
    detail.textContent = `“${shown.join("")}” · id ${id} · bytes ${hex(bytes)} · ${bits(own)} of surprise`;
    if (!alone) detail.textContent += ` · ${then}`;
  }

  function draw() {
    pending = false;
    drawActions();
    drawPath();
    drawBars();
    drawHover();
    note.textContent = model.get("shown").note;
    note.hidden = !note.textContent;
    legend.hidden = !model.get("shown").bars.length;
    root.dataset.path = model.get("shown").path.map(([id]) => id).join(" ");
    root.dataset.draws = Number(root.dataset.draws ?? 0) + 1;
  }

  /** Several traits may change at once: draw once. */
  function soon() {
    if (!pending) queueMicrotask(draw);
    pending = true;
  }

  const tell = (event) => {
    const says = event.target.closest?.("[data-says]")?.dataset.says;
    if (says) detail.textContent = says;
    else drawHover();
  };
  for (const event of ["pointerover", "pointerleave", "focusin", "focusout"]) path.addEventListener(event, tell);
  const place = (event) => Number(event.target.closest?.(".row")?.dataset.index ?? -1);
  const point = (index) => model.get("hover") !== index && put(model, { hover: index });
  sample.addEventListener("click", () => ask("sample"));
  undo.addEventListener("click", () => ask("undo"));
  reset.addEventListener("click", () => ask("reset"));
  bars.addEventListener("click", (event) => place(event) >= 0 && ask("take", model.get("shown").bars[place(event)][0]));
  bars.addEventListener("pointerover", (event) => point(place(event)));
  bars.addEventListener("pointerleave", () => point(-1));
  bars.addEventListener("focusin", (event) => {
    if (bars.children[active]) bars.children[active].tabIndex = -1;
    active = place(event);
    bars.children[active].tabIndex = 0;
    point(active);
  });
  bars.addEventListener("focusout", () => point(-1));
  bars.addEventListener("keydown", (event) => {
    const last = bars.children.length - 1;
    const to = { ArrowUp: active - 1, ArrowDown: active + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    bars.children[Math.max(0, Math.min(last, to))].focus();
  });

  ends.push(
    onChange(model, ["shown", "prompt"], soon),
    onChange(model, ["hover"], () => pending || drawHover()),
    onChange(model, ["answered"], () => delete root.dataset.asking),
  );
  draw();
  root.dataset.ready = "1";
  return () => {
    for (const end of ends) end();
  };
}

export default { render };
