// The list of groups: names, sizes, how sure, and what stands for each.

import { element } from "./draw.js";
import { inSheet } from "./board_grid.js";

export const EVERYTHING = "everything";

function strip(group) {
  const samples = [...group.surest, ...group.least_sure];
  if (!samples.length) return element("span", { class: "strip" }, group.size ? "" : "empty");
  const indices = samples.map(({ index }) => index);
  return element("span", { class: "strip" }, ...samples.map((sample, at) => {
    const node = element("span", { class: `mini${at === group.surest.length ? " first" : ""}` });
    if (sample.picture) inSheet(node, indices, at);
    else node.textContent = sample.name;
    return node;
  }));
}

export function percent(share) {
  return share === null ? "" : `${Math.round(100 * share)} %`;
}

function facts({ size, confidence, answered, disagreeing }) {
  const parts = [size.toLocaleString("en"), percent(confidence)];
  if (answered) parts.push(`${answered} answered`);
  if (disagreeing) parts.push(`${disagreeing} disputed`);
  return parts.filter(Boolean).join(" · ");
}

function item(group, current) {
  return element("li", {}, element("button",
    { type: "button", "data-do": "open", "data-ref": group.ref, title: group.name,
      "aria-current": group.ref === current ? "true" : null },
    element("span", { class: "name" }, group.name),
    element("span", { class: "facts" }, facts(group)),
    strip(group)));
}

// All groups, and all samples as one.
export function listed({ groups, size }) {
  const all = { ref: EVERYTHING, name: "Everything", size, confidence: null, answered: 0,
    disagreeing: 0, surest: [], least_sure: [] };
  // Outputs that hold nothing and have no name are nobody's groups.
  const shown = groups.filter((group) => group.size || group.named);
  const answered = (what) => shown.reduce((sum, group) => sum + group[what], 0);
  return [{ ...all, answered: answered("answered"), disagreeing: answered("disagreeing") }, ...shown];
}

// Drawn anew only where it has changed: a button must not vanish under a click.
export function drawGroups(place, found, current) {
  const key = JSON.stringify([found, current]);
  if (place.dataset.shown === key) return;
  place.dataset.shown = key;
  const focused = document.activeElement?.closest("#groups [data-ref]")?.dataset.ref;
  const { scrollTop, scrollLeft } = place.parentElement;
  place.replaceChildren(...found.map((group) => item(group, current)));
  if (focused) place.querySelector(`[data-ref="${CSS.escape(focused)}"]`)?.focus();
  Object.assign(place.parentElement, { scrollTop, scrollLeft });
}

export function factsOf(group, shown) {
  const parts = [`${shown.toLocaleString("en")} shown of ${facts(group)}`];
  if (group.number >= 0 && group.named) parts.push(`cluster ${group.number}`);
  return parts.join(" · ");
}
