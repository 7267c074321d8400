const COLORS = [
  ["guess", "the probability of the guess"],
  ["next", "the probability of the token that comes next"],
  ["rank", "the rank of the token that comes next"],
];

/** The table in typed arrays, and functions that read a cell. */
function read(model) {
  const floats = (name) => new Float32Array(bytesOf(model.get(name)).buffer);
  const ints = (name) => new Int32Array(bytesOf(model.get(name)).buffer);
  const tokens = model.get("tokens"), rows = model.get("rows"), top = model.get("top"), limit = model.get("limit");
  const vocabulary = model.get("vocabulary"), guesses = ints("guesses"), shares = floats("shares");
  const nextShares = floats("next_shares"), nextRanks = ints("next_ranks"), right = ints("right");
  const places = tokens.length;
  function cell(row, place) {
    const start = (row * places + place) * top, at = row * (places - 1) + place;
    const guess = (k) => ({ token: vocabulary[guesses[start + k]], share: shares[start + k] });
    const known = place + 1 < places;
    return {
      guesses: Array.from({ length: top }, (_, k) => guess(k)),
      first: guess(0),
      right: known ? right[at] : -1, // which guess is what comes next
      next: known ? { token: tokens[place + 1], share: nextShares[at], rank: nextRanks[at] } : null,
    };
  }
  return { tokens, rows, limit, cell };
}

/** What a cell shows below its guess, and how strong its colour is, from 0 to 1. */
function strength({ first, next }, color, limit) {
  if (color === "guess") return [percent(first.share), first.share];
  if (!next) return ["", 0];
  if (color === "next") return [percent(next.share), next.share];
  return [`rank ${grouped(next.rank)}`, 1 - Math.log(next.rank) / Math.log(Math.max(limit, 2))];
}

/** A line with a name, a bar and a number. */
function barOf(name, share, text, className = "") {
  const line = element("div", `row ${className}`), track = element("div", "track");
  track.append(element("div", "fill", "", { style: `width:${(100 * share).toFixed(2)}%` }));
  line.append(element("span", "token", name), track, element("span", "", text));
  return line;
}

