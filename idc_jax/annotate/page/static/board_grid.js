// A grid of any number of samples: as many nodes as fit the window, moved and filled as it scrolls.

import { element } from "./draw.js";

const CHUNK = 36; // samples of one sheet of pictures, in six rows of six
const SIDE = 6;
const SPARE_ROWS = 3; // above and below the window
const DRAG_PX = 6;

const run = document.body.dataset.run;

// Where in a sheet of `count` tiles the one at `place` is, for a background.
export function inSheet(node, samples, place) {
  const columns = Math.ceil(Math.sqrt(samples.length));
  const rows = Math.ceil(samples.length / columns);
  const part = (at, of) => (of > 1 ? (100 * at) / (of - 1) : 0);
  node.style.backgroundImage = `url("pictures/${run}/sheet/${samples.join("-")}")`;
  node.style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
  node.style.backgroundPosition = `${part(place % columns, columns)}% `
    + `${part(Math.floor(place / columns), rows)}%`;
}

export class Grid {
  #root; #spacer; #tiles = []; #columns = 1; #cell = 96; #rows = 1;
  #items = new Uint32Array(); #percents = new Uint8Array(); #flags = new Uint8Array();
  #sheets = new Map(); #names = new Map(); #place = new Map();
  #anchor = 0; #drag = null;
  selected = new Set(); // samples, wherever they stand
  active = 0; // position
  pictures = true; // whether samples are seen, not only named

