// The page: which screen is shown, what a key does, and what is fetched ahead.

import { badge, drawPalette, drawQuestion, drawRecent, draw, element, tilesOf } from "./draw.js";
import { actionOf, label, listed, remap, reset } from "./keys.js";
import { drawProgress, drawResult, message } from "./learn.js";
import { makeId, Outbox, read } from "./server.js";

const AHEAD = 8; // questions kept ready, pictures and all
const MOST_UNSENT = 40; // no further questions while so many answers wait for the server
const MOST_RECENT = 14;
const POLL_MS = 1000;
const SHORT_LEARNING_MS = 3000; // what was learned faster needs no screen of its own
const PAIR = ["same", "different"];
// A key that comes again so soon bounced, and the second click of a double click is no answer.
const BOUNCE_MS = 20;
const DOUBLE_CLICK_MS = 250;

const run = document.body.dataset.run;
const $ = (id) => document.getElementById(id);

const page = {
  name: localStorage.getItem("idc:name") ?? "",
  state: null, // what the server said last
  queue: [], // drawn questions to come
  current: null, // the drawn question on the screen
  shownAt: 0,
  recent: [], // own answers of this round, oldest first
  seconds: [], // of the last answers
  madeGroups: new Map(), // named here, not yet known to the server
  resultsSeen: null,
  learningSince: null,
  fetching: false,
  naming: false, // a text field of the palette is open
  changing: null, // the action whose key is being changed
  view: "", // what the screen shows when it shows no question
};

const outbox = new Outbox(run, {
  onChange: () => drawSaved(),
  onRefused: (kind, body, reason) => refused(kind, body, reason),
});

// -- questions -------------------------------------------------------------------------------

function asking() {
  return page.state?.phase === "asking";
}

function groups() {
  const known = page.state?.groups ?? [];
  const keys = new Set(known.map((group) => group.key));
  return [...known, ...[...page.madeGroups.values()].filter((group) => !keys.has(group.key))];
}

function unsentPositions() {
  return outbox.entries()
    .filter(({ kind, body }) => kind === "answer" && body.round === page.state.round)
    .map(({ body }) => body.position);
}

async function fetchAhead() {
  const unsent = unsentPositions();
  const held = [...page.queue, page.current].filter(Boolean).map(({ question }) => question.position);
  const count = AHEAD - held.length;
  if (page.fetching || !asking() || count <= 0 || unsent.length > MOST_UNSENT) return;
  page.fetching = true;
  const round = page.state.round;
  try {
    const values = { annotator: page.name, count, held: [...held, ...unsent].join(",") };
    const { questions } = await read("api/questions", values);
    const fresh = questions.filter((question) => question.round === round && !isHeld(question));
    if (page.state.round === round) page.queue.push(...fresh.map(prepare));
  } catch {
    // The next poll tries again.
  } finally {
    page.fetching = false;
  }
  if (!page.current) show();
}

function isHeld({ position }) {
  return [...page.queue, page.current].some((drawn) => drawn?.question.position === position)
    || unsentPositions().includes(position);
}

function prepare(question) {
  const drawn = { ...drawQuestion(question), isReady: false };
  drawn.ready = drawn.ready.then(() => { drawn.isReady = true; });
  return drawn;
}

function answer(action, event) {
  const { question } = page.current;
  const given = meaning(question, action);
  if (!given) return;
  const body = {
    client_id: makeId(),
    annotator: page.name,
    round: question.round,
    position: question.position,
    seconds: Math.round(performance.now() - page.shownAt) / 1000,
    ...given,
  };
  page.recent.push({ client_id: body.client_id, answer: given.answer, group: given.group?.name, question });
  page.seconds = [...page.seconds.slice(-19), Math.min(body.seconds, 60)];
  count(+1);
  page.current = null;
  show();
  measurePaint(event);
  $("recent").prepend(drawRecent(page.recent.at(-1)));
  trimRecent();
  outbox.push("answer", body);
  fetchAhead();
}

function meaning(question, action) {
  if (action === "skip") return { answer: "skip" };
  if (action === "none") return question.kind === "cluster" ? { answer: "none" } : null;
  const place = Number(action.slice("choose-".length));
  if (question.kind === "pair") return place < PAIR.length ? { answer: PAIR[place] } : null;
  if (question.kind === "cluster") {
    const chosen = question.candidates[place];
    return chosen ? { answer: chosen.cluster } : null;
  }
  const group = groups()[place];
  return group ? { group: { key: group.key, name: group.name } } : null;
}

