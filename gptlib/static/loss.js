const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 330, LEFT = 48, TOP = 16, BOTTOM = 42;
const HUGE = 1e100; // a loss beyond it is marked as one that is no number: no axis reaches so far
const LOSSES = [["train", "training", 1.3], ["val", "validation", 2.6]]; // key, what it is called, width of the line

function shape(tag, className, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, tag);
  if (className) made.setAttribute("class", className);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== "") made.textContent = text;
  return made;
}

const drawable = (value) => Math.abs(value) <= HUGE;
function say(value) {
  if (value === null || !Number.isFinite(value)) return value === null ? "" : String(value);
  return Math.abs(value) < 1e6 ? value.toFixed(value < 10 ? 3 : 1) : value.toExponential(3).replace("+", "");
}

/** The runs with their points: numbers that JSON cannot hold come as words. */
function readRuns(model) {
  const number = (value) => (value === null ? null : Number(value));
  const hidden = new Set(model.get("hidden"));
  const runs = model.get("names").map((name, i) => (
    { name, color: `--run: var(--run-${i % 6})`, on: !hidden.has(name), points: [] }
  ));
  for (const [run, step, train, val, sample] of [...model.get("past"), ...model.get("recent")])
    runs[run]?.points.push({ step, train: number(train), val: number(val), sample });
  return runs;
}

