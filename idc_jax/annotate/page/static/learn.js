// What is seen between the rounds: training as it goes, and what the answers have bought.

import { badge, element, message, pictureOf } from "./draw.js";
import { duration, outlookOf } from "./words.js";

const NAMES = { acc: "Accuracy", nmi: "NMI", ari: "ARI", fmi: "Fowlkes–Mallows" };
const THUMBNAILS = 12;
// Told by the title, the bar and the curve.
const TOLD = ["phase", "step", "steps", "epoch", "epochs", "image", "images", "loss"];

function count(number) {
  return number.toLocaleString("en");
}

function format(value) {
  if (Number.isNaN(value)) return "–";
  if (typeof value !== "number") return String(value ?? "–");
  return Number.isInteger(value) ? String(value) : value.toPrecision(3);
}

// How far the training is, in steps or in epochs, whichever it counts; null where it counts none.
function amount(values) {
  const unit = ["step", "epoch", "image"].find((name) => values[`${name}s`] > 0);
  if (!unit) return null;
  const total = values[`${unit}s`];
  return { unit, total, done: Math.min(values[unit] ?? 0, total) };
}

let since = {}; // when this part of the training was first seen, and how far it was

// Seconds until `done` is `total`, or null while there is too little to tell by.
function secondsLeft(part, { done, total }) {
  const now = performance.now() / 1000;
  if (part !== since.part || done < since.done) since = { part, done, at: now };
  const pace = (done - since.done) / (now - since.at);
  return pace > 0 && done < total ? (total - done) / pace : null;
}

function bar(values) {
  const label = { class: "bar", role: "progressbar", "aria-label": "Training" };
  const inner = element("div");
  const found = amount(values);
  if (!found) return [element("div", { ...label, class: "bar endless" }, inner)];
  const { unit, done, total } = found;
  inner.style.width = `${(100 * done) / total}%`;
  const left = secondsLeft(`${values.phase} ${total}`, found);
  return [
    element("div", { ...label, "aria-valuemin": "0", "aria-valuemax": String(total),
      "aria-valuenow": String(done) }, inner),
    element("p", { class: "quiet" }, `${unit} ${count(done)} of ${count(total)}`
      + (left === null ? "" : ` · about ${duration(left)} left`)),
  ];
}

function curve(points) {
  if (points.length < 2) return null;
  const [low, high] = [Math.min(...points), Math.max(...points)];
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 100 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const told = `loss, from ${format(points[0])} to ${format(points.at(-1))}`;
  svg.setAttribute("aria-label", told);
  const line = document.createElementNS(space, "polyline");
  line.setAttribute("points", points.map((loss, i) =>
    `${(100 * i) / (points.length - 1)},${28 - (26 * (loss - low)) / (high - low || 1)}`).join(" "));
  svg.append(line);
  return element("figure", { class: "curve" }, svg, element("figcaption", {}, told));
}

// Training (or the preparation before the first round) as it goes.
export function drawProgress(title, text, { progress, losses }) {
  const facts = Object.entries(progress).filter(([name]) => !TOLD.includes(name));
  return message(title, element("p", {}, text), ...bar(progress), curve(losses),
    element("dl", { class: "facts" }, ...facts.flatMap(([name, value]) =>
      [element("dt", {}, name.replaceAll("_", " ")), element("dd", {}, format(value))])));
}

function metricRow(name, before, after) {
  const change = after - before;
  const cell = Number.isFinite(change)
    ? element("td", { class: change >= 0 ? "better" : "worse" },
      `${change >= 0 ? "▲ +" : "▼ −"}${Math.abs(change).toFixed(3)}`)
    : element("td", {}, "–");
  return element("tr", {}, element("th", { scope: "row" }, NAMES[name] ?? name),
    element("td", {}, format(before)), element("td", {}, format(after)), cell);
}

function metrics({ before, after }) {
  if (!after || !Object.keys(after).length) return null;
  const heads = ["", "before", "after", "change"].map((text) =>
    element(text ? "th" : "td", text ? { scope: "col" } : {}, text));
  return element("table", { class: "metrics" }, element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...Object.keys(after).map((name) =>
      metricRow(name, before?.[name] ?? NaN, after[name] ?? NaN))));
}

function strip(title, indices) {
  if (!indices) return null;
  return element("div", { class: "strip" }, element("span", {}, title),
    ...indices.slice(0, THUMBNAILS).map((index) => pictureOf(index)));
}

function galleries({ galleries_before: before, galleries_after: after, names }) {
  const count = Math.max(before?.length ?? 0, after?.length ?? 0);
  if (!count) return null;
  return element("div", { class: "galleries" }, ...Array.from({ length: count }, (_, cluster) =>
    element("section", {}, element("h3", {}, names?.[cluster] ?? `cluster ${cluster}`),
      strip("before", before?.[cluster]), strip("after", after?.[cluster]))));
}

// What a round has bought; `more` is a button to go on, where there is something to go on to.
export function drawResult(result, { title, text, more }) {
  const go = more ? element("button", { type: "button", class: "main", "data-action": "go" },
    badge("go"), ` ${more}`) : null;
  const expected = outlookOf(result);
  return message(title, element("p", {}, text), expected ? element("p", {}, expected) : null, go,
    metrics(result), galleries(result));
}
