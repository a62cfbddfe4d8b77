// What lies over the board: where to move, names, splitting, one sample closely, what was done.

import { draw, element } from "./draw.js";
import { inSheet } from "./board_grid.js";
import { percent } from "./board_groups.js";
import { folded } from "./naming.js";

const NOTICE_MS = 8000;
const $ = (id) => document.getElementById(id);
let noticeTimer;

export function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { $("notice").hidden = true; }, NOTICE_MS);
}

export function anyOpen() {
  return document.querySelector("dialog[open]") !== null;
}

// `onOk()` runs when the form is sent, once; a dialog that is closed otherwise does nothing.
function ask(dialog, onOk) {
  const form = dialog.querySelector("form");
  form.onsubmit = (event) => {
    event.preventDefault();
    dialog.close();
    onOk();
  };
  dialog.showModal();
}

// -- where to ----------------------------------------------------------------------------------

let options = [];
let marked = 0;

function drawTargets(groups) {
  const typed = folded($("target-input").value);
  const fits = groups.filter((group) => folded(group.name).includes(typed));
  const known = groups.some((group) => folded(group.name) === typed);
  options = fits.map((group) => ({ group }));
  if (typed && !known) options.push({ name: $("target-input").value.trim() });
  const exact = fits.findIndex((group) => folded(group.name) === typed);
  marked = exact >= 0 ? exact : 0;
  $("targets").replaceChildren(...options.map(({ group, name }, at) => {
    const node = element("div", { role: "option", id: `target-${at}`, "data-at": at },
      group ? group.name : `New group “${name}”`);
    if (group) node.append(element("small", {}, ` ${group.size.toLocaleString("en")}`));
    return node;
  }));
  markTarget(marked);
}

function markTarget(at) {
  marked = Math.max(0, Math.min(options.length - 1, at));
  [...$("targets").children].forEach((node, n) => node.setAttribute("aria-selected", String(n === marked)));
  $("target-input").setAttribute("aria-activedescendant", options.length ? `target-${marked}` : "");
  $("targets").children[marked]?.scrollIntoView({ block: "nearest" });
}

// `onPick({ group })` or `onPick({ name })` says where.
export function askTarget(title, groups, onPick, { mayBeNew = true } = {}) {
  $("target-title").textContent = title;
  const input = $("target-input");
  input.value = "";
  input.oninput = () => drawTargets(groups);
  input.onkeydown = (event) => {
    if (event.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    markTarget(marked + step);
  };
  $("targets").onclick = (event) => {
    const node = event.target.closest("[data-at]");
    if (!node) return;
    markTarget(Number(node.dataset.at));
    $("target-dialog").querySelector("form").requestSubmit();
  };
  drawTargets(groups);
  ask($("target-dialog"), () => {
    const picked = options[marked];
    if (picked && (picked.group || mayBeNew)) onPick(picked);
    else if (picked) notice("Choose a group that is there.");
  });
  input.focus();
}

// -- names -------------------------------------------------------------------------------------

export function askRename(group, onName) {
  $("rename-input").value = group.named ? group.name : "";
  $("rename-note").textContent = group.named ? ""
    : "It has no name yet. With one, its surest sample is said to be of it.";
  ask($("rename-dialog"), () => {
    const name = $("rename-input").value.trim();
    if (name && name !== group.name) onName(name);
  });
  $("rename-input").select();
}

export function askSplit(group, parts, onName) {
  $("split-note").textContent = `${group.name} falls into these two. What you see here is said to be of `
    + "either; what it means for the others is learned.";
  $("parts").replaceChildren(...parts.map(({ size, samples }, n) => {
    const indices = samples.map(({ index }) => index);
    return element("section", {}, element("h3", {},
      `${n ? "Second" : "First"}: ${size.toLocaleString("en")}`),
    element("div", { class: "part" }, ...samples.map((sample, at) => {
      const node = element("span", { class: "mini" });
      if (sample.picture) inSheet(node, indices, at);
      else node.textContent = sample.name;
      return node;
    })));
  }));
  $("split-input").value = "";
  ask($("split-dialog"), () => {
    const name = $("split-input").value.trim();
    if (name) onName(name);
  });
  $("split-input").focus();
}

// -- one sample, and what was done ---------------------------------------------------------------

function when(time) {
  return new Date(1000 * time).toLocaleString("en", { dateStyle: "short", timeStyle: "short" });
}

export function showSample({ sample, likely, answers }, groupName) {
  $("closer-title").textContent = `${sample.name} · ${groupName}`;
  const guesses = likely.map(({ name, share }) => `${name} ${percent(share)}`).join(", ");
  $("closer").replaceChildren(
    element("figure", { class: "subject" }, draw(sample, { size: "large", alt: sample.name })),
    element("p", {}, guesses ? `Predicted: ${guesses}` : ""),
    answers.length ? element("ul", { class: "said" }, ...answers.map((answer) => element("li", {},
      element("span", {}, `${answer.what} · ${answer.who}, round ${answer.round}, ${when(answer.time)}`),
      element("button", { type: "button", "data-do": "withdraw", "data-id": answer.client_id }, "Withdraw"))))
      : element("p", { class: "quiet" }, "Nobody has said anything about it."),
    element("button", { type: "button", "data-do": "change", "data-index": sample.index }, "Say what it is…"));
  if (!$("closer-dialog").open) $("closer-dialog").showModal();
}

export function showHistory(history) {
  $("history").replaceChildren(...history.map((done) => element("li", { class: done.undone ? "undone" : null },
    element("span", {}, `${done.what || "nothing"} · ${done.who ?? "somebody"}, ${when(done.time)}`),
    done.undone ? element("span", { class: "quiet" }, "undone")
      : element("button", { type: "button", "data-do": "undo", "data-id": done.id }, "Undo"))));
  if (!history.length) $("history").replaceChildren(element("li", {}, "Nothing so far."));
  if (!$("history-dialog").open) $("history-dialog").showModal();
}
