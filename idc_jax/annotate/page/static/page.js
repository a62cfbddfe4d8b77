// The page: which screen is shown, what a key does, and what is fetched ahead.

import { changeKeyOf, closeZoom, help, isOpen, notice, resetKeys, takesKey, zoom }
  from "./dialogs.js";
import { mendPictures } from "./draw.js";
import { listen, makeId, meanings, measurePaint } from "./input.js";
import { askName, folded, groupCalled, isAskingName } from "./naming.js";
import { drawPalette, meant, newMeant, search } from "./palette.js";
import { strangersOn, tilesOf, toggleStranger } from "./question.js";
import { Queue } from "./queue.js";
import { drawCountdown, screenNow, titleOf } from "./screens.js";
import { FURTHER } from "./over.js";
import { Outbox, read } from "./server.js";
import { addRecent, addUnsent, drawRecents, drawSaved, drawStanding } from "./standing.js";

const MOST_UNSENT = 40; // no further questions while so many answers wait for the server
const POLL_MS = 1000;
const SHORT_LEARNING_MS = 3000; // what was learned faster needs no screen of its own

const SEARCH_FIELD = ".search input";
// On a touch screen a field that has the focus covers half of the page with letters.
const hasKeyboard = matchMedia("(hover: hover)");

const run = document.body.dataset.run;
const $ = (id) => document.getElementById(id);

const page = {
  name: localStorage.getItem("idc:name") ?? "",
  state: null, // what the server said last
  queue: new Queue(), // the questions to come
  current: null, // the drawn question on the screen
  shownAt: 0,
  recent: [], // own answers of this round, oldest first
  seconds: [], // of the last answers
  madeGroups: new Map(), // named here, not yet known to the server
  resultsSeen: null,
  learningSince: null,
  view: "", // what the screen shows when it shows no question
  focused: null, // the selector of what had the focus when a question left the screen
};

const outbox = new Outbox(run, {
  onChange: () => showSaved(),
  onRefused: (kind, body, reason) => refused(kind, body, reason),
});

// -- questions -------------------------------------------------------------------------------

function asking() {
  return page.state?.phase === "asking";
}

function groups() {
  const known = page.state?.groups ?? [];
  // Somebody else may have named the same group meanwhile.
  const there = new Set(known.flatMap(({ key, name }) => [key, folded(name)]));
  const made = [...page.madeGroups.values()];
  return [...known, ...made.filter(({ key, name }) => !there.has(key) && !there.has(folded(name)))];
}

function unsentPositions() {
  return outbox.entries()
    .filter(({ kind, body }) => kind === "answer" && body.round === page.state.round)
    .map(({ body }) => body.position);
}

async function fetchAhead() {
  const unsent = unsentPositions();
  if (!asking() || unsent.length > MOST_UNSENT) return;
  const { name: annotator, state: { round } } = page;
  const current = page.current?.question.position ?? null;
  await page.queue.fetch({ annotator, round, current, unsent });
  if (page.state?.round !== round) page.queue.clear();
  if (!page.current) show();
}

function answer(action, event) {
  const { question, node } = page.current;
  const given = meanings(question, action, groups(), strangersOn(node));
  if (!given.length) return;
  const seconds = Math.round(performance.now() - page.shownAt) / 1000 / given.length;
  const bodies = given.map((one) => (
    { client_id: makeId(), annotator: page.name, round: question.round, seconds, ...one }));
  page.recent.push({
    client_ids: bodies.map(({ client_id: id }) => id),
    answers: given.map((one) => one.answer),
    group: given[0].group?.name,
    question,
  });
  page.seconds = [...page.seconds.slice(-19), Math.min(seconds, 60)];
  count(given.length);
  page.current = null;
  show();
  if (event && page.current) measurePaint(event);
  addRecent(page.recent.at(-1));
  for (const body of bodies) outbox.push("answer", body);
  fetchAhead();
}

function goBack(id) {
  const place = id ? page.recent.findIndex((item) => item.client_ids.includes(id)) : page.recent.length - 1;
  const item = page.recent[place];
  if (!item || !asking()) return;
  page.recent.splice(place, 1);
  for (const undoes of item.client_ids) {
    outbox.push("undo", { client_id: makeId(), annotator: page.name, undoes });
  }
  count(-item.client_ids.length);
  page.state.complete = false;
  if (page.current) page.queue.putFirst(page.current.question);
  page.current = null;
  page.queue.putFirst(item.question);
  drawRecents(page.recent);
  show();
}

