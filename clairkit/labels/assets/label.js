"use strict";
// Texts reach the page through textContent alone; nothing here parses HTML, and nothing is sent.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { words, items } = data;
  const GUARD = 250; // milliseconds in which a second press is the same press
  const ACCEPT = data.question === "accept";
  const CHOICES = ACCEPT
    ? { accept: ["1", "ArrowLeft"], reject: ["2", "ArrowRight"] }
    : { left: ["1", "ArrowLeft"], right: ["2", "ArrowRight"], tie: ["3", "t"], bad: ["4", "b"] };
  const HEADINGS = ACCEPT ? ["side_answer", "side_revision"] : ["side_left", "side_right"];

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
  const textBlock = (text) => make("div", { kind: "text", text, dir: "auto",
    lang: /[\u3040-\u30ff]/.test(text) ? "ja" : undefined });

  // ---- answers: one entry of the browser's storage each, so that two tabs write beside each other

  const PREFIX = `clairkit-label:${data.page}:`;
  const answers = new Map(); // item -> { vote or null, ms, at, changes, note }
  const notKept = new Set(); // items whose last change the browser did not take
  let unsaved = false; // changes since the last file

  const blank = () => ({ vote: null, ms: 0, at: 0, changes: 0, note: "" });
  const answer = (id) => answers.get(id) ?? blank();
  const voteOf = (item) => answer(item.id).vote;
  const isDecided = (item) => ["left", "right"].includes(voteOf(item));

  function fetchOne(id) {
    if (notKept.has(id)) return; // ours is newer
    try {
      const found = JSON.parse(localStorage.getItem(PREFIX + id));
      if (found && typeof found.note === "string") answers.set(id, { ...blank(), ...found });
    } catch { /* off, or not ours: said when something is to be kept */ }
  }

  const fetchAll = () => items.forEach(({ id }) => fetchOne(id));

  function keep(...ids) {
    for (const id of ids) notKept.add(id);
    try {
      localStorage.setItem(`${PREFIX}open`, "1"); // shows at the start that storage is off
      for (const id of notKept) {
        localStorage.setItem(PREFIX + id, JSON.stringify(answer(id)));
        notKept.delete(id);
      }
      ui.warning.hidden = true;
    } catch { ui.warning.hidden = false; }
  }

  function change(id, values) {
    fetchOne(id); // another tab may have changed it at this moment
    const before = answer(id);
    const at = Math.max(Date.now(), 1 + Math.max(0, ...[...answers.values()].map((each) => each.at)));
    const changes = before.changes + ("vote" in values && before.at > 0 ? 1 : 0);
    answers.set(id, { ...before, at: "vote" in values ? at : before.at, changes, ...values });
    unsaved = true;
    keep(id);
  }

  function onStorage(event) {
    if (event.key === null) { keep(...answers.keys()); return; } // cleared while this tab is open
    const item = items.find(({ id }) => event.key === PREFIX + id);
    if (!item) return;
    fetchOne(item.id);
    draw();
  }

  // ---- the screen: the first item without a vote

  const ui = {};
  let current; // its place; items.length when all are answered
  let pressed = -GUARD; // when the last press that counted was
  let spent = 0, since = null; // time for which the item has been seen

  const seen = () => spent + (since === null ? 0 : performance.now() - since);

  function draw() {
    const found = items.findIndex((item) => voteOf(item) === null);
    const place = found < 0 ? items.length : found;
    if (place !== current) {
      current = place;
      spent = 0;
      since = document.hidden ? null : performance.now();
      drawItem();
      if (ui.note.open) ui.note.close();
      window.scrollTo(0, 0);
    }
    drawProgress();
  }

  function drawItem() {
    const item = items[current];
    for (const node of ui.votes) node.disabled = !item;
    ui.noteButton.disabled = ui.skip.disabled = !item;
    if (!item) {
      const end = make("section", {}, make("h2", { text: say("done", { total: items.length }) }),
        make("p", { text: say("done_next") }));
      ui.item.replaceChildren(end);
      return;
    }
    const turns = item.prompt.map(([role, text]) => make("div", { kind: "turn" },
      ...(item.prompt.length > 1 ? [make("b", { text: words[`role_${role}`] ?? role })] : []),
      textBlock(text)));
    const sides = ["left", "right"].map((side, at) => make("section", { kind: `side ${side}` },
      make("h2", { text: say(HEADINGS[at]) }), textBlock(item[side])));
    ui.item.replaceChildren(
      make("section", { kind: "prompt" }, make("h2", { text: say("prompt") }), ...turns),
      make("div", { kind: "sides" }, ...sides));
  }

  function drawProgress() {
    const votes = items.filter((item) => voteOf(item) !== null);
    const times = votes.map(({ id }) => answer(id).ms).sort((a, b) => a - b);
    const left = items.length - votes.length;
    ui.bar.value = votes.length;
    const parts = [say("progress", { done: votes.length, total: items.length })];
    if (times.length > 2 && left) {
      const minutes = Math.ceil(left * times[Math.floor(times.length / 2)] / 60000);
      parts.push(say("time_left", { minutes }));
    }
    const item = items[current];
    if (item && answer(item.id).note) parts.push(say("noted"));
    ui.facts.textContent = parts.join(" · ");
    const decided = items.filter(isDecided).length, share = data.shares[decided];
    ui.evidence.hidden = !data.shares.length;
    ui.evidence.textContent = share === undefined ? ""
      : say(share === null ? "evidence_none" : "evidence", { decided, share });
  }

  const announce = (key, values = {}) => {
    const place = Math.min(current + 1, items.length);
    ui.status.textContent = say(key, { place, total: items.length, ...values });
  };

  // One press is one vote: what comes at once after it was meant for the item before.
  function isEcho() {
    const now = performance.now();
    if (now - pressed < GUARD) return true;
    pressed = now;
    return false;
  }

  function vote(choice) {
    const item = items[current];
    if (!item || isEcho()) return;
    change(item.id, { vote: choice, ms: Math.round(seen()) });
    draw();
    if (current === items.length) ui.status.textContent = say("done", { total: items.length });
    else announce("voted", { vote: say(choice) });
  }

  function undo() {
    if (isEcho()) return;
    const voted = items.filter((item) => voteOf(item) !== null);
    if (!voted.length) { announce("nothing_to_undo"); return; }
    const last = voted.reduce((a, b) => (answer(a.id).at > answer(b.id).at ? a : b));
    change(last.id, { vote: null });
    draw();
    announce("undone");
  }

  function openNote() {
    const item = items[current];
    if (!item) return;
    ui.text.value = answer(item.id).note;
    ui.note.showModal();
    ui.text.focus();
  }

  function onNote() {
    if (items[current]) change(items[current].id, { note: ui.text.value });
    drawProgress();
  }

  // ---- files

  // FNV-1a, 64 bits: shows a row that was changed by hand after it was saved.
  function check(...parts) {
    let hash = 0xcbf29ce484222325n;
    for (const byte of new TextEncoder().encode(parts.join("|"))) {
      hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
    }
    return `c${hash.toString(16).padStart(16, "0")}`;
  }

  const rows = () => items.filter((item) => voteOf(item) !== null).map(({ id }) => {
    const { vote: given, ms, at, changes, note } = answer(id);
    return { item: id, vote: given, ms, at: new Date(at).toISOString(), changes, note,
      check: check(data.key, id, given, ms) };
  });

  const json = (found) => JSON.stringify({ schema: 1, kind: "clairkit votes", key: data.key,
    rater: data.rater, saved: new Date().toISOString(), votes: found }, null, 1);

  // A spreadsheet takes what begins like a formula for one, unless an apostrophe stands before it.
  const cell = (value) => {
    const text = String(value).replace(/^[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/, "'$&");
    return /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };

  const csv = (found) => {
    const names = ["item", "vote", "ms", "at", "changes", "note", "check"];
    const lines = found.map((row) => [...names.map((name) => row[name]), data.key, data.rater]);
    return [[...names, "key", "rater"], ...lines]
      .map((line) => `${line.map(cell).join(",")}\r\n`).join("");
  };

  function save(suffix, type, write) {
    const found = rows(), file = `${data.file}.${suffix}`;
    const url = URL.createObjectURL(new Blob([write(found)], { type }));
    make("a", { href: url, download: file }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
    unsaved = false;
    ui.status.textContent = say("saved", { count: found.length, file });
    ui.saved.textContent = ui.status.textContent;
  }

  // ---- keys, controls, start

  const actions = {
    ...Object.fromEntries(Object.entries(CHOICES)
      .flatMap(([choice, keys]) => keys.map((key) => [key.toLowerCase(), () => vote(choice)]))),
    s: () => vote("skip"), u: undo, n: openNote, "?": () => ui.help.showModal(),
  };

  function onKey(event) {
    if (event.isComposing || event.keyCode === 229 || event.repeat) return;
    if (event.ctrlKey || event.metaKey || event.altKey || ui.help.open || ui.note.open) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
    const key = event.key.normalize("NFKC").toLowerCase(); // also in full width
    if (!Object.hasOwn(actions, key)) return;
    event.preventDefault();
    actions[key]();
  }

  const button = (name, key, action, kind = "") =>
    make("button", { type: "button", kind, "aria-keyshortcuts": key, on: { click: action } },
      ...(key ? [make("kbd", { text: key.toUpperCase(), "aria-hidden": "true" })] : []), say(name));

  function dialog(label, ...parts) {
    const node = make("dialog", { "aria-label": say(label) }, make("h2", { text: say(label) }), ...parts);
    node.append(button("close", undefined, () => node.close(), "main"));
    return node;
  }

  function build() {
    ui.bar = make("progress", { max: items.length, value: 0, "aria-label": say("title") });
    ui.facts = make("span", { kind: "facts" });
    ui.warning = make("p", { kind: "warning", role: "alert", text: say("not_kept"), hidden: "" });
    ui.item = make("main", { tabindex: "-1" });
    ui.status = make("p", { kind: "facts", role: "status", "aria-live": "polite" });
    ui.saved = make("p", { kind: "facts" });
    ui.evidence = make("p", { kind: "facts evidence" });
    ui.votes = Object.entries(CHOICES).map(([choice, [key]]) =>
      button(choice, key, () => vote(choice), "vote"));
    ui.skip = button("skip", "s", () => vote("skip"));
    ui.noteButton = button("note", "n", openNote);
    ui.text = make("textarea", { "aria-label": say("note_for"), on: { input: onNote } });
    ui.note = dialog("note_for", ui.text);
    const keys = [...Object.entries(CHOICES).map(([choice, [key, other]]) =>
      [`${key} / ${{ ArrowLeft: "←", ArrowRight: "→" }[other] ?? other.toUpperCase()}`, choice]),
    ["S", "skip"], ["U", "undo"], ["N", "note"], ["?", "help"]];
    ui.help = dialog("help", make("dl", {}, ...keys.flatMap(([key, name]) =>
      [make("dt", {}, make("kbd", { text: key })), make("dd", { text: say(name) })])),
    make("p", { text: say(ACCEPT ? "help_accept" : "help_blind") }));
    document.getElementById("app").append(
      make("header", {}, make("h1", { text: data.ask }),
        make("span", { kind: "facts", text: say("rater", { rater: data.rater }) })),
      make("div", { kind: "progress" }, ui.bar, ui.facts), ui.warning, ui.item,
      make("div", { kind: "bar" }, ...ui.votes, ui.skip, button("undo", "u", undo), ui.noteButton,
        button("help", "?", () => ui.help.showModal())),
      make("div", { kind: "foot" }, ui.status, ui.evidence, make("div", { kind: "files" },
        button("save", undefined, () => save("json", "application/json", json), "main"),
        // with a mark in front, by which spreadsheets know UTF-8
        button("save_csv", undefined, () => save("csv", "text/csv", (all) => `\ufeff${csv(all)}`))),
      ui.saved), ui.help, ui.note);
  }

  build();
  fetchAll();
  keep();
  draw();
  document.addEventListener("keydown", onKey);
  document.addEventListener("visibilitychange", () => {
    spent = seen();
    since = document.hidden ? null : performance.now();
  });
  window.addEventListener("storage", onStorage);
  window.addEventListener("pageshow", (event) => { if (event.persisted) { fetchAll(); draw(); } });
  window.addEventListener("beforeunload", (event) => {
    if (notKept.size && unsaved) event.preventDefault();
  });
})();
