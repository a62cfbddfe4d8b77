// The board: all groups, their members, and what is done with them.

import { anyOpen, askRename, askSplit, askTarget, notice, showHistory, showSample }
  from "./board_dialogs.js";
import { gesture, members, target } from "./board_do.js";
import { Grid } from "./board_grid.js";
import { EVERYTHING, drawGroups, factsOf, listed } from "./board_groups.js";
import { measurePaint } from "./input.js";
import { Outbox, read } from "./server.js";

const POLL_MS = 1000;
const SOON_MS = 200; // while something was done that is not learned yet
const run = document.body.dataset.run;
const $ = (id) => document.getElementById(id);

const board = {
  name: localStorage.getItem("idc:name") ?? "",
  overview: null,
  groups: [],
  ref: EVERYTHING,
  told: "", // what was said last of a selection
  done: [], // gestures of this window, oldest first
  undone: new Set(), // what this window has undone
  drawn: "", // what of the group the grid shows, at which version
};

const outbox = new Outbox(run, {
  onChange: () => { drawSaved(); refreshSoon(); },
  onRefused: (kind, body, reason) => { notice(reason); board.drawn = ""; },
});

const grid = new Grid($("grid"), $("spacer"), { onSelect: drawSelected, onOpen: closer });

function current() {
  return board.groups.find(({ ref }) => ref === board.ref) ?? board.groups[0];
}

// -- what is seen ------------------------------------------------------------------------------

async function refresh() {
  if (!board.name) return;
  try {
    const known = board.overview?.version;
    const now = await read("api/board/version", { annotator: board.name });
    if (!known || JSON.stringify(now.version) !== JSON.stringify(known)) {
      board.overview = await read("api/board", { annotator: board.name });
    }
    Object.assign(board.overview, now);
    outbox.online = true;
    await draw();
  } catch {
    outbox.online = false;
  }
  drawSaved();
}

async function draw() {
  const { overview } = board;
  board.groups = listed(overview);
  const group = current();
  board.ref = group.ref;
  grid.pictures = board.groups.every(({ surest }) => surest.every(({ picture }) => picture));
  drawGroups($("groups"), board.groups, board.ref);
  drawStanding(overview);
  drawHead(group);
  const [sort, filter] = [$("sort").value, $("filter").value];
  const wanted = JSON.stringify([overview.version, board.ref, sort, filter]);
  // Where something is under way, the server does not know yet what was taken away here.
  if (wanted !== board.drawn && !outbox.entries().length) {
    const found = await members(board.ref, sort, filter);
    if (wanted !== JSON.stringify([board.overview.version, board.ref, $("sort").value, $("filter").value])) return;
    const view = JSON.stringify([board.ref, sort, filter]);
    grid.set(found.items, found.percents, found.flags, view !== $("grid").dataset.view);
    $("grid").dataset.view = view;
    board.drawn = wanted;
    document.body.dataset.version = overview.version.join(".");
  }
  drawHead(group);
  drawSelected();
}

function drawHead(group) {
  $("group-name").textContent = group.name;
  $("group-facts").textContent = factsOf(group, grid.count);
  const real = group.ref !== EVERYTHING;
  $("group-actions").hidden = !real;
  const hide = (what, hidden) => { document.querySelector(`[data-do="${what}"]`).hidden = hidden; };
  hide("delete", group.size > 0 || !group.named);
  hide("split", group.size < 2 || !board.overview.splits);
  hide("rename", !group.named && !group.size);
  hide("not", !real);
}

function drawStanding({ phase, round, learning, learned, clustered }) {
  const doing = !clustered ? "Being clustered: the groups will be here soon."
    : learning ? "Learning from what was said…"
      : phase === "done" ? "The run is over."
        : learned ? "" : "To be learned with this round.";
  const text = doing || (phase === "asking" ? `Round ${round} is open.` : "");
  if ($("standing").textContent !== text) $("standing").textContent = text;
  document.body.dataset.learned = String(Boolean(learned && !learning));
}