function count(change) {
  page.state.mine += change;
  page.state.given += change;
  drawStanding(page.state, page.seconds);
}

function refused(kind, body, reason) {
  notice(kind === "answer" ? `An answer was not taken: ${reason}` : reason);
  if (kind !== "answer") return;
  page.recent = page.recent.filter((item) => !item.client_ids.includes(body.client_id));
  if (body.group) page.madeGroups.delete(body.group.key);
  drawRecents(page.recent);
  poll();
}

// -- groups of label questions ---------------------------------------------------------------

function naming() {
  return page.current?.node.querySelector(".naming") ?? null;
}

function isFull() {
  return groups().length >= page.state.max_groups;
}

function drawGroups() {
  if (naming()) drawPalette(naming(), groups(), isFull());
}

// The first Enter begins a name, the second one gives it, or a number where nothing was typed.
function answerTyped(event, choose = meant) {
  const said = choose(naming(), groups(), isFull());
  if (!said) {
    search(naming(), "begin");
    return drawGroups();
  }
  const [sample] = page.current.question.samples;
  const group = said.group ?? groupCalled(said.name, groups(), makeId(), sample);
  if (!groups().includes(group)) page.madeGroups.set(group.key, group);
  answer(`choose-${groups().findIndex(({ key }) => key === group.key)}`, event);
}

function rename(key) {
  const group = groups().find((known) => known.key === key);
  askName(document.body, group, groups(), (name) => {
    group.name = name;
    outbox.push("rename", { annotator: page.name, key, name });
    drawGroups();
  });
}

// -- screens ---------------------------------------------------------------------------------

function show() {
  if (page.current || !page.state) return;
  if (asking() && !unseenResult()) {
    const next = page.queue.first;
    if (next?.isReady) return showQuestion(page.queue.takeFirst());
    if (next) {
      // The question before it may still stand there, but takes no more keys: that has to be seen.
      $("screen").ariaBusy = "true";
      next.ready.then(show);
      return;
    }
  }
  drawCountdown(page.state);
  showMessage(...screenNow(page.state, {
    result: unseenResult(),
    unsent: outbox.entries().length > 0,
    fetching: page.queue.fetching || !page.queue.heard,
  }));
}

function showQuestion(drawn) {
  noteFocus();
  page.current = drawn;
  page.view = "question";
  page.shownAt = performance.now();
  setScreen(drawn.node);
  drawGroups();
  const stay = page.focused ?? (hasKeyboard.matches ? SEARCH_FIELD : null);
  if (stay) drawn.node.querySelector(stay)?.focus();
  page.focused = null;
  $("announce").textContent = `Question ${page.state.mine + 1}`;
}

// The keyboard stays at its button from question to question, also over a screen in between.
function noteFocus() {
  const target = document.activeElement;
  if (target?.matches("main .question [data-action]")) {
    page.focused = `[data-action="${target.dataset.action}"]`;
  } else if (target?.matches(`main ${SEARCH_FIELD}`)) page.focused = SEARCH_FIELD;
}

function showMessage(key, build) {
  if (page.view === key) return;
  noteFocus();
  page.view = key;
  setScreen(build());
}

function setScreen(node) {
  $("screen").replaceChildren(node);
  $("screen").ariaBusy = null;
}

function unseenResult() {
  return page.state.results > page.resultsSeen ? page.state.result : null;
}

function showSaved() {
  const waiting = outbox.entries().length;
  const over = page.state?.phase === "done" && !waiting; // nobody is expected to answer any more
  drawSaved(waiting, outbox.online || over);
}

function go() {
  if (unseenResult()) {
    page.resultsSeen = page.state.results;
    show();
  } else if (asking() && page.state.complete) {
    outbox.push("finish", { annotator: page.name, round: page.state.round });
  }
}

// The answers that wait here go first: posts are sent in their order.
function stop(target) {
  target.closest("dialog").close();
  if (asking()) outbox.push("stop", { annotator: page.name, round: page.state.round });
}

// -- the header, the strip, the dialogs ------------------------------------------------------

function keysChanged() {
  page.queue.redraw();
  if (!page.current) return;
  page.queue.putFirst(page.current.question);
  page.current = null;
  show();
}

function askWho() {
  $("name-input").value = page.name;
  if (!isOpen("name-dialog")) $("name-dialog").showModal();
}

