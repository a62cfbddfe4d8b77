// Keys and clicks become actions, and what only looks like one does not.

import { actionOf } from "./keys.js";
import { isTyping } from "./palette.js";

// A key that comes again so soon bounced, and the second click of a double click is no answer.
const BOUNCE_MS = 20;
const DOUBLE_CLICK_MS = 250;
const PAIR = ["same", "different"];

let lastPress = {};
let lastClick = 0;

function bounced(event) {
  const again = event.key === lastPress.key && event.timeStamp - lastPress.time < BOUNCE_MS;
  if (!again) lastPress = { key: event.key, time: event.timeStamp };
  return again;
}

function isSecondOfTwo(event, target) {
  const again = event.detail > 1 && event.timeStamp - lastClick < DOUBLE_CLICK_MS;
  lastClick = event.timeStamp;
  return again && target.closest(".screen");
}

// Where names are typed, and what a key does there besides being text.
const EDITING = { Enter: "typed", ArrowDown: "next", ArrowUp: "previous", Escape: "clear" };

function typedAction(event, naming, tiles) {
  // An input method takes Enter and the rest for itself while it composes.
  if (event.isComposing || event.keyCode === 229 || event.repeat) return null;
  const editing = event.key === "Enter" && event.shiftKey ? "none" : EDITING[event.key];
  const isOurs = isTyping(naming) || event.key === "Enter";
  if (editing && isOurs && !hasModifier(event)) return editing;
  // One too many when a word was deleted is not meant to take back an answer.
  const isDeleting = event.key === "Backspace" && naming.dataset.edited;
  const action = isTyping(naming) || isDeleting ? null : actionOf(event, tiles, { typing: true });
  return action ?? (isText(event) ? "search" : null);
}

function hasModifier(event) {
  return event.ctrlKey || event.metaKey || event.altKey;
}

function isText(event) {
  return event.key.length === 1 && (!hasModifier(event) || event.getModifierState("AltGraph"));
}

// `root` is where keys and clicks count, `tiles()` is how many can be chosen now,
// `naming()` is where names are typed, if they are, `isBlocked(event, action)` says that a key is not
// ours, `act(action, event, target)` does what is asked for, `rest(target)` takes the focus from a
// button that was clicked, and `signal` ends it all.
export function listen(root, { tiles, naming, isBlocked, act, rest, signal }) {
  // On the window, before anything else on the page takes the key.
  addEventListener("keydown", (event) => {
    if (!event.composedPath().includes(root)) return;
    const focus = event.composedPath()[0].closest?.("button, a, input, summary");
    const place = naming();
    const isField = focus?.matches("input") && Boolean(place?.contains(focus));
    if (isBlocked(event, null) || (focus?.matches("input") && !isField)) return;
    if (focus && !isField && [" ", "Enter"].includes(event.key)) return; // presses what has the focus
    const action = place ? typedAction(event, place, tiles()) : actionOf(event, tiles());
    if (!action || isBlocked(event, action)) return;
    if (action === "search") {
      if (!isField) act(action, event); // then the key is text in the field
      return;
    }
    event.preventDefault();
    if (action === "clear") event.stopImmediatePropagation(); // a notebook would leave the cell
    if (!bounced(event)) act(action, event);
  }, { capture: true, signal });

  root.addEventListener("input", (event) => {
    if (naming()?.contains(event.target)) act("edited", event);
  }, { signal });

  root.addEventListener("click", (event) => {
    const target = event.target.closest("[data-action]");
    if (!target || target.disabled || isSecondOfTwo(event, target)) return;
    if (event.detail > 0) rest(target); // by mouse: the next space means skip, not this button
    act(target.dataset.action, event, target);
  }, { signal });
}

// What an action says, as it is posted, of each sample that a question asks about; [] for nothing.
// `strangers` are the places that were clicked in a grid.
export function meanings(question, action, groups, strangers) {
  const { positions, group } = question;
  if (question.kind !== "grid") {
    const said = meaning(question, action, groups);
    return said ? [{ position: question.position, ...said }] : [];
  }
  if (action === "skip") return positions.map((position) => ({ position, answer: "skip" }));
  if (action !== "go") return [];
  return positions.map((position, place) => (
    { position, answer: strangers.includes(place) ? "none" : group.id }));
}

function meaning(question, action, groups) {
  if (action === "skip") return { answer: "skip" };
  if (action === "none") return question.kind === "cluster" ? { answer: "none" } : null;
  if (!action.startsWith("choose-")) return null;
  const place = Number(action.slice("choose-".length));
  if (question.kind === "pair") return place < PAIR.length ? { answer: PAIR[place] } : null;
  if (question.kind === "cluster") {
    const chosen = question.candidates[place];
    return chosen ? { answer: chosen.cluster } : null;
  }
  const group = groups[place];
  return group ? { group: { key: group.key, name: group.name } } : null;
}

export function makeId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// How long from the key to the painted question: read it with performance.getEntriesByName.
export function measurePaint(event) {
  requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () =>
      performance.measure("idc:key-to-paint", { start: event.timeStamp, end: performance.now() });
    channel.port2.postMessage(0);
  });
}