function drawSelected() {
  const count = grid.selected.size;
  if (count) board.told = "";
  const text = count ? `${count.toLocaleString("en")} selected` : board.told || "Nothing selected";
  if ($("selected").textContent !== text) $("selected").textContent = text;
  for (const what of ["right", "not", "move", "clear"]) {
    document.querySelector(`[data-do="${what}"]`).disabled = !count;
  }
  document.querySelector('[data-do="closer"]').disabled = !grid.count;
}

function drawSaved() {
  const waiting = outbox.entries().length;
  const text = !outbox.online ? `No connection: ${waiting} kept here`
    : waiting ? "Saving…" : "All saved";
  if ($("saved").textContent !== text) $("saved").textContent = text;
  $("saved").className = outbox.online ? "" : "offline";
}

// -- what is done --------------------------------------------------------------------------------

function post(kind, fields) {
  const body = gesture(board.name, kind, fields);
  if (kind === "undo") board.undone.add(fields.undoes);
  else board.done.push(body.client_id);
  outbox.push("gesture", body);
}

// What was said of the selection; `gone` says that it leaves the group.
function say(kind, fields, told, { gone = false } = {}) {
  const samples = [...grid.selected];
  if (!samples.length) return;
  post(kind, { samples, ...fields });
  board.told = `${samples.length.toLocaleString("en")} ${told}`;
  const leaving = gone && board.ref !== EVERYTHING ? grid.selected : null;
  grid.selected = new Set();
  if (leaving) grid.remove(leaving);
  grid.clear();
}

function others() {
  return board.groups.filter(({ ref }) => ref !== EVERYTHING && ref !== board.ref);
}

function named() {
  return board.ref === EVERYTHING ? {} : { group: board.ref };
}

function move() {
  const count = grid.selected.size;
  if (!count) return;
  askTarget(`Move ${count.toLocaleString("en")} to`, others(), (picked) =>
    say("move", target(picked), `moved to ${picked.group?.name ?? picked.name}`, { gone: true }));
}

function merge() {
  const group = current();
  askTarget(`Merge ${group.name} into`, others().filter(({ size, named: has }) => size || has),
    ({ group: into }) => {
      post("merge", { group: group.ref, to: into.ref });
      board.ref = into.ref;
    }, { mayBeNew: false });
}

async function split() {
  const group = current();
  try {
    const { parts } = await read("api/board/parts", { group: group.ref });
    const indices = parts.map(({ samples }) => samples.map(({ index }) => index));
    if (indices.some((part) => !part.length)) return notice("There is nothing to split here.");
    askSplit(group, parts, (name) => post("split",
      { group: group.ref, kept: indices[0], samples: indices[1], ...target({ name }) }));
  } catch {
    notice("It could not be split just now.");
  }
}

async function closer() {
  const index = grid.selected.size === 1 ? [...grid.selected][0] : grid.activeSample;
  if (index === null) return;
  try {
    const found = await read(`api/board/samples/${index}`, {});
    showSample(found, board.groups.find(({ ref }) => ref === found.group)?.name ?? "");
  } catch {
    notice("It could not be fetched just now.");
  }
}

function change(index) {
  const all = board.groups.filter(({ ref }) => ref !== EVERYTHING);
  $("closer-dialog").close();
  askTarget("It is", all, (picked) => post("move", { samples: [index], ...target(picked) }));
}

// What one did last and has not taken back, here or in another window.
function undoLast() {
  const history = board.overview?.history ?? [];
  const undone = new Set(history.filter((one) => one.undone).map(({ id }) => id));
  const mine = history.filter(({ who, undoes }) => who === board.name && !undoes).map(({ id }) => id);
  const last = [...board.done.toReversed(), ...mine]
    .find((id) => !undone.has(id) && !board.undone.has(id));
  if (last) post("undo", { undoes: last });
  else notice("There is nothing left to undo that you did.");
}