function forgetQuestions() {
  page.queue.clear();
  page.current = null;
  page.recent = [];
}

async function begin(name) {
  const changed = page.name !== name;
  if (changed && page.name) outbox.push("leave", { annotator: page.name });
  page.name = name;
  localStorage.setItem("idc:name", name);
  $("who").textContent = name;
  if (changed) {
    forgetQuestions();
    $("screen").ariaBusy = "true"; // what stands there was another person's
    Object.assign(page, { seconds: [], state: null, view: "" });
  }
  await load();
}

// -- what happens ----------------------------------------------------------------------------

function act(action, event, target) {
  if (action !== "zoom") closeZoom();
  const fixed = {
    undo: () => goBack(null),
    "go-back": () => goBack(target?.dataset.id),
    zoom: () => (page.current || isOpen("zoom-dialog")) && zoom(page.current?.question.samples),
    help: () => help(keysChanged),
    stop: () => asking() && $("stop-dialog").showModal(),
    "stop-now": () => stop(target),
    go: () => (page.current ? answer("go", event) : go()),
    more: () => outbox.push("more", { annotator: page.name, round: page.state.round, count: FURTHER }),
    end: () => outbox.push("more", { annotator: page.name, round: page.state.round, count: 0 }),
    who: askWho,
    close: () => target.closest("dialog").close(),
    rename: () => rename(target.dataset.key),
    "change-key": () => changeKeyOf(target.dataset.key),
    "reset-keys": resetKeys,
  }[action];
  if (fixed) return fixed();
  if (!page.current) return;
  if (page.current.question.kind === "grid" && action.startsWith("choose-")) {
    return toggleStranger(page.current.node, Number(action.slice("choose-".length)));
  }
  if (!naming()) return answer(action, event);
  if (search(naming(), action)) drawGroups();
  else if (action === "typed") answerTyped(event);
  else if (action === "none") answerTyped(event, newMeant);
  else answer(action, event);
}

listen(document, {
  act,
  rest: (target) => target.blur(),
  naming,
  tiles: () => (page.current ? tilesOf(page.current.question, groups()) : 0),
  isBlocked: (event, action) => (action === null
    ? takesKey(event) || isAskingName(document) || isOpen("name-dialog")
    : isOpen("stop-dialog") || (isOpen("help-dialog") && action !== "help")),
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
  showSaved();
}

async function poll() {
  let state;
  const before = outbox.version;
  try {
    state = await read("api/state", { annotator: page.name });
  } catch {
    outbox.online = false;
    showSaved();
    return;
  }
  outbox.online = true;
  mendPictures();
  await take(state, before === outbox.version && !outbox.entries().length);
}

async function take(state, isSettled) {
  const opened = state.phase === "asking" && (!asking() || state.round !== page.state.round);
  if (state.phase === "asking") addUnsent(state, outbox, opened || isSettled ? null : page.state);
  noteLearning(state);
  page.state = state;
  if (isSettled) page.madeGroups.clear(); // all that count are among the server's
  if (opened) await open();
  if (state.phase !== "asking") forgetQuestions();
  drawStanding(page.state, page.seconds);
  document.title = titleOf(state, asking() && document.hidden);
  showSaved();
  drawGroups();
  if (state.phase !== "asking" && $("recent").childElementCount) drawRecents(page.recent);
  show();
  fetchAhead();
}

async function open() {
  forgetQuestions();
  try {
    page.recent = (await read("api/recent", { annotator: page.name })).answers.map((item) => ({
      ...item,
      group: groups().find((group) => group.id === item.answers[0])?.name,
    }));
  } catch {
    // Without it one can go back to the answers given from now on.
  }
  drawRecents(page.recent);
}

function noteLearning(state) {
  page.resultsSeen ??= state.results;
  if (state.phase === "over") page.resultsSeen = state.results; // that screen shows the last one
  if (state.phase === "learning") page.learningSince ??= performance.now();
  if (state.phase !== "asking") return;
  const took = page.learningSince === null ? 0 : performance.now() - page.learningSince;
  if (took < SHORT_LEARNING_MS && !asking()) page.resultsSeen = state.results;
  page.learningSince = null;
}

async function stay() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    if (page.name) await poll();
  }
}

document.addEventListener("visibilitychange", () => {
  if (page.state) document.title = titleOf(page.state, asking() && document.hidden);
});

if (page.name) begin(page.name);
else askWho();
stay();