/** Round numbers from low to high, about so many. */
function roundTicks(low, high, about) {
  const raw = (high - low) / about, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const ticks = []; // plus 0, since Math.ceil may give -0, and that would be written so
  for (let n = Math.ceil(low / step - 1e-9) + 0; n * step <= high + 1e-9 * step; n++) ticks.push(n * step);
  return { ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

/** Where labels stand that belong to these places: in their order, a gap apart, and above the bottom. */
function spread(places, gap, low, high) {
  const order = places.map((_, i) => i).sort((a, b) => places[a] - places[b]);
  const moved = [...places];
  let at = low - gap;
  for (const i of order) at = moved[i] = Math.max(places[i], at + gap);
  at = high + gap;
  for (const i of order.reverse()) at = moved[i] = Math.min(moved[i], at - gap);
  return moved;
}

const nameOf = ({ name, level }) => `${name} ${level.toFixed(2)}`;

/** What the picture has and where: the points from the first step on, the levels, the two scales. */
function layOut(model, width) {
  const first = model.get("first"), log = model.get("log_steps");
  const runs = readRuns(model);
  for (const run of runs) run.shown = run.on ? run.points.filter((point) => point.step >= first) : [];
  const steps = [...new Set(runs.flatMap((run) => run.shown.map((point) => point.step)))].sort((a, b) => a - b);
  const values = runs.flatMap((run) => run.shown.flatMap((point) => [point.train, point.val]));
  const known = values.filter((value) => value !== null && drawable(value));
  const levels = Object.entries(model.get("lines")).map(([name, level]) => ({ name, level }));
  const tight = first > 0 && known.length > 0; // a part of the curve is looked at: far levels do not squeeze it
  const [bottom, top] = tight ? [Math.min(...known), Math.max(...known)] : [-Infinity, Infinity];
  const around = tight ? 0.2 * (top - bottom) : 0;
  const near = levels.filter(({ level }) => level >= bottom - around && level <= top + around);
  const all = [...known, ...near.map(({ level }) => level)];
  let low = all.length ? Math.min(...all) : 0, high = all.length ? Math.max(...all) : 1;
  const apart = high - low > 1e-9 * Math.abs(high); // or no number between them can be told from both
  const margin = 0.05 * (apart ? high - low : Math.abs(high) || 1);
  [low, high] = [low - margin, high + margin];
  const longest = Math.max(0, ...levels.map((level) => nameOf(level).length)); // at the right, some 7 pixels a letter
  const right = width - (longest ? Math.min(160, 24 + 7 * longest) : 20);
  const scaled = (step) => (log ? Math.log10(1 + step) : step);
  const start = scaled(steps[0] ?? 0), end = scaled(steps.at(-1) ?? 1), span = end - start || 1;
  const x = (step) => LEFT + 8 + ((scaled(step) - start) / span) * (right - LEFT - 16);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - BOTTOM - TOP);
  const far = levels.filter((level) => !near.includes(level));
  return { width, runs, steps, near, far, low, high, right, log, x, y };
}

/** Ticks for the steps, far enough from one another to be read. */
function stepTicks({ steps, log, x, right }) {
  if (!steps.length) return [];
  const low = steps[0], high = steps.at(-1);
  if (low === high) return [low];
  if (!log) return roundTicks(low, high, Math.max(1, Math.min(6, (right - LEFT) / 80))).ticks.filter(Number.isInteger);
  const powers = [0];
  for (let power = 1; power <= high; power *= 10) powers.push(power, 2 * power, 5 * power);
  const kept = [];
  for (const tick of powers.filter((n) => n >= low && n <= high))
    if (!kept.length || x(tick) - x(kept.at(-1)) > 38) kept.push(tick);
  return kept;
}

function drawAxes(svg, plan) {
  const { low, high, right, y, x } = plan;
  const { ticks, digits } = roundTicks(low, high, 9);
  const short = digits < 5 && Math.max(-low, high) < 1e5;
  const said = (tick) => (short ? tick.toFixed(digits) : tick.toExponential(1).replace("+", ""));
  for (const tick of ticks) {
    svg.append(shape("line", "grid", { x1: LEFT, x2: right, y1: y(tick), y2: y(tick) }));
    svg.append(shape("text", "", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, said(tick)));
  }
  const floor = HEIGHT - BOTTOM;
  svg.append(shape("line", "axis", { x1: LEFT, x2: right, y1: floor, y2: floor }));
  for (const tick of stepTicks(plan)) {
    svg.append(shape("line", "axis", { x1: x(tick), x2: x(tick), y1: floor, y2: floor + 4 }));
    svg.append(shape("text", "", { x: x(tick), y: floor + 17, "text-anchor": "middle" }, grouped(tick)));
  }
  const middle = (LEFT + right) / 2;
  const scale = plan.log ? "updates, on a logarithmic scale" : "updates";
  svg.append(shape("text", "", { x: middle, y: HEIGHT - 6, "text-anchor": "middle" }, scale));
  const turn = `translate(11 ${(TOP + floor) / 2}) rotate(-90)`;
  if (short) // the long numbers leave no room for it
    svg.append(shape("text", "", { transform: turn, "text-anchor": "middle" }, "loss, nats per token"));
}

function drawLevels(svg, { near, right, y }) {
  const places = spread(near.map(({ level }) => y(level)), 16, TOP, HEIGHT - BOTTOM);
  near.forEach((line, i) => {
    const { name, level } = line;
    svg.append(shape("line", "level", { x1: LEFT, x2: right, y1: y(level), y2: y(level) }));
    svg.append(shape("path", "leader", { d: `M${right} ${y(level)}L${right + 12} ${places[i]}` }));
    const label = { x: right + 16, y: places[i] + 4, "data-level": name };
    svg.append(shape("text", "level-name", label, nameOf(line)));
  });
}

function drawCurves(svg, { runs, x, y }) {
  for (const run of runs) {
    for (const [key, , width] of LOSSES) {
      const group = svg.appendChild(shape("g", "run", { style: run.color }));
      let path = "", on = false;
      for (const point of run.shown) {
        const value = point[key];
        if (value === null) continue; // this record says nothing about it
        if (drawable(value)) {
          path += `${on ? "L" : "M"}${x(point.step).toFixed(1)} ${y(value).toFixed(1)}`;
          if (run.shown.length < 200)
            group.append(shape("circle", "dot", { cx: x(point.step), cy: y(value), r: width }));
        } else {
          const at = x(point.step), mark = `M${at - 4} ${TOP - 4}l8 8m0 -8l-8 8`;
          group.append(shape("path", "broken", { d: mark }));
        }
        on = drawable(value);
      }
      if (path) group.append(shape("path", "curve", { d: path, "stroke-width": width }));
    }
  }
}

/** The point of a run at a step, or the nearest one. */
function nearest(points, step) {
  let best = null;
  for (const point of points) if (!best || Math.abs(point.step - step) < Math.abs(best.step - step)) best = point;
  return best;
}

function render({ model, el }) {
  const root = element("div", "gptlib gptlib-loss", "", { role: "group", "aria-label": "curves of the loss" });
  keepKeys(root);
  const heading = element("div", "title"), bar = element("div", "bar"), runButtons = element("div", "bar runs");
  const log = element("input", "", "", { type: "checkbox" });
  const logLabel = element("label");
  logLabel.append(log, "logarithmic steps");
  const from = element("input", "", "", { type: "range", min: 0, step: 1 });
  const fromStep = element("output");
  const fromLabel = element("label");
  fromLabel.append("look from step", from, fromStep);
  const key = element("span", "note", "thin: training, thick: validation");
  bar.append(logLabel, fromLabel, key);
  const plot = element("div", "plot", "", { tabindex: 0, role: "slider", "aria-label": "step", "aria-valuemin": 0 });
  const svg = plot.appendChild(shape("svg", "", { "aria-hidden": "true" }));
  const far = element("div", "note far");
  const warning = element("div", "warning"), table = element("table");
  const sample = element("div", "sample"), sampleStep = element("b"), sampleText = element("span");
  sample.append(sampleStep, sampleText);
  root.append(heading, runButtons, bar, plot, far, warning, table, sample);
  el.append(root);

  let plan, marks, asked = 0, draws = 0;

  function drawRunButtons() {
    runButtons.hidden = plan.runs.length < 2;
    while (runButtons.children.length > plan.runs.length) runButtons.lastChild.remove();
    plan.runs.forEach((run, i) => { // an existing button stays: it may have the focus
      const button = runButtons.children[i] ?? runButtons.appendChild(element("button", "", "", { type: "button" }));
      button.replaceChildren(element("span", "swatch"), run.name);
      button.setAttribute("style", run.color);
      button.setAttribute("aria-pressed", run.on);
      button.onclick = () => {
        const hidden = model.get("hidden").filter((name) => name !== run.name);
        put(model, { hidden: run.on ? [...hidden, run.name] : hidden });
      };
    });
  }

  function drawControls() {
    log.checked = model.get("log_steps");
    const steps = [...new Set(plan.runs.flatMap((run) => run.points.map((point) => point.step)))].sort((a, b) => a - b);
    const last = Math.max(0, steps.length - 2); // two points, at least, stay in the picture
    const at = steps.findIndex((step) => step >= model.get("first"));
    from.max = last;
    from.value = at < 0 ? last : at;
    from.disabled = last === 0;
    fromStep.textContent = grouped(model.get("first"));
    from.setAttribute("aria-valuetext", `step ${model.get("first")}`);
    from.oninput = () => put(model, { first: Number(from.value) ? steps[from.value] : 0 });
  }

  function draw() {
    asked = 0;
    plan = layOut(model, plot.clientWidth || 760);
    svg.setAttribute("viewBox", `0 0 ${plan.width} ${HEIGHT}`); // so that a letter is as large in a narrow cell
    svg.replaceChildren();
    drawAxes(svg, plan);
    drawLevels(svg, plan);
    drawCurves(svg, plan);
    if (!plan.steps.length) {
      const words = plan.runs.some((run) => run.points.length)
        ? "nothing to show here: switch a run on, or look from an earlier step"
        : model.get("alone") ? "no records" : "no records yet: the curves grow here while a model is trained";
      svg.append(shape("text", "", { x: (LEFT + plan.right) / 2, y: HEIGHT / 2, "text-anchor": "middle" }, words));
    }
    marks = svg.appendChild(shape("g", "marks"));
    heading.textContent = model.get("title");
    heading.hidden = !model.get("title");
    far.hidden = !plan.far.length;
    const names = plan.far.map((line) => `${nameOf(line)} ${line.level > plan.high ? "↑" : "↓"}`);
    far.textContent = `out of the picture: ${names.join(", ")}`;
    warning.textContent = model.get("warning");
    warning.hidden = !model.get("warning");
    drawRunButtons();
    drawControls();
    drawHover();
    root.dataset.points = plan.runs.reduce((sum, run) => sum + run.points.length, 0);
    root.dataset.draws = ++draws;
  }

  /** Draw once, however many traits have changed; a page that nobody sees may be without frames. */
  function later() {
    if (!asked) asked = setTimeout(draw, 0);
  }

  function drawHover() {
    const { runs, steps, x, y } = plan, asked = model.get("hover");
    const on = asked >= 0 && steps.length > 0;
    const step = on ? steps.reduce((a, b) => (Math.abs(b - asked) < Math.abs(a - asked) ? b : a)) : steps.at(-1);
    marks.replaceChildren();
    if (on) marks.append(shape("line", "guide", { x1: x(step), x2: x(step), y1: TOP, y2: HEIGHT - BOTTOM }));
    const rows = [];
    let said = null;
    for (const run of runs) {
      const point = on ? nearest(run.shown, step) : run.shown.at(-1);
      if (!point) continue;
      const row = element("tr", "", "", { style: run.color });
      const name = element("th", "", "", { scope: "row" });
      name.append(element("span", "swatch"), run.name);
      row.append(name, element("td", "", grouped(point.step)));
      for (const [key] of LOSSES) row.append(element("td", key, say(point[key])));
      rows.push(row);
      if (on)
        for (const [key] of LOSSES)
          if (drawable(point[key]) && point[key] !== null)
            marks.append(shape("circle", "ring", { cx: x(point.step), cy: y(point[key]), r: 5 }));
      const written = run.shown.filter((point) => point.sample && point.step <= step).at(-1);
      if (written && (!said || written.step >= said.step)) said = { ...written, run };
    }
    const head = element("tr");
    for (const text of ["run", "step", "training loss", "validation loss"])
      head.append(element("th", "", text, { scope: "col" }));
    const top = element("thead"), body = element("tbody");
    top.append(head);
    body.append(...rows);
    table.replaceChildren(top, body);
    table.hidden = !rows.length;
    sample.hidden = !said;
    if (said) {
      sample.setAttribute("style", said.run.color);
      sampleStep.textContent = `${runs.length > 1 ? `${said.run.name}, ` : ""}step ${grouped(said.step)} writes`;
      sampleText.textContent = said.sample;
    }
    const at = Math.max(0, steps.indexOf(step));
    plot.setAttribute("aria-valuemax", Math.max(0, steps.length - 1));
    plot.setAttribute("aria-valuenow", at);
    const words = rows.map((row) => [...row.children].map((cell) => cell.textContent).join(" "));
    plot.setAttribute("aria-valuetext", words.join("; ") || "no records");
    root.dataset.hover = on ? step : -1;
  }

  const hoverAt = (step) => { if (step !== model.get("hover")) put(model, { hover: step }); };
  function onMove(event) {
    if (!plan.steps.length) return;
    const box = svg.getBoundingClientRect(), at = ((event.clientX - box.left) / box.width) * plan.width;
    const apart = (step) => Math.abs(plan.x(step) - at);
    hoverAt(plan.steps.reduce((a, b) => (apart(b) < apart(a) ? b : a)));
  }
  function onKey(event) {
    const { steps } = plan, now = steps.indexOf(Number(root.dataset.hover));
    const at = now < 0 ? steps.length : now; // the first key to the left gives the last step
    const to = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, Home: 0, End: steps.length - 1 };
    if (event.key === "Escape") hoverAt(-1);
    else if (event.key in to && steps.length) hoverAt(steps[Math.min(Math.max(to[event.key], 0), steps.length - 1)]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  plot.addEventListener("pointermove", onMove);
  plot.addEventListener("pointerleave", () => hoverAt(-1));
  plot.addEventListener("keydown", onKey);
  log.addEventListener("change", () => put(model, { log_steps: log.checked }));

  draw();
  const resized = new ResizeObserver(() => plot.clientWidth && plot.clientWidth !== plan.width && later());
  resized.observe(plot);
  const ends = [
    onChange(model, ["past", "recent", "names", "lines", "title", "warning", "first", "log_steps", "hidden"], later),
    onChange(model, ["hover"], () => drawHover()),
  ];
  root.dataset.ready = "1";
  return () => {
    clearTimeout(asked);
    resized.disconnect();
    for (const end of ends) end();
    root.remove();
  };
}

export default { render };
