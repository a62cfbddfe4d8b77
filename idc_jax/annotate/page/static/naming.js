// A text field in which a group is named.

import { element } from "./draw.js";
import { makeId } from "./input.js";

// The field takes the place of `tile`. `onEnd(name)` gets what was typed, or null for nothing.
export function askName(tile, initial, placeholder, onEnd) {
  const field = element("input", { "aria-label": "Name of the group", maxlength: "60",
    placeholder, autocomplete: "off", spellcheck: "false",
    "data-lm-suppress-shortcuts": "true" }); // JupyterLab's, or typing would edit the notebook
  field.value = initial;
  tile.replaceWith(field);
  field.focus();
  field.select();
  let open = true;
  const close = (name) => {
    if (!open) return;
    open = false;
    onEnd(name);
  };
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") close(field.value.trim() || placeholder);
    if (event.key === "Escape") close(null);
  });
  field.addEventListener("blur", () => close(null));
}

// The group called `name`, whatever the case of its letters, or a new one that `sample` stands for.
export function groupCalled(name, groups, sample) {
  const same = groups.find((group) => group.name.toLowerCase() === name.toLowerCase());
  return same ?? { key: makeId(), name, sample };
}
