// How far one is, what is saved, and the latest answers.

import { drawRecent } from "./draw.js";
import { duration, outlookOf } from "./words.js";

const MOST_RECENT = 14;
const $ = (id) => document.getElementById(id);

// What waits in the outbox is counted too. `shown` is given while answers were under way: the
// server may or may not have counted them, so that what stands here is surer than what it said.
export function addUnsent(state, outbox, shown) {
  const worth = { answer: 1, undo: -1 };
  const unsent = outbox.entries().filter(({ kind }) => kind in worth);
  const ahead = unsent.reduce((sum, { kind }) => sum + worth[kind], 0);
  if (unsent.length) state.complete = false;
  state.given = shown ? shown.given : state.given + ahead;
  state.mine = shown ? shown.mine : state.mine + ahead;
}

// `seconds` are those that the last answers took.
export function drawStanding({ given, needed, round, phase, result, title }, seconds) {
  const left = Math.max(0, needed - given);
  const mean = seconds.reduce((sum, value) => sum + value, 0) / (seconds.length || 1);
  const pace = mean > 0 && left > 0
    ? ` · ${Math.round(60 / mean)} a minute · about ${duration(left * mean)}` : "";
  // Of the data, once they are known.
  if ($("title").textContent !== title) $("title").textContent = title;
  $("round").textContent = round ? `· round ${round}` : "";
  $("standing").textContent = phase === "asking" ? `${given} of ${needed} · ${left} left${pace}` : "";
  const outlook = phase === "asking" ? outlookOf(result) : "";
  if ($("outlook").textContent !== outlook) $("outlook").textContent = outlook;
  $("stop").hidden = phase !== "asking";
  const meter = $("meter");
  meter.setAttribute("aria-valuemax", String(needed || 1));
  meter.setAttribute("aria-valuenow", String(given));
  meter.firstElementChild.style.width = `${needed ? (100 * given) / needed : 0}%`;
}

export function drawSaved(waiting, online) {
  const text = !online ? `No connection: ${waiting} kept here`
    : waiting ? `Saving ${waiting}…` : "All saved";
  const place = $("saved");
  if (place.textContent === text) return;
  place.textContent = text;
  place.className = online ? "" : "offline";
}

export function drawRecents(answers) {
  $("recent").replaceChildren(...answers.slice(-MOST_RECENT).reverse().map(drawRecent));
}

export function addRecent(answer) {
  $("recent").prepend(drawRecent(answer));
  while ($("recent").childElementCount > MOST_RECENT) $("recent").lastElementChild.remove();
}