function goBack(id) {
  const place = id ? page.recent.findIndex((item) => item.client_id === id) : page.recent.length - 1;
  const item = page.recent[place];
  if (!item || !asking()) return;
  page.recent.splice(place, 1);
  outbox.push("undo", { client_id: makeId(), annotator: page.name, undoes: item.client_id });
  count(-1);
  page.state.complete = false;
  if (page.current) page.queue.unshift(page.current);
  page.current = null;
  page.queue.unshift(prepare(item.question));
  drawRecents();
  show();
}

function count(change) {
  page.state.mine += change;
  page.state.given += change;
  drawStanding();
}

function refused(kind, body, reason) {
  notice(kind === "answer" ? `An answer was not taken: ${reason}` : reason);
  if (kind !== "answer") return;
  page.recent = page.recent.filter((item) => item.client_id !== body.client_id);
  if (body.group) page.madeGroups.delete(body.group.key);
  drawRecents();
  poll();
}

// How long from the key to the painted question: read it with performance.getEntriesByName.
function measurePaint(event) {
  if (!event || !page.current) return;
  requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () =>
      performance.measure("idc:key-to-paint", { start: event.timeStamp, end: performance.now() });
    channel.port2.postMessage(0);
  });
}

// -- groups of label questions ---------------------------------------------------------------

function drawGroups() {
  const place = page.current?.node.querySelector(".palette");
  if (place && !page.naming) drawPalette(place, groups(), groups().length >= page.state.max_groups);
}

function askName(tile, initial, placeholder, onName) {
  const field = element("input", { "aria-label": "Name of the group", maxlength: "60",
    placeholder, autocomplete: "off", spellcheck: "false" });
  field.value = initial;
  page.naming = true;
  tile.replaceWith(field);
  field.focus();
  field.select();
  const close = (name) => {
    if (!page.naming) return;
    page.naming = false;
    if (name !== null) onName(name || placeholder);
    drawGroups();
  };
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") close(field.value.trim());
    if (event.key === "Escape") close(null);
  });
  field.addEventListener("blur", () => close(null));
}

function nameNew(event) {
  const tile = page.current.node.querySelector(".fresh");
  if (!tile || tile.disabled) return;
  const [sample] = page.current.question.samples;
  askName(tile, "", `Group ${groups().length + 1}`, (name) => {
    const same = groups().find((group) => group.name.toLowerCase() === name.toLowerCase());
    const group = same ?? { key: makeId(), name, sample };
    if (!same) page.madeGroups.set(group.key, group);
    answer(`choose-${groups().indexOf(groups().find(({ key }) => key === group.key))}`, event);
  });
}

function rename(key) {
  const group = groups().find((known) => known.key === key);
  const tile = page.current.node.querySelector(`[data-key="${CSS.escape(key)}"]`).parentElement;
  askName(tile, group.name, group.name, (name) => {
    group.name = name;
    outbox.push("rename", { annotator: page.name, key, name });
  });
}

// -- screens ---------------------------------------------------------------------------------

function show() {
  if (page.current || !page.state) return;
  if (asking() && !unseenResult()) {
    const [next] = page.queue;
    if (next?.isReady) return showQuestion(page.queue.shift());
    if (next) {
      next.ready.then(show);
      return;
    }
  }
  showMessage(...screenNow());
}

function showQuestion(drawn) {
  const focused = document.activeElement?.closest("main [data-action]")?.dataset.action;
  page.current = drawn;
  page.view = "question";
  page.shownAt = performance.now();
  $("screen").replaceChildren(drawn.node);
  drawGroups();
  if (focused) drawn.node.querySelector(`[data-action="${focused}"]`)?.focus();
  $("announce").textContent = `Question ${page.state.mine + 1}`;
}

function showMessage(key, build) {
  if (page.view === key) return;
  page.view = key;
  $("screen").replaceChildren(build());
}

function unseenResult() {
  return page.state.results.length > page.resultsSeen ? page.state.results.at(-1) : null;
}

// What to show instead of a question: a key that changes when the screen has to, and the screen.
function screenNow() {
  const { state } = page;
  const result = unseenResult();
  const shown = JSON.stringify([state.progress, state.history.length]);
  if (state.phase === "waiting") {
    return [`waiting ${shown}`, () => drawProgress("Getting ready",
      "The network is being prepared. The first questions will be here soon.", state)];
  }
  if (state.phase === "learning") {
    return [`learning ${shown}`, () => drawProgress(`Thank you. Round ${state.round} is answered.`,
      `The network now learns from ${state.given} answers. You can watch, or come back later: `
      + "the next questions will wait for you here.", state)];
  }
  if (state.phase === "done") {
    return [`done ${state.results.length}`, () => drawResult(state.results.at(-1) ?? {}, {
      title: "The run is over. Thank you!",
      text: "All answers are saved and learned. You may close this page.",
    })];
  }
  if (result) {
    return [`result ${state.results.length}`, () => drawResult(result, {
      title: `Round ${result.round ?? state.round - 1} is learned`,
      text: "This is what the answers have bought.",
      more: `Go on with round ${state.round}`,
    })];
  }
  return betweenQuestions();
}

