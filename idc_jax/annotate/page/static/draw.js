// From what the server says to what is seen: samples, questions, recent answers.

import { keysOf, label } from "./keys.js";
import { SAID } from "./words.js";

// None in a notebook, which has no addresses for pictures and fills them in as they come.
const run = document.body.dataset.run;

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

const broken = new Set(); // pictures that did not come

// Squares larger than this hide what a picture of few pixels shows, seen from a desk.
const MOST_SCALED = 10;
const LEAST_SIDE = 240;

// `size`: a "tile", "large", the "whole" of a file's pixels, or as the network has "seen" it.
export function pictureOf(index, { size = "tile", crisp = true, alt = "" } = {}) {
  const picture = `${size}/${index}`;
  const image = element("img", {
    src: run ? `pictures/${run}/${picture}` : null,
    "data-picture": picture,
    alt,
    draggable: "false",
    class: crisp ? "crisp" : null,
  });
  image.addEventListener("error", () => broken.add(image));
  return image;
}

// What did not come while the server was away is asked for again.
export function mendPictures() {
  const lost = [...broken];
  broken.clear();
  for (const image of lost) image.src = image.src;
}

// A sample as its picture, or as a card with its name where it has none.
export function draw(sample, { size = "tile", smooth = false, alt = "" } = {}) {
  if (sample.picture) return pictureOf(sample.index, { size, crisp: Boolean(sample.side) && !smooth, alt });
  const near = sample.near.length ? element("small", {}, `near: ${sample.near.join(", ")}`) : null;
  return element("span", { class: "named" }, element("b", {}, sample.name), size === "tile" ? null : near);
}

export function caption(sample) {
  if (sample.link) {
    const attributes = { href: sample.link, target: "_blank", rel: "noopener noreferrer" };
    return element("figcaption", {}, element("a", attributes, sample.name));
  }
  return element("figcaption", {}, sample.name);
}

export function badge(action, options) {
  const keys = keysOf(action, options);
  if (!keys.length) return element("kbd", { class: "none" });
  return element("kbd", {}, label(keys[0]));
}

// Both keys of a tile, the letter and the digit; where names are `typing`, the digit alone.
export function badges(action, options) {
  const also = keysOf(action, options).slice(1, 2).map(label);
  return element("span", { class: "badges" }, badge(action, options), element("small", {}, ...also));
}

export function button(action, text, attributes = {}, options = {}) {
  return element("button", { type: "button", "data-action": action, ...attributes },
    badge(action, options), ` ${text}`);
}

// Of a photograph that is no square the network does not see all, or not in its shape.
function seen(sample) {
  if (!sample.cut) return null;
  return element("small", { class: "seen quiet" }, "The network sees ",
    pictureOf(sample.index, { size: "seen", alt: "what is left of it" }));
}

export function subject(sample, alt) {
  const picture = draw(sample, { size: "large", alt });
  if (sample.side) {
    picture.style.maxHeight = `${Math.max(MOST_SCALED * sample.side, LEAST_SIDE)}px`;
  }
  // What is drawn as its name needs no caption but its link.
  const told = sample.picture || sample.link ? caption(sample) : null;
  const figure = element("figure", { class: "subject" }, picture, told, seen(sample));
  // Two small pictures stand side by side, not at the two ends of the screen.
  if (sample.side && sample.picture) figure.style.setProperty("--side", picture.style.maxHeight);
  return figure;
}

// What is shown instead of a question.
export function message(title, ...children) {
  return element("section", { class: "message" }, element("h2", {}, title), ...children);
}

const MOST_DRAWN = 2; // samples of a recent answer

function inWords({ answers, question, group }) {
  if (question.kind !== "grid" || answers[0] === "skip") return SAID[answers[0]] ?? group;
  const strangers = answers.filter((answer) => answer === "none").length;
  return `${question.group.name}, ${strangers ? `${strangers} not` : "all"}`;
}

// One recent answer, to go back to.
export function drawRecent(item) {
  const { client_ids: [id], answers: [answer], question } = item;
  const chosen = question.candidates.find((candidate) => candidate.cluster === answer);
  const words = inWords(item);
  const said = chosen?.exemplar ? draw(chosen.exemplar)
    : element("span", { class: "said" }, words ?? String(answer));
  const what = words ?? `group ${answer}`;
  return element("li", {},
    element("button", { type: "button", "data-action": "go-back", "data-id": id,
      "aria-label": `Go back to question ${question.position + 1}, answered: ${what}`,
      title: `${what}: go back to this one` },
    ...question.samples.slice(0, MOST_DRAWN).map((sample) => draw(sample)),
    element("span", { class: "arrow", "aria-hidden": "true" }, "→"), said));
}
