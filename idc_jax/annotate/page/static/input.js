// Keys and clicks become actions, and what only looks like one does not.

import { actionOf } from "./keys.js";

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
  return again && target.closest("main");
}

// `tiles()` is how many can be chosen now, `isBlocked(event, action)` says that a key is not ours,
// `act(action, event, target)` does what is asked for.
export function listen({ tiles, isBlocked, act }) {
  addEventListener("keydown", (event) => {
    const focus = event.target.closest?.("button, a, input");
    if (isBlocked(event, null) || focus?.matches("input")) return;
    if (focus && [" ", "Enter"].includes(event.key)) return; // presses what has the focus
    const action = actionOf(event, tiles());
    if (!action || isBlocked(event, action)) return;
    event.preventDefault();
    if (!bounced(event)) act(action, event);
  }, true);

  addEventListener("click", (event) => {
    const target = event.target.closest("[data-action]");
    if (!target || target.disabled || isSecondOfTwo(event, target)) return;
    if (event.detail > 0) target.blur(); // by mouse: the next space means skip, not this button
    act(target.dataset.action, event, target);
  });
}

// What an action says of a question, as it is posted; null where it says nothing.
export function meaning(question, action, groups) {
  if (action === "skip") return { answer: "skip" };
  if (action === "none") return question.kind === "cluster" ? { answer: "none" } : null;
  const place = Number(action.slice("choose-".length));
  if (question.kind === "pair") return place < PAIR.length ? { answer: PAIR[place] } : null;
  if (question.kind === "cluster") {
    const chosen = question.candidates[place];
    return chosen ? { answer: chosen.cluster } : null;
  }
  const group = groups[place];
  return group ? { group: { key: group.key, name: group.name } } : null;
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