function betweenQuestions() {
  const { state } = page;
  const left = Math.ceil(state.closes_in ?? 0);
  if (outbox.entries().length) {
    return ["sending", () => message("Saving the last answers…",
      element("p", {}, "They are kept in this browser until the server has them."))];
  }
  if (state.complete) {
    return [`complete ${left}`, () => message(`All ${state.total} questions are answered`,
      element("p", {}, `The network starts to learn from them in ${left} s. `
        + "Until then you can still go back."),
      element("div", { class: "row" },
        element("button", { type: "button", class: "main", "data-action": "go" },
          badge("go"), " Start now"),
        element("button", { type: "button", "data-action": "undo" },
          badge("undo"), " Go back")))];
  }
  if (page.fetching || state.mine === 0) {
    return ["loading", () => message("The next question is on its way…")];
  }
  return [`others ${state.needed - state.given}`, () => message("Nothing left for you just now",
    element("p", {}, `${state.needed - state.given} answers are still missing, and other people `
      + "are giving them. This page goes on by itself."))];
}

function go() {
  if (page.current) return;
  if (unseenResult()) {
    page.resultsSeen = page.state.results.length;
    show();
  } else if (asking() && page.state.complete) {
    outbox.push("finish", { annotator: page.name, round: page.state.round });
  }
}

// -- the header, the strip, the dialogs ------------------------------------------------------

function drawStanding() {
  const { given, needed, round, phase } = page.state;
  const left = Math.max(0, needed - given);
  const mean = page.seconds.reduce((sum, value) => sum + value, 0) / (page.seconds.length || 1);
  const pace = mean > 0 && left > 0
    ? ` · ${Math.round(60 / mean)} a minute · about ${duration(left * mean)}` : "";
  $("round").textContent = round ? `· round ${round}` : "";
  $("standing").textContent = phase === "asking" ? `${given} of ${needed} · ${left} left${pace}` : "";
  const meter = $("meter");
  meter.setAttribute("aria-valuemax", String(needed || 1));
  meter.setAttribute("aria-valuenow", String(given));
  meter.firstElementChild.style.width = `${needed ? (100 * given) / needed : 0}%`;
}

function duration(seconds) {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

function drawSaved() {
  const waiting = outbox.entries().length;
  const text = !outbox.online ? `No connection: ${waiting} kept here`
    : waiting ? `Saving ${waiting}…` : "All saved";
  const place = $("saved");
  if (place.textContent === text) return;
  place.textContent = text;
  place.className = outbox.online ? "" : "offline";
}

function drawRecents() {
  $("recent").replaceChildren(...page.recent.slice(-MOST_RECENT).reverse().map(drawRecent));
}

function trimRecent() {
  while ($("recent").childElementCount > MOST_RECENT) $("recent").lastElementChild.remove();
}

let noticeTimer;

function notice(text) {
  const place = $("notice");
  place.textContent = text;
  place.hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { place.hidden = true; }, 7000);
}

function zoom() {
  const dialog = $("zoom-dialog");
  if (dialog.open) return dialog.close();
  if (!page.current) return;
  const { samples } = page.current.question;
  $("zoomed").replaceChildren(...samples.map((sample) => draw(sample, { large: true, smooth: true, alt: sample.name })));
  dialog.showModal();
}

function help() {
  const dialog = $("help-dialog");
  if (dialog.open) return dialog.close();
  drawKeys();
  dialog.showModal();
}

function drawKeys() {
  $("keys").replaceChildren(...listed().map(({ action, title, keys }) => element("tr", {},
    element("th", { scope: "row" }, title),
    element("td", {}, ...keys.map((key) => element("kbd", {}, label(key)))),
    element("td", {}, element("button",
      { type: "button", "data-action": "change-key", "data-key": action,
        "aria-label": `Change the key of: ${title}` },
      page.changing === action ? "press a key…" : "change")))));
  $("keys-hint").textContent = page.changing ? "Press the new key, or Esc to keep the old one." : "";
}

