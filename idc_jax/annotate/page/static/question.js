// A question as it is seen and answered.

import { badge, badges, button, draw, element, subject } from "./draw.js";
import { keysOf, label } from "./keys.js";
import { drawNaming } from "./palette.js";
import { PROMPTS } from "./words.js";

function actions(kind) {
  const typing = kind === "label";
  const none = kind === "cluster" ? button("none", "None of these") : null;
  return element("div", { class: "actions" }, none, button("skip", "Skip", {}, { typing }),
    button("undo", "Undo", {}, { typing }));
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
    drawNaming());
}

// What is not part of a group: what is clicked is a stranger, one key says that the others are right.
function drawGrid(question) {
  const { group, samples } = question;
  const reference = group.sample
    ? element("span", { class: "reference" }, draw(group.sample, { alt: `Of ${group.name}` })) : null;
  return element("section", { class: "question grid" },
    element("div", { class: "asked" }, reference,
      element("h2", { class: "prompt" }, PROMPTS.grid, element("b", {}, group.name), "”?")),
    element("div", { class: "shown", role: "group", "aria-label": `Thought to be ${group.name}` },
      ...samples.map(gridTile)),
    element("div", { class: "verdict" }, button("go", "", { class: "main confirm" })),
    actions("grid"));
}

function gridTile(sample, place) {
  const action = `choose-${place}`;
  return element("button", { type: "button", class: "one", "data-action": action, "aria-pressed": "false",
    "aria-label": `Stranger: ${sample.picture ? `image ${place + 1}` : sample.name}`, title: sample.name },
  draw(sample, { size: "large" }), badge(action), element("span", { class: "mark", "aria-hidden": "true" }, "✕"));
}

// The places of the strangers.
export function strangersOn(node) {
  return [...node.querySelectorAll(".one")].flatMap((tile, place) => (
    tile.getAttribute("aria-pressed") === "true" ? [place] : []));
}

export function toggleStranger(node, place) {
  const tile = node.querySelectorAll(".one")[place];
  if (!tile) return;
  tile.setAttribute("aria-pressed", String(tile.getAttribute("aria-pressed") !== "true"));
  drawConfirm(node);
}

function drawConfirm(node) {
  const [strangers, all] = [strangersOn(node).length, node.querySelectorAll(".one").length];
  const text = !strangers ? `All ${all} belong` : strangers < all
    ? `The other ${all - strangers} belong` : "None of them belongs";
  const confirm = node.querySelector(".confirm");
  confirm.replaceChildren(confirm.firstElementChild, ` ${text}`);
}

// The node of a question, and a promise of all its pictures being ready to paint.
export function drawQuestion(question) {
  const node = {
    cluster: drawCluster, pair: drawPair, label: drawLabel, grid: drawGrid,
  }[question.kind](question);
  if (question.kind === "grid") drawConfirm(node);
  const pictures = [...node.querySelectorAll("img")];
  return { question, node, ready: Promise.allSettled(pictures.map((image) => image.decode())) };
}

export function tilesOf(question, groups) {
  return {
    cluster: question.candidates.length, pair: 2, label: groups.length, grid: question.samples.length,
  }[question.kind];
}
