// What lies over the page: zoom, the help with its keys to change, and short notices.

import { element } from "./draw.js";
import { label, listed, remap, reset } from "./keys.js";
import { drawZoomed } from "./zoom.js";

const NOTICE_MS = 7000;
const $ = (id) => document.getElementById(id);

let changing = null; // the action whose key is being changed
let onKeysChanged = () => {};
let noticeTimer;

export function notice(text) {
  const place = $("notice");
  place.textContent = text;
  place.hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { place.hidden = true; }, NOTICE_MS);
}

export function isOpen(id) {
  return $(id).open;
}

export function zoom(samples) {
  const dialog = $("zoom-dialog");
  if (dialog.open) return dialog.close();
  $("zoomed").replaceChildren(...samples.flatMap(drawZoomed));
  dialog.showModal();
}

export function closeZoom() {
  if (isOpen("zoom-dialog")) $("zoom-dialog").close();
}

export function help(whenKeysChange) {
  onKeysChanged = whenKeysChange;
  const dialog = $("help-dialog");
  if (dialog.open) return dialog.close();
  drawKeys();
  dialog.showModal();
}

export function changeKeyOf(action) {
  changing = action;
  drawKeys();
}

export function resetKeys() {
  reset();
  drawKeys();
  onKeysChanged();
}

// Whether this key press was the new key of an action.
export function takesKey(event) {
  if (!changing) return false;
  event.preventDefault();
  event.stopPropagation();
  if (["Shift", "Control", "Alt", "Meta"].includes(event.key)) return true;
  if (event.key !== "Escape") remap(changing, event.key.toLowerCase());
  changing = null;
  drawKeys();
  onKeysChanged();
  return true;
}

function drawKeys() {
  $("keys").replaceChildren(...listed().map(({ action, title, keys }) => element("tr", {},
    element("th", { scope: "row" }, title),
    element("td", {}, ...keys.map((key) => element("kbd", {}, label(key)))),
    element("td", {}, element("button",
      { type: "button", "data-action": "change-key", "data-key": action,
        "aria-label": `Change the key of: ${title}` },
      changing === action ? "press a key…" : "change")))));
  $("keys-hint").textContent = changing ? "Press the new key, or Esc to keep the old one." : "";
}

$("help-dialog").addEventListener("cancel", (event) => {
  if (changing) event.preventDefault();
});
