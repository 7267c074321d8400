// Stands in front of each widget's own script: what all of them need, and nothing from outside.

/** A new element; text is only ever text. */
function element(tag, className = "", text = "", attributes = {}) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== "") made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** The bytes of a trait, copied, since a typed array of wider numbers needs them aligned. */
function bytesOf(view) {
  return new Uint8Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

/** The color that a variable such as "--ink" has here now, as "rgb(...)", for a canvas. */
function colorOf(el, variable) {
  const probe = el.appendChild(element("i", "", "", { style: `display:none; color:var(${variable})` }));
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

/** Call back when light turns to dark or dark to light; gives a function that ends it. */
function onTheme(callback) {
  const media = matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(callback);
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  media.addEventListener("change", callback);
  return () => {
    observer.disconnect();
    media.removeEventListener("change", callback);
  };
}

/** Call back when one of these traits changes; gives a function that ends it. */
function onChange(model, names, callback) {
  const events = names.map((name) => `change:${name}`);
  for (const event of events) model.on(event, callback);
  return () => {
    for (const event of events) model.off(event, callback);
  };
}

/** Keys without Ctrl, Alt or Meta are for the view alone: JupyterLab takes an arrow, or "x", for one of its shortcuts. */
function keepKeys(root) {
  root.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.altKey && !event.metaKey) event.stopPropagation();
  });
}

/** Set traits and tell Python. */
function put(model, values) {
  for (const [name, value] of Object.entries(values)) model.set(name, value);
  model.save_changes();
}

/** Give a canvas its size in CSS pixels, sharp on any screen; gives the context to draw with. */
function sized(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

/** Put what a token shows into an element: ordinary text and signs in turn. */
function fill(el, parts) {
  const inner = el.appendChild(element("bdi"));
  parts.forEach((text, i) => text && inner.append(i % 2 ? element("i", "sign", text) : text));
  return el;
}

/** A number to be read, as in "1,200". */
const grouped = (n) => n.toLocaleString("en");

/** A probability to be read. */
const percent = (p) => (p === 0 || p >= 0.001 ? `${(100 * p).toFixed(1)} %` : "< 0.1 %");

/** A number with its noun, as in "1 token" and "1,200 tokens". */
const several = (n, noun) => `${grouped(n)} ${noun}${n === 1 ? "" : "s"}`;

/** Bytes that came as "c3a9", to be read: "C3 A9". */
const hex = (bytes) => bytes.toUpperCase().replace(/..(?=.)/g, "$& ");

/** Break the line as often as a token does, given its bytes; of several empty lines one is enough. */
function breakLines(el, bytes) {
  const ends = bytes.match(/../g).filter((byte) => byte === "0a").length;
  for (let i = 0; i < Math.min(ends, 2); i += 1) el.append(element("br"));
}

/** A box to type in: Python gets it as `typed`, says what is wrong with it in `problem`, and counts its answers. */
function typingBox(model, root, label, rows = 2) {
  const frame = root.appendChild(element("label", "typing"));
  frame.append(element("span", "", label));
  const box = frame.appendChild(element("textarea", "", "", { rows, spellcheck: "false" }));
  const problem = root.appendChild(element("div", "warning", "", { role: "status" }));
  box.readOnly = model.get("alone");
  let timer = 0;
  const ask = () => (box.value === model.get("typed") ? answered() : put(model, { typed: box.value }));
  const answered = () => {
    if (box.value === model.get("typed")) delete root.dataset.waiting;
  };
  const show = () => {
    if (!root.dataset.waiting) box.value = model.get("typed");
    problem.textContent = model.get("problem");
    problem.hidden = !problem.textContent;
  };
  box.addEventListener("input", () => {
    root.dataset.waiting = "1";
    clearTimeout(timer);
    timer = setTimeout(ask, 150); // so that not every key is a question
  });
  const ends = [onChange(model, ["typed", "problem"], show), onChange(model, ["answered"], answered)];
  show();
  return () => {
    clearTimeout(timer);
    for (const end of ends) end();
  };
}