function render({ model, el }) {
  const root = element("div", "gptlib gptlib-lens", "", { role: "group", "aria-label": "what each layer would say" });
  keepKeys(root);
  const heading = element("div", "title"), bar = element("div", "bar"), label = element("label", "", "colour by ");
  const select = element("select");
  for (const [value, text] of COLORS) select.append(element("option", "", text, { value }));
  label.append(select);
  bar.append(label, element("span", "note", "✓ and a frame: the guess is the token that comes next"));
  const scroll = element("div", "scroll"), table = scroll.appendChild(element("table", "table"));
  table.setAttribute("role", "grid");
  table.setAttribute("aria-label", "the top guess of each layer, at each place");
  const inside = element("div", "inside");
  root.append(heading, bar, scroll, inside);
  el.append(root);

  let data, cells, heads, marked = [-1, -1], draws = 0;

  function build() {
    data = read(model);
    const { tokens, rows } = data;
    const head = element("tr"), body = element("tbody"), last = element("tr");
    head.append(element("th", "", "reads", { scope: "row" }));
    heads = tokens.map((token, place) => {
      const th = element("th", "", "", { scope: "col" });
      th.append(element("span", "token", token), element("small", "", String(place)));
      return head.appendChild(th);
    });
    cells = rows.map((name, row) => {
      const tr = body.appendChild(element("tr"));
      tr.append(element("th", "", name, { scope: "row" }));
      return tokens.map((_, place) => {
        const td = tr.appendChild(element("td", "", "", { "data-row": row, "data-place": place, tabindex: -1 }));
        td.append(element("span", "token", data.cell(row, place).first.token), element("small"));
        return td;
      });
    });
    last.append(element("th", "", "comes next", { scope: "row" }));
    tokens.forEach((_, place) => {
      const th = element("th");
      th.append(element("span", "token", tokens[place + 1] ?? "?"));
      last.append(th);
    });
    const top = element("thead"), foot = element("tfoot");
    top.append(head);
    foot.append(last);
    table.replaceChildren(top, body, foot);
    cells.at(-1)[0].tabIndex = 0;
    heading.textContent = model.get("title");
    heading.hidden = !model.get("title");
    root.style.setProperty("--inside", `${2.2 + 1.45 * Math.max(model.get("top"), rows.length)}em`);
    marked = [-1, -1];
    paint();
    mark();
  }

  function paint() {
    const color = model.get("color");
    select.value = color;
    cells.forEach((line, row) => line.forEach((td, place) => {
      const cell = data.cell(row, place), [text, share] = strength(cell, color, data.limit);
      td.className = cell.right === 0 ? "right" : "";
      td.style.setProperty("--share", `${(100 * share).toFixed(1)}%`);
      td.lastChild.textContent = (cell.right === 0 ? "✓ " : "") + text;
    }));
    root.dataset.color = color;
    root.dataset.draws = ++draws;
    if (marked[0] >= 0) cells[marked[0]][marked[1]].classList.add("on");
  }

  /** Mark the cell of `hover` and show what is inside of it. */
  function mark() {
    const [row, place] = model.get("hover");
    const on = cells[row]?.[place] !== undefined;
    if (marked[0] >= 0) {
      cells[marked[0]][marked[1]].classList.remove("on");
      heads[marked[1]].classList.remove("on");
    }
    marked = on ? [row, place] : [-1, -1];
    root.dataset.hover = marked.join(",");
    if (!on) {
      inside.replaceChildren(element("p", "note", "Point at a cell, or go there with Tab and the arrow keys."));
      return;
    }
    cells[row][place].classList.add("on");
    heads[place].classList.add("on");
    const { guesses, right, next } = data.cell(row, place);
    const left = element("div"), what = element("p");
    what.append(`${data.rows[row]}, place ${place}: after `, element("span", "token", data.tokens[place]), " would come");
    left.append(what);
    guesses.forEach(({ token, share }, k) => {
      left.append(barOf(token, share, percent(share), k === right ? "right" : ""));
    });
    inside.replaceChildren(left);
    if (!next) return;
    const side = element("div"), said = element("p");
    said.append("what comes is ", element("span", "token", next.token), ": its probability, row by row");
    side.append(said);
    data.rows.forEach((name, n) => {
      const { share, rank } = data.cell(n, place).next;
      const text = `${percent(share)}, rank ${grouped(rank)}`;
      side.append(barOf(name, share, text, n === row ? "on" : ""));
    });
    inside.append(side);
  }

  const where = (target) => {
    const td = target instanceof Element ? target.closest("td[data-row]") : null;
    return td && table.contains(td) ? [Number(td.dataset.row), Number(td.dataset.place)] : null;
  };
  const go = (place) => { if (place.join() !== model.get("hover").join()) put(model, { hover: place }); };

  table.addEventListener("pointerover", (event) => { const at = where(event.target); if (at) go(at); });
  table.addEventListener("pointerleave", () => go(where(document.activeElement) ?? [-1, -1]));
  table.addEventListener("click", (event) => { const at = where(event.target); if (at) cells[at[0]][at[1]].focus(); });
  table.addEventListener("focusin", (event) => {
    const at = where(event.target);
    if (!at) return;
    table.querySelector('td[tabindex="0"]').tabIndex = -1;
    event.target.tabIndex = 0;
    go(at);
  });
  table.addEventListener("focusout", (event) => { if (!where(event.relatedTarget)) go([-1, -1]); });
  table.addEventListener("keydown", (event) => {
    const at = where(event.target);
    if (!at) return;
    const [row, place] = at, end = data.tokens.length - 1;
    const to = {
      ArrowUp: [row - 1, place], ArrowDown: [row + 1, place], ArrowLeft: [row, place - 1], ArrowRight: [row, place + 1],
      Home: [row, 0], End: [row, end],
    }[event.key];
    if (event.key === "Escape") event.target.blur();
    else if (to) cells[to[0]]?.[to[1]]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  select.addEventListener("change", () => put(model, { color: select.value }));

  build();
  const ends = [onChange(model, ["color"], paint), onChange(model, ["hover"], mark)];
  root.dataset.ready = "1";
  return () => {
    for (const end of ends) end();
    root.remove();
  };
}

export default { render };
