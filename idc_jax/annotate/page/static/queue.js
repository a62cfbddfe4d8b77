// The questions to come: known ahead, and their pictures ready before they are needed.

import { drawQuestion } from "./draw.js";
import { read } from "./server.js";

const AHEAD = 32; // questions drawn, with all their pictures decoded
const HELD = 8; // of these, kept from other people
const CLAIM_MS = 20000; // held questions are claimed anew so often

export class Queue {
  #items = [];
  #claimedAt = -Infinity;
  fetching = false;

  get first() {
    return this.#items[0] ?? null;
  }

  clear() {
    this.#items = [];
  }

  takeFirst() {
    return this.#items.shift();
  }

  putFirst(question) {
    this.#items.unshift(prepare(question));
  }

  // Draw everything anew: the keys shown on the tiles have changed.
  redraw() {
    this.#items = this.#items.map(({ question }) => prepare(question));
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
      this.#drop(found.taken);
      this.#append(found.questions.filter((question) => question.round === round));
    } catch {
      // The next poll tries again.
    } finally {
      this.fetching = false;
    }
  }

  #drop(taken) {
    this.#items = this.#items.filter(({ question }) => !taken.includes(question.position));
  }

  #append(questions) {
    const known = new Set(this.#items.map(({ question }) => question.position));
    const fresh = questions.filter(({ position }) => !known.has(position));
    this.#items.push(...fresh.map(prepare));
  }
}

function prepare(question) {
  const { node, ready } = drawQuestion(question);
  const item = { question, node, isReady: false };
  item.ready = ready.then(() => { item.isReady = true; });
  return item;
}