  constructor(root, spacer, { onSelect, onOpen }) {
    this.#root = root;
    this.#spacer = spacer;
    this.onSelect = onSelect;
    this.onOpen = onOpen;
    root.addEventListener("scroll", () => this.#paint(), { passive: true });
    new ResizeObserver(() => this.#layOut()).observe(root);
    root.addEventListener("pointerdown", (event) => this.#press(event));
    root.addEventListener("click", (event) => this.#click(event));
    root.addEventListener("dblclick", () => this.onOpen());
    root.addEventListener("focus", () => this.#paint());
    root.addEventListener("blur", () => this.#paint());
  }

  get count() { return this.#items.length; }
  get items() { return this.#items; }
  get activeSample() { return this.#items[this.active] ?? null; }

  // Other samples, or the same in another order; `fresh` is another group, seen from the top.
  set(items, percents, flags, fresh) {
    [this.#items, this.#percents, this.#flags] = [items, percents, flags];
    this.#sheets.clear();
    if (fresh) {
      this.active = this.#anchor = 0;
      this.#root.scrollTop = 0;
    }
    this.active = Math.min(this.active, Math.max(0, items.length - 1));
    this.#layOut();
  }

  empty() {
    this.set(new Uint32Array(), new Uint8Array(), new Uint8Array(), true);
    this.onSelect();
  }

  // Take samples away before the server has: what was moved is gone at once.
  remove(samples) {
    const kept = [];
    for (let at = 0; at < this.#items.length; at += 1) if (!samples.has(this.#items[at])) kept.push(at);
    const pick = (from) => from.constructor.from(kept, (at) => from[at]);
    this.set(pick(this.#items), pick(this.#percents), pick(this.#flags), false);
  }

  selectAll() {
    this.selected = new Set(this.#items);
    this.#changed();
  }

  clear() {
    this.selected = new Set();
    this.#changed();
  }

  toggle(place, ranged) {
    if (!this.count) return;
    if (ranged) this.#range(this.#anchor, place);
    else {
      const sample = this.#items[place];
      if (!this.selected.delete(sample)) this.selected.add(sample);
      this.#anchor = place;
    }
    this.active = place;
    this.#changed();
  }

  // A key of the grid; whether it was one.
  key(event) {
    const page = Math.max(1, Math.floor(this.#root.clientHeight / this.#cell)) * this.#columns;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.#columns, ArrowDown: this.#columns,
      PageUp: -page, PageDown: page, Home: -this.count, End: this.count };
    if (event.key in steps && this.count) {
      const to = Math.max(0, Math.min(this.count - 1, this.active + steps[event.key]));
      if (event.shiftKey) this.#range(this.active, to);
      else this.#anchor = to;
      this.active = to;
      this.#reveal(to);
      this.#changed();
      return true;
    }
    if (event.key === " ") {
      this.toggle(this.active, event.shiftKey);
      return true;
    }
    return false;
  }

  // -- inside --------------------------------------------------------------------------------

  #range(from, to) {
    const [first, last] = from < to ? [from, to] : [to, from];
    for (let at = first; at <= last; at += 1) this.selected.add(this.#items[at]);
  }

  #changed() {
    this.#paint();
    this.onSelect();
  }

  #reveal(place) {
    const top = Math.floor(place / this.#columns) * this.#cell;
    const { scrollTop, clientHeight } = this.#root;
    if (top < scrollTop) this.#root.scrollTop = top;
    if (top + this.#cell > scrollTop + clientHeight) this.#root.scrollTop = top + this.#cell - clientHeight;
  }

  #layOut() {
    const { clientWidth: width, clientHeight: height } = this.#root;
    if (!width) return;
    const wanted = width < 500 ? 78 : 92;
    this.#columns = Math.max(1, Math.floor(width / wanted));
    this.#cell = Math.floor(width / this.#columns);
    this.#rows = Math.ceil(height / this.#cell) + 1 + 2 * SPARE_ROWS;
    this.#spacer.style.height = `${Math.ceil(this.count / this.#columns) * this.#cell}px`;
    this.#spacer.style.setProperty("--cell", `${this.#cell}px`);
    while (this.#tiles.length < this.#rows * this.#columns) {
      const node = element("div", { class: "cell", role: "option", id: `cell-${this.#tiles.length}` });
      this.#tiles.push({ node, place: -1 });
      this.#spacer.append(node);
    }
    while (this.#tiles.length > this.#rows * this.#columns) this.#tiles.pop().node.remove();
    for (const tile of this.#tiles) tile.place = -1;
    this.#paint();
  }

  #paint() {
    const first = Math.max(0, Math.floor(this.#root.scrollTop / this.#cell) - SPARE_ROWS) * this.#columns;
    const total = this.#tiles.length;
    const focused = document.activeElement === this.#root;
    for (let at = first; at < first + total; at += 1) {
      const tile = this.#tiles[at % total];
      if (tile.place !== at) this.#fill(tile, at);
      if (at >= this.count) continue;
      const { node } = tile;
      const chosen = this.selected.has(this.#items[at]);
      if (tile.chosen !== chosen) node.setAttribute("aria-selected", String(tile.chosen = chosen));
      const active = focused && at === this.active;
      if (tile.active !== active) node.classList.toggle("active", tile.active = active);
      if (active) this.#root.setAttribute("aria-activedescendant", node.id);
    }
  }

  #fill(tile, at) {
    const { node } = tile;
    tile.place = at;
    node.hidden = at >= this.count;
    if (node.hidden) return;
    const sample = this.#items[at];
    const flags = this.#flags[at];
    const column = at % this.#columns;
    node.style.transform = `translate(${column * this.#cell}px, ${((at - column) / this.#columns) * this.#cell}px)`;
    node.dataset.percent = this.#percents[at];
    node.className = `cell${flags & 1 ? " answered" : ""}${flags & 2 ? " disputed" : ""}`;
    tile.active = false;
    const said = `${flags & 1 ? ", answered" : ""}${flags & 2 ? ", people disagree" : ""}`;
    node.setAttribute("aria-label", `Sample ${sample}, ${this.#percents[at]} %${said}`);
    node.setAttribute("aria-posinset", at + 1);
    node.setAttribute("aria-setsize", this.count);
    const chunk = this.#chunk(Math.floor(at / CHUNK));
    if (this.pictures) {
      inSheet(node, chunk, at % CHUNK);
    } else {
      node.textContent = "";
      this.#nameOf(chunk).then((names) => {
        if (tile.place === at) node.textContent = names[at % CHUNK];
      }, () => {});
    }
  }

  #chunk(number) {
    let found = this.#sheets.get(number);
    if (!found) {
      found = Array.from(this.#items.subarray(number * CHUNK, (number + 1) * CHUNK));
      // The last one is as wide as the others.
      while (found.length > SIDE && found.length % SIDE) found.push(found[0]);
      this.#sheets.set(number, found);
    }
    return found;
  }

  #nameOf(samples) {
    const path = `names/${run}/${samples.join("-")}`;
    if (!this.#names.has(path)) {
      this.#names.set(path, fetch(path).then((reply) => reply.json()));
    }
    return this.#names.get(path);
  }

  // The position under a point of the window; null beside the samples.
  #at(x, y) {
    const box = this.#root.getBoundingClientRect();
    const column = Math.floor((x - box.left) / this.#cell);
    const row = Math.floor((y - box.top + this.#root.scrollTop) / this.#cell);
    const place = row * this.#columns + column;
    return column < this.#columns && column >= 0 && place >= 0 && place < this.count ? place : null;
  }

  #click(event) {
    if (this.#place.get("dragged")) return this.#place.delete("dragged");
    const place = this.#at(event.clientX, event.clientY);
    if (place !== null) this.toggle(place, event.shiftKey);
  }

  #press(event) {
    if (event.pointerType !== "mouse" || event.button !== 0) return;
    this.#place.delete("dragged");
    const from = { x: event.clientX, y: event.clientY + this.#root.scrollTop };
    const before = new Set(this.selected);
    const move = (moved) => this.#dragTo(from, moved, before);
    const end = () => {
      removeEventListener("pointermove", move);
      this.#drag?.remove();
      this.#drag = null;
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end, { once: true });
    addEventListener("pointercancel", end, { once: true });
  }

  // Select what the frame from where the button went down to the pointer touches.
  #dragTo(from, event, before) {
    const to = { x: event.clientX, y: event.clientY + this.#root.scrollTop };
    if (!this.#drag && Math.hypot(to.x - from.x, to.y - from.y) < DRAG_PX) return;
    this.#place.set("dragged", true);
    if (!this.#drag) this.#spacer.append(this.#drag = element("div", { class: "frame", "aria-hidden": "true" }));
    const box = this.#root.getBoundingClientRect();
    const [left, right] = [from.x, to.x].sort((a, b) => a - b).map((x) => x - box.left);
    const [top, bottom] = [from.y, to.y].sort((a, b) => a - b).map((y) => y - box.top);
    Object.assign(this.#drag.style, { transform: `translate(${left}px, ${top}px)`,
      width: `${right - left}px`, height: `${bottom - top}px` });
    this.selected = new Set(before);
    const row = (y) => Math.max(0, Math.floor(y / this.#cell));
    const column = (x) => Math.max(0, Math.min(this.#columns - 1, Math.floor(x / this.#cell)));
    for (let y = row(top); y <= row(bottom); y += 1) {
      for (let x = column(left); x <= column(right); x += 1) {
        const at = y * this.#columns + x;
        if (at < this.count) this.selected.add(this.#items[at]);
      }
    }
    if (event.clientY > box.bottom - 20) this.#root.scrollTop += this.#cell / 3;
    if (event.clientY < box.top + 20) this.#root.scrollTop -= this.#cell / 3;
    this.#changed();
  }
}
