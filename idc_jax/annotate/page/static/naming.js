// What groups are called, and the dialog in which one gets another name.

import { element } from "./draw.js";

export const LONGEST_NAME = "60";

// Keys typed here are text: JupyterLab's attribute, or typing would edit the notebook.
export const TEXT_FIELD = { type: "text", maxlength: LONGEST_NAME, autocomplete: "off",
  autocapitalize: "off", spellcheck: "false", "data-lm-suppress-shortcuts": "true" };

// As names are compared, here and by the server: case, the encoding of accents and extra space do
// not count.
export function folded(name) {
  const text = name.normalize("NFKC").toUpperCase().toLowerCase().normalize("NFKC");
  return text.split(/\s+/).filter(Boolean).join(" ");
}

// The group called `name`, or a new one by `key` that `sample` stands for.
export function groupCalled(name, groups, key, sample) {
  return groups.find((group) => folded(group.name) === folded(name)) ?? { key, name, sample };
}

// "Group 3", or the next number that is free.
export function unusedName(groups) {
  const taken = new Set(groups.map(({ name }) => folded(name)));
  let number = groups.length + 1;
  while (taken.has(folded(`Group ${number}`))) number += 1;
  return `Group ${number}`;
}

// Ask in a dialog within `root` what `group` is called; `onName` gets another name than its own.
export function askName(root, group, groups, onName) {
  const field = element("input", { ...TEXT_FIELD, "aria-label": "Name of the group", required: true });
  const why = element("p", { class: "why", role: "alert" });
  const cancel = element("button", { type: "button" }, "Cancel");
  const form = element("form", { method: "dialog" }, element("h2", {}, `Rename “${group.name}”`),
    field, why, element("div", { class: "row" },
      element("button", { type: "submit", class: "main" }, "OK"), cancel));
  const dialog = element("dialog", { class: "ask-name", "aria-label": "Rename a group",
    "data-lm-suppress-shortcuts": "true" }, form);
  field.value = group.name;
  field.addEventListener("input", () => { why.textContent = ""; });
  form.addEventListener("submit", (event) => {
    const name = field.value.trim();
    const other = groups.find((one) => one !== group && folded(one.name) === folded(name));
    why.textContent = other ? `Another group is called “${other.name}” already.` : "";
    if (!name || other) return event.preventDefault();
    if (name !== group.name) onName(name);
  });
  cancel.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  root.append(dialog);
  dialog.showModal();
  field.select();
}

export function isAskingName(root) {
  return Boolean(root.querySelector("dialog.ask-name[open]"));
}
