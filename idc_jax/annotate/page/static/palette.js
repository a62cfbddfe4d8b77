// Where a question asks what something is: typing finds a group by its name, or makes a new one.

import { badge, badges, draw, element } from "./draw.js";
import { TEXT_FIELD, folded, unusedName } from "./naming.js";

const PLACEHOLDER = "Type a name: find or add";

export function drawNaming() {
  return element("div", { class: "naming" },
    element("div", { class: "search" },
      element("input", { ...TEXT_FIELD, "aria-label": "Name: find a group or add one",
        placeholder: PLACEHOLDER, enterkeyhint: "done" }),
      element("button", { type: "button", class: "main", "data-action": "typed" }, "OK")),
    element("div", { class: "palette", role: "group", "aria-label": "Groups named so far" }),
    element("p", { class: "unseen", "aria-live": "polite" }));
}

function fieldOf(naming) {
  return naming.querySelector(".search input");
}

// Whether the field of `naming` takes every key: something is typed, or a new name was begun.
export function isTyping(naming) {
  return Boolean(fieldOf(naming).value || naming.dataset.fresh);
}

// Letters alone, so that "cafe" finds "Café".
function plain(name) {
  return folded(name).normalize("NFD").replace(/\p{M}/gu, "");
}

// What the field may mean, the likeliest first: groups that are there, and a new one by its name.
function choices(naming, groups, full) {
  const text = fieldOf(naming).value.trim();
  if (!text) return naming.dataset.fresh && !full ? [{ name: unusedName(groups) }] : [];
  const found = groups.filter(({ name }) => plain(name).includes(plain(text)));
  const exact = found.filter(({ name }) => folded(name) === folded(text));
  const begun = found.filter((group) => !exact.includes(group)
    && plain(group.name).startsWith(plain(text)));
  const others = found.filter((group) => !exact.includes(group) && !begun.includes(group));
  const fresh = full || exact.length ? [] : [{ name: text }];
  return [...exact, ...begun].map((group) => ({ group }))
    .concat(fresh, others.map((group) => ({ group })));
}

// What Enter says now: {group} that is there, {name} of a new one, or null.
export function meant(naming, groups, full) {
  const all = choices(naming, groups, full);
  const place = Number(naming.dataset.place ?? 0);
  return all.length ? all[((place % all.length) + all.length) % all.length] : null;
}

// The new group of the name that stands there.
export function newMeant(naming, groups, full) {
  return choices(naming, groups, full).find(({ name }) => name) ?? null;
}

// What keys and clicks change of the search itself; whether it was one of them.
export function search(naming, action) {
  const field = fieldOf(naming);
  const { dataset } = naming;
  const begin = () => { dataset.fresh = "true"; field.focus(); };
  const change = {
    search: () => { delete dataset.place; field.focus(); },
    edited: () => { delete dataset.place; dataset.edited = "true"; },
    next: () => { dataset.place = Number(dataset.place ?? 0) + 1; },
    previous: () => { dataset.place = Number(dataset.place ?? 0) - 1; },
    clear: () => {
      field.value = "";
      for (const name of ["fresh", "place", "edited"]) delete dataset[name];
    },
    begin,
  }[action];
  change?.();
  return Boolean(change);
}

// Tiles are drawn again only where they changed: none must vanish between the halves of a click.
export function drawPalette(naming, groups, full) {
  const place = naming.querySelector(".palette");
  const wanted = JSON.stringify([groups.map(({ key, name }) => [key, name]), full]);
  if (place.dataset.shown !== wanted) {
    place.dataset.shown = wanted;
    place.classList.toggle("many", groups.length > 11);
    place.replaceChildren(...groups.map(groupTile), freshTile());
  }
  mark(naming, groups, full);
}

function groupTile(group, i) {
  return element("div", { class: "group" },
    element("button", { type: "button", class: "tile", "data-action": `choose-${i}`,
      "aria-label": group.name, title: group.name },
    badges(`choose-${i}`, { typing: true }),
    element("span", { class: "exemplar" }, group.sample ? draw(group.sample) : "–"),
    element("span", { class: "name" }, group.name)),
    element("button", { type: "button", class: "rename", "data-action": "rename",
      "data-key": group.key, "aria-label": `Rename ${group.name}`, title: "Rename" }, "✎"));
}

function freshTile() {
  return element("div", { class: "group" }, element("button",
    { type: "button", class: "tile fresh", "data-action": "none" },
    element("span", { class: "badges" }, badge("go")), element("span", { class: "name" })));
}

// Which tiles are left by what is typed, and which of them Enter takes.
function mark(naming, groups, full) {
  const text = fieldOf(naming).value.trim();
  const left = choices(naming, groups, full);
  const now = meant(naming, groups, full);
  const tiles = [...naming.querySelectorAll(".palette .group")];
  groups.forEach((group, i) => {
    tiles[i].hidden = Boolean(text) && !left.some((one) => one.group === group);
    tiles[i].classList.toggle("meant", Boolean(now?.group) && now.group === group);
  });
  const fresh = tiles.at(-1).firstElementChild;
  const name = left.find((one) => one.name)?.name;
  fresh.disabled = full;
  tiles.at(-1).hidden = Boolean(text) && !name;
  tiles.at(-1).classList.toggle("meant", Boolean(now?.name));
  fresh.lastElementChild.textContent = full ? `All ${groups.length} groups are named`
    : name ? `New: ${name}` : "A new group";
  naming.classList.toggle("typing", Boolean(text));
  fieldOf(naming).placeholder = naming.dataset.fresh ? unusedName(groups) : PLACEHOLDER;
  tell(naming, now, text, full);
}

function tell(naming, now, text, full) {
  const missing = text && !now ? `No group of that name${full ? ", and no more can be named" : ""}` : "";
  const told = now ? (now.group ? `Enter: ${now.group.name}` : `Enter: a new group, ${now.name}`) : missing;
  const place = naming.querySelector("[aria-live]");
  if (place.textContent !== told) place.textContent = told;
  place.classList.toggle("unseen", !missing);
  const ok = naming.querySelector("[data-action=typed]");
  ok.disabled = !now;
}