function changeKey(event) {
  event.preventDefault();
  event.stopPropagation();
  if (["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
  if (event.key !== "Escape") remap(page.changing, event.key.toLowerCase());
  page.changing = null;
  keysChanged();
}

function keysChanged() {
  drawKeys();
  page.queue = page.queue.map(({ question }) => prepare(question));
  if (!page.current) return;
  page.queue.unshift(prepare(page.current.question));
  page.current = null;
  show();
}

function askWho() {
  $("name-input").value = page.name;
  if (!$("name-dialog").open) $("name-dialog").showModal();
}

async function begin(name) {
  const changed = page.name !== name;
  page.name = name;
  localStorage.setItem("idc:name", name);
  $("who").textContent = name;
  if (changed) Object.assign(page, { queue: [], current: null, recent: [], seconds: [], state: null });
  await load();
}

// -- what happens ----------------------------------------------------------------------------

function act(action, event, target) {
  if ($("zoom-dialog").open && action !== "zoom") $("zoom-dialog").close();
  const fixed = {
    undo: () => goBack(null),
    "go-back": () => goBack(target?.dataset.id),
    zoom,
    help,
    go,
    who: askWho,
    close: () => target.closest("dialog").close(),
    rename: () => rename(target.dataset.key),
    "change-key": () => { page.changing = target.dataset.key; drawKeys(); },
    "reset-keys": () => { reset(); keysChanged(); },
  }[action];
  if (fixed) return fixed();
  if (!page.current) return;
  if (action === "none" && page.current.question.kind === "label") nameNew(event);
  else answer(action, event);
}

let lastPress = {};
let lastClick = 0;

addEventListener("keydown", (event) => {
  if (page.changing) return changeKey(event);
  if (page.naming || $("name-dialog").open || event.target.closest?.("input")) return;
  const pressing = event.target.closest?.("button, a, summary");
  if (pressing && [" ", "Enter"].includes(event.key)) return; // presses what has the focus
  const tiles = page.current ? tilesOf(page.current.question, groups()) : 0;
  const action = actionOf(event, tiles);
  if (!action || ($("help-dialog").open && action !== "help")) return;
  event.preventDefault();
  if (event.key === lastPress.key && event.timeStamp - lastPress.time < BOUNCE_MS) return;
  lastPress = { key: event.key, time: event.timeStamp };
  act(action, event);
}, true);

addEventListener("click", (event) => {
  const target = event.target.closest("[data-action]");
  if (!target || target.disabled) return;
  const again = event.detail > 1 && event.timeStamp - lastClick < DOUBLE_CLICK_MS;
  lastClick = event.timeStamp;
  if (again && target.closest("main")) return;
  if (event.detail > 0) target.blur(); // by mouse: the next space means skip, not this button
  act(target.dataset.action, event, target);
});

$("help-dialog").addEventListener("cancel", (event) => {
  if (page.changing) event.preventDefault();
});
$("name-dialog").addEventListener("cancel", (event) => {
  if (!page.name) event.preventDefault();
});
$("name-dialog").querySelector("form").addEventListener("submit", (event) => {
  const name = $("name-input").value.trim();
  if (name) begin(name);
  else event.preventDefault();
});

// -- staying in touch ------------------------------------------------------------------------

async function load() {
  await Promise.race([outbox.send(), new Promise((resolve) => setTimeout(resolve, POLL_MS))]);
  await poll();
  drawSaved();
}

async function poll() {
  let state;
  try {
    state = await read("api/state", { annotator: page.name });
  } catch {
    outbox.online = false;
    drawSaved();
    return;
  }
  outbox.online = true;
  await take(state);
}

async function take(state) {
  const opened = state.phase === "asking" && (!asking() || state.round !== page.state.round);
  const unsent = outbox.entries();
  const pending = (kind) => unsent.filter((entry) => entry.kind === kind).length;
  const ahead = pending("answer") - pending("undo");
  if (state.phase === "asking") {
    state.given += ahead;
    state.mine += ahead;
    if (ahead) state.complete = false;
  }
  noteLearning(state);
  page.state = state;
  if (opened) await open();
  if (state.phase !== "asking") Object.assign(page, { queue: [], current: null, recent: [] });
  drawStanding();
  drawSaved();
  drawGroups();
  if (state.phase !== "asking" && $("recent").childElementCount) drawRecents();
  show();
  fetchAhead();
}

async function open() {
  Object.assign(page, { queue: [], current: null, recent: [] });
  try {
    page.recent = (await read("api/recent", { annotator: page.name })).answers.map((item) => ({
      ...item,
      group: groups().find((group) => group.id === item.answer)?.name,
    }));
  } catch {
    // Without it one can go back to the answers given from now on.
  }
  drawRecents();
}

function noteLearning(state) {
  const { length } = state.results;
  page.resultsSeen ??= length;
  if (state.phase === "learning") page.learningSince ??= performance.now();
  if (state.phase !== "asking") return;
  const took = page.learningSince === null ? 0 : performance.now() - page.learningSince;
  if (length > page.resultsSeen && took < SHORT_LEARNING_MS && !asking()) page.resultsSeen = length;
  page.learningSince = null;
}

async function stay() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    if (page.name) await poll();
  }
}

if (page.name) begin(page.name);
else askWho();
stay();
