// The questions to come: known ahead, and their pictures ready before they are needed.

import { button } from "./draw.js";
import { drawQuestion } from "./question.js";
import { read } from "./server.js";

const AHEAD = 32; // questions drawn, with all their pictures decoded
const HELD = 8; // of these, kept from other people
const CLAIM_MS = 20000; // held questions are claimed anew so often

export class Queue {
  #items = [];
  #claimedAt = -Infinity;
  fetching = false;
  heard = false; // the server has said what there is, and what there is not

  get first() {
    return this.#items[0] ?? null;
  }

  clear() {
    this.heard = false;
    this.#keep([]);
  }

  takeFirst() {
    const [first, ...others] = this.#items;
    this.#keep(others);
    return first;
  }

  putFirst(question) {
    this.#keep([this.#prepare(question), ...this.#items]);
  }

  // Draw everything anew: the keys shown on the tiles have changed.
  redraw() {
    this.#keep(this.#items.map(({ question }) => this.#prepare(question)));
  }

  // Ask for more. `current` is on the screen, `unsent` are answered but not yet saved.
  async fetch({ annotator, round, current, unsent }) {
    const positions = this.#items.map(({ question }) => question.position);
    const count = Math.max(0, AHEAD - positions.length);
    if (this.fetching || (!count && performance.now() - this.#claimedAt < CLAIM_MS)) return;
    this.fetching = true;
    this.#claimedAt = performance.now();
    const busy = current === null ? unsent : [current, ...unsent];
    const held = [...busy, ...positions.slice(0, HELD)].join(",");
    try {
      const spare = positions.slice(HELD).join(",");
      const found = await read("api/questions", { annotator, count, held, spare });
      this.heard = true;
      this.#drop(found.taken);
      this.#append(found.questions.filter((question) => question.round === round));
    } catch {
      // The next poll tries again.
    } finally {
      this.fetching = false;
    }
  }

  #drop(taken) {
    this.#keep(this.#items.filter(({ question }) => !taken.includes(question.position)));
  }

  #append(questions) {
    const known = new Set(this.#items.map(({ question }) => question.position));
    const fresh = questions.filter(({ position }) => !known.has(position));
    this.#keep([...this.#items, ...fresh.map((question) => this.#prepare(question))]);
  }

  #prepare(question) {
    const { node, ready } = drawQuestion(question);
    node.querySelector(".actions").append(button("zoom", "Zoom", { "aria-haspopup": "dialog" },
      { typing: question.kind === "label" }));
    const item = { question, node, isReady: false };
    item.ready = ready.then(() => {
      item.isReady = true;
      this.#tell();
    });
    return item;
  }

  #keep(items) {
    this.#items = items;
    this.#tell();
  }

  // How many questions could be painted at once, for whoever measures.
  #tell() {
    document.body.dataset.ahead = this.#items.filter((item) => item.isReady).length;
  }
}
