"use strict";
// Text from the data reaches the page through textContent alone; nothing here parses HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { words, metrics, shared, pairs } = data;
  const PAGE = 100; // items of the list that are drawn at once
  const LONG = 600; // characters of an equal stretch that are shown whole
  const KEPT = 120; // characters that stay on each side of a fold
  const NEAR = 3; // unchanged lines that stay beside a changed one
  const SHORT = 40; // lines of a pair that is shown whole: what is wrong may be in what stayed
  const FEWEST = 8; // lines that a fold hides

  const say = (key, values = {}) =>
    words[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));

  function make(tag, options = {}, ...children) {
    const node = document.createElement(tag);
    const { text, kind, on = {}, ...attributes } = options;
    if (text !== undefined) node.textContent = text;
    if (kind) node.className = kind;
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== false) node.setAttribute(name, value);
    }
    for (const [event, listener] of Object.entries(on)) node.addEventListener(event, listener);
    node.append(...children);
    return node;
  }

  // Han characters are drawn as in Japanese where kana show that it is.
  const tongue = (text) => (/[\u3040-\u30ff]/.test(text) ? "ja" : undefined);
  const textBlock = (text, kind = "text") =>
    make("div", { kind, text, dir: "auto", lang: tongue(text) });

  // ---- what a pair holds

  const side = (pair, at) => {
    let text = "";
    for (let i = 0; i < pair.diff.length; i += 3) text += pair.diff[i] + pair.diff[i + at];
    return text;
  };
  const folded = (text) => text.normalize("NFKC").toLowerCase();
  function haystack(pair) {
    pair.haystack ??= folded(
      [pair.id, ...pair.prompt.map((turn) => turn[1]), side(pair, 1), side(pair, 2),
        pair.rationale ?? "", ...Object.values(columnsOf(pair))].join("\n"));
    return pair.haystack;
  }
  // The columns of the pair's own file, by name.
  function columnsOf(pair) {
    pair.columns ??= Object.fromEntries(pair.details
      .filter(([name]) => shared[name].startsWith("column "))
      .map(([name, value]) => [shared[name].slice("column ".length), shared[value]]));
    return pair.columns;
  }
  const lastTurn = (pair) => pair.prompt[pair.prompt.length - 1][1];
  const shortNumber = (value) =>
    value === null ? "–" : Number.isInteger(value) ? String(value) : value.toPrecision(3);

  // Lines of both sides: a break that both have ends a line; each line holds (kind, text) parts.
  function linesOf(diff) {
    const lines = [[]];
    for (let i = 0; i < diff.length; i += 3) {
      diff[i].split("\n").forEach((piece, at) => {
        if (at) lines.push([]);
        if (piece) lines[lines.length - 1].push(["equal", piece]);
      });
      if (diff[i + 1]) lines[lines.length - 1].push(["del", diff[i + 1]]);
      if (diff[i + 2]) lines[lines.length - 1].push(["ins", diff[i + 2]]);
    }
    return lines;
  }
  const isChanged = (line) => line.some(([kind]) => kind !== "equal");

  // ---- state and controls

  const state = { shown: PAGE, found: pairs, at: -1, open: new Set(), whole: false };
  const ui = {};

  function select(label, options, first) {
    const list = make("select", { on: { change: refilter } });
    if (first !== undefined) list.append(make("option", { value: "", text: first }));
    for (const [value, text] of options) list.append(make("option", { value, text }));
    return [make("label", { text: label }, list), list];
  }
  const counted = (counts) =>
    Object.entries(counts).map(([name, count]) => [name, `${name} (${count})`]);

  function controls() {
    const bar = make("div", { kind: "filters", role: "search" });
    ui.search = make("input", { type: "search", "aria-keyshortcuts": "/", placeholder: say("search_hint"),
      on: { input: later(refilter, 120) } });
    bar.append(make("label", { text: say("search") }, ui.search));
    const choices = [["source", data.sources, 1], ["flag", data.flags, 0], ["file", data.files, 1]];
    for (const [name, counts, least] of choices) {
      const [label, list] = select(say(name), counted(counts), say("all"));
      ui[name] = list;
      if (Object.keys(counts).length > least) bar.append(label);
    }
    ui.columns = Object.entries(data.columns).map(([name, counts]) => {
      const [label, list] = select(say("column", { name }), counted(counts), say("all"));
      bar.append(label);
      return [name, list];
    });
    const figures = metrics.map(([, label], at) => [String(at), label]);
    const number = (key) => {
      const field = make("input", { type: "number", step: "any", on: { input: later(refilter, 120) } });
      ui[key] = field;
      return make("label", { text: say(key) }, field);
    };
    const [metricLabel, metric] = select(say("metric"), figures);
    ui.metric = metric;
    bar.append(metricLabel, number("from"), number("to"));
    const [sortLabel, sort] = select(say("sort"), figures, "id");
    ui.sort = sort;
    ui.descending = make("input", { type: "checkbox", on: { change: refilter } });
    const down = make("label", { kind: "line" }, ui.descending, say("descending"));
    const [viewLabel, view] = select(say("view"),
      [["two", say("side_by_side")], ["one", say("unified")]]);
    ui.view = view;
    view.addEventListener("change", drawPair);
    bar.append(sortLabel, down, viewLabel,
      make("button", { type: "button", text: say("clear"), on: { click: clear } }),
      make("button", { type: "button", text: say("help"), "aria-keyshortcuts": "?",
        on: { click: () => ui.help.showModal() } }));
    return bar;
  }

  function later(action, wait) {
    let timer;
    return () => { clearTimeout(timer); timer = setTimeout(action, wait); };
  }

  function clear() {
    for (const name of ["search", "source", "flag", "file", "from", "to", "sort"]) ui[name].value = "";
    for (const [, list] of ui.columns) list.value = "";
    ui.descending.checked = false;
    refilter();
  }

  function refilter() {
    const needle = folded(ui.search.value.trim());
    const file = ui.file.value, at = Number(ui.metric.value);
    const low = ui.from.value === "" ? -Infinity : Number(ui.from.value);
    const high = ui.to.value === "" ? Infinity : Number(ui.to.value);
    const ranged = low > -Infinity || high < Infinity;
    const current = state.found[state.at];
    state.found = pairs.filter((pair) =>
      (!ui.source.value || pair.source === ui.source.value) &&
      (!ui.flag.value || pair.flags.includes(ui.flag.value)) &&
      (!file || shared[pair.file] === file) &&
      ui.columns.every(([name, list]) => !list.value || columnsOf(pair)[name] === list.value) &&
      (!ranged || (pair.scores[at] !== null && pair.scores[at] >= low && pair.scores[at] <= high)) &&
      (!needle || haystack(pair).includes(needle)));
    sortFound();
    state.shown = PAGE;
    state.at = current ? state.found.indexOf(current) : -1;
    if (state.at < 0 && state.found.length) choose(0, { keep: true, redraw: true });
    else { drawList(); if (state.at < 0) drawPair(); }
  }

  function sortFound() {
    if (ui.sort.value !== "") {
      const at = Number(ui.sort.value), sign = ui.descending.checked ? -1 : 1;
      // pairs that lack the figure come last, either way
      state.found.sort((a, b) => {
        const x = a.scores[at], y = b.scores[at];
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (x - y);
      });
    } else if (ui.descending.checked) state.found.reverse();
  }

  // ---- list

  function drawList() {
    ui.count.textContent = say("found", { shown: state.found.length, total: pairs.length });
    const items = state.found.slice(0, state.shown).map((pair, at) => {
      const figure = ui.sort.value === "" ? data.listed : Number(ui.sort.value);
      const facts = `${pair.source} · ${metrics[figure][1]} ${shortNumber(pair.scores[figure])}` +
        (pair.flags.length ? ` · ${pair.flags.join(", ")}` : "");
      const said = lastTurn(pair).slice(0, 160);
      return make("li", {}, make("button", { type: "button",
        "aria-current": at === state.at && "true", on: { click: () => choose(at) } },
      make("span", { kind: "what", text: said, dir: "auto", lang: tongue(said) }),
      make("span", { kind: "who", text: facts })));
    });
    ui.items.replaceChildren(...items);
    const rest = state.found.length - state.shown;
    ui.more.hidden = rest <= 0;
    ui.more.textContent = say("more", { n: Math.min(PAGE, rest) });
  }

  // Not at each step: browsers refuse what looks like a flood when a key is held down.
  const remember = later(() => {
    const pair = state.found[state.at];
    if (pair) history.replaceState(null, "", `#pair=${encodeURIComponent(pair.id)}`);
  }, 200);

  function choose(at, { keep = false, redraw = false } = {}) {
    if (at < 0 || at >= state.found.length) return;
    state.at = at;
    state.open.clear();
    state.whole = false;
    while (at >= state.shown) state.shown += PAGE;
    if (redraw || at >= ui.items.children.length) drawList();
    ui.items.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const button = ui.items.children[at].firstChild;
    button.setAttribute("aria-current", "true");
    drawPair();
    const { top, bottom } = button.getBoundingClientRect(), frame = ui.list.getBoundingClientRect();
    if (top < frame.top) ui.list.scrollTop -= frame.top - top;
    if (bottom > frame.bottom) ui.list.scrollTop += bottom - frame.bottom;
    if (!keep) {
      remember();
      button.focus({ preventScroll: true });
    }
  }

  // ---- one pair

  function drawPair() {
    const pair = state.found[state.at];
    if (!pair) { ui.pair.replaceChildren(make("p", { text: say("none") })); return; }
    const link = make("a", { href: `#pair=${encodeURIComponent(pair.id)}`, text: say("link") });
    const step = (key, by) =>
      make("button", { type: "button", text: say(key), on: { click: () => choose(state.at + by) } });
    const parts = [
      make("div", { kind: "bar" }, make("h3", { text: pair.id }),
        make("span", { kind: "chip", text: pair.source }),
        ...pair.flags.map((flag) => make("span", { kind: "chip", text: `⚑ ${flag}` })),
        step("previous", -1), step("next", 1), link),
      ...pair.prompt.map(([role, text]) =>
        make("div", { kind: "turn" }, make("b", { text: role }), textBlock(text))),
      drawDiff(pair),
    ];
    if (namesOf(pair).length > 1) parts.push(make("p", { kind: "facts legend", text: say("legend") }));
    if (pair.votes?.length) parts.push(make("h4", { text: say("votes") }), tableOf(pair.votes, data.heads));
    if (pair.rationale) parts.push(make("h4", { text: say("rationale") }), textBlock(pair.rationale));
    const scores = make("dl", { kind: "scores" }, ...metrics.flatMap(([, label], at) =>
      pair.scores[at] === null ? [] : [make("div", {}, make("dt", { text: label }),
        make("dd", { text: shortNumber(pair.scores[at]) }))]));
    parts.push(make("h4", { text: say("scores") }), scores);
    if (pair.details.length) {
      parts.push(make("details", {}, make("summary", { text: say("provenance") }),
        tableOf(pair.details.map((row) => row.map((place) => shared[place])))));
    }
    ui.pair.replaceChildren(...parts);
  }

  function tableOf(rows, head) {
    const lines = rows.map(([name, ...cells]) => make("tr", {},
      make("th", { scope: "row", text: name }), ...cells.map((text) => make("td", { text }))));
    const top = head ? [make("thead", {}, make("tr", {},
      ...head.map((text) => make("th", { scope: "col", text }))))] : [];
    return make("div", { kind: "scroll", tabindex: "0" },
      make("table", { kind: "words" }, ...top, make("tbody", {}, ...lines)));
  }

  // What both sides are called; one name for an answer that stands alone.
  const namesOf = (pair) => pair.names ?? [say("rejected"), say("chosen")];

  function drawDiff(pair) {
    const titles = namesOf(pair), alone = titles.length < 2;
    const lines = linesOf(pair.diff), two = ui.view.value === "two" && !alone;
    const kinds = two ? [["del"], ["ins"]] : [["del", "ins"]];
    const box = make("div", { kind: "diff" });
    const row = (cells, kind = "") =>
      box.append(make("div", { kind: two ? `two ${kind}` : kind }, ...cells));
    const names = two ? titles : [titles.join(" → ")];
    row(names.map((text) => make("div", { kind: "cell", text })), "head");
    const near = lines.map((_, at) => alone ||
      lines.slice(Math.max(0, at - NEAR), at + NEAR + 1).some(isChanged));
    if (!near.some(Boolean) && !alone) box.append(make("p", { kind: "cell facts", text: say("same") }));
    for (let at = 0; at < lines.length; at += 1) {
      let end = at;
      while (end < lines.length && !near[end]) end += 1;
      if (lines.length > SHORT && end - at >= FEWEST && !isOpen(`line${at}`)) {
        box.append(make("div", { kind: "cell" }, fold(`line${at}`, "fold_lines", end - at)));
        at = end - 1;
        continue;
      }
      for (const stop = Math.max(at + 1, end); at < stop; at += 1) {
        row(kinds.map((each, column) => drawCell(lines[at], each, `${at}.${column}`)));
      }
      at -= 1;
    }
    return box;
  }

  function drawCell(line, kinds, place) {
    const cell = make("div", { kind: "cell", dir: "auto",
      lang: tongue(line.map(([, text]) => text).join("")) });
    line.forEach(([kind, text], at) => {
      if (kind === "equal") cell.append(...drawEqual(text, `${place}.${at}`));
      else if (kinds.includes(kind)) cell.append(drawEdit(kind, text));
    });
    return cell;
  }

  function drawEqual(text, place) {
    if (text.length <= LONG || isOpen(place)) return [text];
    const head = whole(text.slice(0, KEPT), true), tail = whole(text.slice(-KEPT), false);
    return [head, fold(place, "fold", text.length - head.length - tail.length), tail];
  }

  // A cut never parts a surrogate pair, a joined emoji or a mark from its letter.
  function whole(text, atEnd) {
    const clusters = [...new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(text)];
    const kept = atEnd ? clusters.slice(0, -1) : clusters.slice(1);
    return kept.map(({ segment }) => segment).join("");
  }

  function drawEdit(kind, text) {
    const node = make(kind, { kind: text.trim() ? "" : "blank" });
    text.split("\n").forEach((piece, at) => {
      if (at) node.append(make("span", { kind: "break" }), "\n");
      node.append(piece);
    });
    return node;
  }

  const isOpen = (place) => state.whole || state.open.has(place);
  const fold = (place, key, n) => make("button", { type: "button", kind: "fold",
    text: `… ${say(key, { n })} …`,
    on: { click: () => { state.open.add(place); drawPair(); ui.pair.focus({ preventScroll: true }); } } });

  // ---- keys, links, start

  function onKey(event) {
    const typing = event.target.matches("input, select, textarea");
    if (event.ctrlKey || event.metaKey || event.altKey || ui.help.open) return;
    if (typing) { if (event.key === "Escape") event.target.blur(); return; }
    const actions = {
      j: () => choose(state.at + 1),
      k: () => choose(state.at - 1),
      "/": () => { ui.search.focus(); ui.search.select(); },
      v: () => { ui.view.value = ui.view.value === "two" ? "one" : "two"; drawPair(); },
      o: () => { state.whole = !state.whole; drawPair(); },
      "?": () => ui.help.showModal(),
    };
    const action = Object.hasOwn(actions, event.key) ? actions[event.key] : undefined;
    if (action) { event.preventDefault(); action(); }
  }

  function help() {
    const keys = [["j", "key_next"], ["k", "key_previous"], ["/", "key_search"], ["v", "key_view"],
      ["o", "key_open"], ["?", "key_help"]];
    const rows = keys.flatMap(([key, text]) => [make("dt", {}, make("kbd", { text: key })),
      make("dd", { text: say(text) })]);
    const dialog = make("dialog", { "aria-label": say("help") }, make("dl", {}, ...rows));
    dialog.append(make("button", { type: "button", text: say("close"), on: { click: () => dialog.close() } }));
    return dialog;
  }

  function follow() {
    const match = /^#pair=(.*)$/s.exec(location.hash);
    if (!match) return false;
    let id;
    try { id = decodeURIComponent(match[1]); } catch { id = match[1]; }
    if (!state.found.some((pair) => pair.id === id)) clear();
    const at = state.found.findIndex((pair) => pair.id === id);
    if (at < 0) {
      ui.count.textContent = say("no_such", { id });
      return true;
    }
    choose(at, { keep: true });
    document.getElementById("browser").scrollIntoView();
    return true;
  }

  ui.count = make("p", { kind: "facts", role: "status" });
  ui.items = make("ol");
  ui.more = make("button", { type: "button", on: { click: () => { state.shown += PAGE; drawList(); } } });
  ui.list = make("div", { kind: "list", role: "region", "aria-label": say("list") }, ui.items, ui.more);
  ui.pair = make("article", { kind: "pair", tabindex: "-1", "aria-live": "off" });
  ui.help = help();
  document.getElementById("app").append(controls(), ui.count,
    make("div", { kind: "columns" }, ui.list, ui.pair), ui.help);
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", follow);
  choose(0, { keep: true });
  follow();
})();