function undo(node) {
  const { id } = node.dataset;
  node.disabled = true;
  // What comes back by this may be undone again.
  if (board.overview.history.find((one) => one.id === id)?.undoes) board.undone.clear();
  post("undo", { undoes: id });
}

function open(ref) {
  $("grid").focus({ preventScroll: true });
  if (ref === board.ref) return;
  board.ref = ref;
  // Nobody shall select what is of the group before.
  grid.selected = new Set();
  grid.empty();
  $("grid").dataset.view = "";
  draw().catch(() => {}); // the next poll tries again
}

function step(by) {
  const at = board.groups.findIndex(({ ref }) => ref === board.ref);
  const group = board.groups[at + by];
  if (group) open(group.ref);
}

const actions = {
  open: (node) => open(node.dataset.ref),
  right: () => say("right", named(), "are right"),
  not: () => board.ref !== EVERYTHING && say("not", named(), "ruled out", { gone: true }),
  move,
  merge,
  split,
  closer,
  clear: () => { board.told = ""; grid.clear(); },
  rename: () => askRename(current(), (name) => post("rename", { group: board.ref, name })),
  delete: () => post("delete", { group: board.ref }),
  history: () => showHistory(board.overview?.history ?? []),
  undo,
  "undo-last": undoLast,
  withdraw: (node) => { node.disabled = true; post("withdraw", { answers: [node.dataset.id] }); },
  change: (node) => change(Number(node.dataset.index)),
  help: () => $("help-dialog").showModal(),
  close: (node) => node.closest("dialog").close(),
  all: () => grid.selectAll(),
  next: () => step(1),
  previous: () => step(-1),
};

const KEYS = { r: "right", x: "not", m: "move", u: "undo-last", n: "next", p: "previous", "?": "help",
  Escape: "clear", Enter: "closer" };

addEventListener("click", (event) => {
  const node = event.target.closest("[data-do]");
  if (node && !node.disabled) actions[node.dataset.do](node);
});

addEventListener("keydown", (event) => {
  if (anyOpen() || event.isComposing || event.altKey) return;
  const inGrid = document.activeElement === $("grid") || document.activeElement === document.body;
  const control = event.ctrlKey || event.metaKey;
  if (control) {
    const action = { a: "all", z: "undo-last" }[event.key.toLowerCase()];
    if (!action || (action === "all" && !inGrid)) return;
    event.preventDefault();
    actions[action]();
    return;
  }
  if (event.target.matches("select, input")) return;
  if (inGrid && grid.key(event)) {
    event.preventDefault();
    if (document.activeElement === document.body) $("grid").focus({ preventScroll: true });
    measurePaint(event);
    return;
  }
  const pressed = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!(pressed in KEYS) || (pressed === "Enter" && !inGrid)) return;
  event.preventDefault();
  actions[KEYS[pressed]]();
  measurePaint(event);
});

for (const id of ["sort", "filter"]) $(id).addEventListener("change", () => draw().catch(() => {}));

// -- staying in touch ----------------------------------------------------------------------------

let wake = () => {};

function refreshSoon() {
  wake();
}

async function stay() {
  for (;;) {
    await refresh();
    const soon = board.overview && !(board.overview.learned && !board.overview.learning);
    await new Promise((resolve) => {
      wake = resolve;
      setTimeout(resolve, soon ? SOON_MS : POLL_MS);
    });
  }
}

$("name-dialog").querySelector("form").addEventListener("submit", (event) => {
  const name = $("name-input").value.trim();
  if (!name) return event.preventDefault();
  board.name = name;
  localStorage.setItem("idc:name", name);
  outbox.send();
  refreshSoon();
});
$("name-dialog").addEventListener("cancel", (event) => event.preventDefault());

if (!board.name) $("name-dialog").showModal();
outbox.send();
stay();
