// From what the server says to what is seen: samples, questions, recent answers.

import { keysOf, label } from "./keys.js";
import { PROMPTS, SAID } from "./words.js";

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

// Squares larger than this hide what a picture of few pixels shows, seen from a desk.
const MOST_SCALED = 10;
const LEAST_SIDE = 240;

export function pictureOf(index, { large = false, crisp = true, alt = "" } = {}) {
  const picture = `${large ? "large" : "tile"}/${index}`;
  return element("img", {
    src: run ? `pictures/${run}/${picture}` : null,
    "data-picture": picture,
    alt,
    draggable: "false",
    class: crisp ? "crisp" : null,
  });
}

// A sample as its picture, or as a card with its name where it has none.
export function draw(sample, { large = false, smooth = false, alt = "" } = {}) {
  if (sample.picture) return pictureOf(sample.index, { large, crisp: Boolean(sample.side) && !smooth, alt });
  const near = sample.near.length ? element("small", {}, `near: ${sample.near.join(", ")}`) : null;
  return element("span", { class: "named" }, element("b", {}, sample.name), large ? near : null);
}

function caption(sample) {
  if (sample.link) {
    const attributes = { href: sample.link, target: "_blank", rel: "noopener noreferrer" };
    return element("figcaption", {}, element("a", attributes, sample.name));
  }
  return element("figcaption", {}, sample.name);
}

export function badge(action) {
  const keys = keysOf(action);
  if (!keys.length) return element("kbd", { class: "none" });
  return element("kbd", {}, label(keys[0]));
}

// Both keys of a tile, the letter and the digit.
function badges(action) {
  const also = keysOf(action).slice(1, 2).map(label);
  return element("span", { class: "badges" }, badge(action), element("small", {}, ...also));
}

export function button(action, text, attributes = {}) {
  return element("button", { type: "button", "data-action": action, ...attributes },
    badge(action), ` ${text}`);
}

function subject(sample, alt) {
  const picture = draw(sample, { large: true, alt });
  if (sample.side) {
    picture.style.maxHeight = `${Math.max(MOST_SCALED * sample.side, LEAST_SIDE)}px`;
  }
  // What is drawn as its name needs no caption but its link.
  const told = sample.picture || sample.link ? caption(sample) : null;
  const figure = element("figure", { class: "subject" }, picture, told);
  // Two small pictures stand side by side, not at the two ends of the screen.
  if (sample.side && sample.picture) figure.style.setProperty("--side", picture.style.maxHeight);
  return figure;
}

function actions(kind) {
  const none = kind === "cluster" ? button("none", "None of these") : null;
  return element("div", { class: "actions" }, none, button("skip", "Skip"),
    button("undo", "Undo"));
}

function prompt(question) {
  return element("h2", { class: "prompt" }, PROMPTS[question.kind]);
}

function clusterTile(candidate, place) {
  const action = `choose-${place}`;
  const { exemplar, members } = candidate;
  const name = `Group ${label(keysOf(action)[0] ?? String(place + 1))}`;
  return element("button",
    { type: "button", class: "tile", "data-action": action, "aria-label": name },
    badges(action),
    element("span", { class: "exemplar" }, exemplar ? draw(exemplar) : "–"),
    element("span", { class: "members" }, ...members.map((member) => draw(member))));
}

function drawCluster(question) {
  return element("section", { class: "question cluster" },
    element("div", { class: "left" },
      prompt(question), subject(question.samples[0], "The image asked about"), actions("cluster")),
    element("div", { class: "tiles", role: "group", "aria-label": "Groups to choose from" },
      ...question.candidates.map(clusterTile)));
}

function drawPair(question) {
  const [first, second] = question.samples;
  return element("section", { class: "question pair" },
    prompt(question),
    element("div", { class: "two" }, subject(first, "First image"), subject(second, "Second image")),
    element("div", { class: "verdict", role: "group", "aria-label": "Same or different" },
      button("choose-0", "Same", { class: "same" }),
      button("choose-1", "Different", { class: "different" })),
    actions("pair"));
}

function drawLabel(question) {
  return element("section", { class: "question label" },
    element("div", { class: "left" },
      prompt(question), subject(question.samples[0], "The image asked about"), actions("label")),
    element("div", { class: "palette", role: "group", "aria-label": "Groups named so far" }));
}

// The node of a question, and a promise of all its pictures being ready to paint.
export function drawQuestion(question) {
  const node = { cluster: drawCluster, pair: drawPair, label: drawLabel }[question.kind](question);
  const pictures = [...node.querySelectorAll("img")];
  return { question, node, ready: Promise.allSettled(pictures.map((image) => image.decode())) };
}

export function tilesOf(question, groups) {
  return { cluster: question.candidates.length, pair: 2, label: groups.length }[question.kind];
}

// Drawn again only where it changed: a tile must not vanish between the two halves of a click.
export function drawPalette(place, groups, full) {
  const wanted = JSON.stringify([groups.map(({ key, name }) => [key, name]), full]);
  if (place.dataset.shown === wanted) return;
  place.dataset.shown = wanted;
  const tiles = groups.map((group, i) => element("div", { class: "group" },
    element("button",
      { type: "button", class: "tile", "data-action": `choose-${i}`, "aria-label": group.name },
      badges(`choose-${i}`),
      element("span", { class: "exemplar" }, group.sample ? draw(group.sample) : "–"),
      element("span", { class: "name" }, group.name)),
    element("button", { type: "button", class: "rename", "data-action": "rename",
      "data-key": group.key, "aria-label": `Rename ${group.name}`, title: "Rename" }, "✎")));
  const fresh = element("button",
    { type: "button", class: "tile fresh", "data-action": "none", disabled: full },
    badges("none"), element("span", { class: "name" },
      full ? `All ${groups.length} groups are named` : "A new group"));
  place.replaceChildren(...tiles, element("div", { class: "group" }, fresh));
}

// What is shown instead of a question.
export function message(title, ...children) {
  return element("section", { class: "message" }, element("h2", {}, title), ...children);
}

// One recent answer, to go back to.
export function drawRecent({ client_id: id, answer, question, group }) {
  const chosen = question.candidates.find((candidate) => candidate.cluster === answer);
  const said = chosen?.exemplar ? draw(chosen.exemplar)
    : element("span", { class: "said" }, SAID[answer] ?? group ?? String(answer));
  const what = SAID[answer] ?? group ?? `group ${answer}`;
  return element("li", {},
    element("button", { type: "button", "data-action": "go-back", "data-id": id,
      "aria-label": `Go back to question ${question.position + 1}, answered: ${what}`,
      title: "Go back to this one" },
    ...question.samples.map((sample) => draw(sample)),
    element("span", { class: "arrow", "aria-hidden": "true" }, "→"), said));
}
