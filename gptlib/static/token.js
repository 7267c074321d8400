// The tokens of a text and the merges that made them: `parts.pieces` holds every token that was ever there, each with
// the step that makes it and the one that uses it up.

/** Where a token holds part of a character, in words; "" if it holds whole ones. */
function broken(wide, start, end) {
  for (const [begin, size, shown] of wide) {
    const from = Math.max(start, begin) - begin;
    const to = Math.min(end, begin + size) - begin;
    if (from >= to || to - from === size) continue;
    const which = to - from === 1 ? `byte ${to}` : `bytes ${from + 1} to ${to}`;
    return `${which} of the ${size} of ${shown}`;
  }
  return "";
}

function render({ model, el }) {
  const root = el.appendChild(element("div", "gptlib gptlib-token"));
  keepKeys(root);
  const endTyping = typingBox(model, root, "text");
  const bar = root.appendChild(element("div", "bar"));
  const play = bar.appendChild(element("button", "play", "▶ play", { type: "button" }));
  const sliding = bar.appendChild(element("label", "", "merges learned"));
  const slider = sliding.appendChild(element("input", "", "", { type: "range", min: 0, step: 1 }));
  const learned = bar.appendChild(element("output"));
  const merge = root.appendChild(element("div", "note merge"));
  const box = root.appendChild(element("div", "tokens", "", { role: "listbox", "aria-label": "tokens", dir: "ltr" }));
  box.setAttribute("aria-orientation", "horizontal");
  const detail = root.appendChild(element("div", "note detail"));
  const counts = root.appendChild(element("div", "note counts"));
  const left = root.appendChild(element("div", "note left"));
  let row = []; // the pieces that are shown
  let active = 0; // the one that Tab leads to
  let moved = false;
  let timer = 0;
  let pending = false;

  const stepNow = () => Math.min(model.get("step"), model.get("parts").merges.length);
  const place = (event) => Number(event.target.closest?.("[role=option]")?.dataset.index ?? -1);

  function drawTokens() {
    const { kinds, pieces } = model.get("parts");
    const step = stepNow();
    const last = model.get("parts").merges.length;
    const focused = box.contains(document.activeElement);
    row = pieces.filter(([, , born, died]) => born <= step && step < died);
    const ends = pieces.filter(([, , , died]) => died > last).map(([start]) => start);
    let end = 0;
    const made = row.map(([start, kind, born], index) => {
      while (ends[end + 1] <= start) end += 1; // tokens that will be one have one color
      const [id, shown, , special] = kinds[kind];
      const token = fill(element("span", "token", "", { role: "option", tabindex: -1 }), shown);
      token.classList.add(special ? "special" : `tint${end % 5}`);
      if (born && born === step && (moved || step < last)) token.classList.add("fresh");
      Object.assign(token.dataset, { index, id });
      return token;
    });
    box.replaceChildren();
    made.forEach((token, index) => {
      box.append(token);
      breakLines(box, kinds[row[index][1]][2]);
    });
    box.classList.toggle("settled", step === last);
    box.hidden = !made.length;
    active = Math.max(0, Math.min(active, made.length - 1));
    if (made.length) made[active].tabIndex = 0;
    if (focused) made[active]?.focus();
  }

  function drawWords() {
    const { merges, whole, learned: all, left: sentence } = model.get("parts");
    const step = stepNow();
    const bytes = whole[1];
    bar.hidden = merge.hidden = !all;
    slider.max = merges.length;
    slider.value = step;
    slider.disabled = play.disabled = !merges.length;
    const first = merges[step - 1];
    const n = step === merges.length ? all : step ? first[0] + 1 : 0;
    learned.textContent = `${grouped(n)} of ${grouped(all)}`;
    merge.textContent = !step
      ? "no merge yet: every byte is a token"
      : `merge ${first[0]}: “${first[1]}” + “${first[2]}”, in ${several(first[3], "place")}` +
        (step === merges.length ? "; no merge after it fits" : "");
    slider.setAttribute("aria-valuetext", `${learned.textContent}, ${merge.textContent}`);
    const size = sentence ? row.reduce((sum, [, kind]) => sum + model.get("parts").kinds[kind][2].length / 2, 0) : bytes;
    const each = row.length ? `, ${(size / row.length).toFixed(2)} bytes per token` : "";
    counts.textContent = `${several(row.length, "token")}, ${several(size, "byte")}${each}`;
    left.textContent = sentence;
    left.hidden = !sentence;
  }

  function describe(index) {
    const { kinds, wide } = model.get("parts");
    const [start, kind] = row[index];
    const [id, shown, bytes, special] = kinds[kind];
    const size = bytes.length / 2;
    const same = row.filter((other) => other[1] === kind).length;
    const what = special ? "special token" : broken(wide, start, start + size);
    return [
      `“${shown.join("")}”`,
      `id ${id}`,
      `${size === 1 ? "byte" : `${size} bytes`} ${hex(bytes)}`,
      ...(what ? [what] : []),
      `token ${index + 1} of ${row.length}`,
      ...(same > 1 ? [`${same} times here`] : []),
    ].join(" · ");
  }

  function drawHover() {
    const index = model.get("hover");
    const kind = row[index]?.[1];
    for (const token of box.querySelectorAll("[role=option]")) {
      const i = Number(token.dataset.index);
      token.classList.toggle("here", i === index);
      token.classList.toggle("same", kind !== undefined && i !== index && row[i][1] === kind);
    }
    detail.textContent = row[index] ? describe(index) : "";
    if (!row[index] && row.length) detail.textContent = "point at a token to see its id and its bytes";
    root.dataset.hover = row[index] ? index : -1;
  }

  function draw() {
    pending = false;
    drawTokens();
    drawWords();
    drawHover();
    root.dataset.step = stepNow();
    root.dataset.tokens = row.length;
    root.dataset.draws = Number(root.dataset.draws ?? 0) + 1;
  }

  /** Several traits may change at once: draw once. */
  function soon() {
    if (!pending) queueMicrotask(draw);
    pending = true;
  }

  const point = (index) => model.get("hover") !== index && put(model, { hover: index });
  const go = (step) => {
    moved = true;
    put(model, { step, hover: -1 });
  };

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "▶ play";
    play.setAttribute("aria-pressed", "false");
  }

  play.addEventListener("click", () => {
    if (timer) return stop();
    const n = model.get("parts").merges.length;
    if (stepNow() === n) go(0);
    play.textContent = "❚❚ pause";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      if (stepNow() < model.get("parts").merges.length) go(stepNow() + 1);
      if (stepNow() === model.get("parts").merges.length) stop();
    }, Math.max(120, Math.min(700, 12000 / n)));
    return undefined;
  });
  slider.addEventListener("input", () => {
    stop();
    go(Number(slider.value));
  });
  box.addEventListener("pointerover", (event) => place(event) >= 0 && point(place(event)));
  box.addEventListener("pointerleave", () => point(-1));
  box.addEventListener("focusin", (event) => {
    const tokens = box.querySelectorAll("[role=option]");
    if (tokens[active]) tokens[active].tabIndex = -1;
    active = place(event);
    tokens[active].tabIndex = 0;
    point(active);
  });
  box.addEventListener("focusout", () => point(-1));
  box.addEventListener("keydown", (event) => {
    const last = row.length - 1;
    const to = { ArrowLeft: active - 1, ArrowRight: active + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    box.querySelectorAll("[role=option]")[Math.max(0, Math.min(last, to))].focus();
  });

  const ends = [onChange(model, ["parts", "step"], soon), onChange(model, ["hover"], () => pending || drawHover())];
  draw();
  root.dataset.ready = "1";
  return () => {
    stop();
    endTyping();
    for (const end of ends) end();
  };
}

export default { render };
