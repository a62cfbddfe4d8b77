// Talking to the server: reads that may fail, and an outbox of posts that are never given up.

import { makeId } from "./input.js";

const SLOWEST_RETRY_MS = 4000;
const TIMEOUT_MS = 15000;

export async function read(path, values) {
  const query = new URLSearchParams(values);
  const response = await fetch(`${path}?${query}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

// Every entry lies in the browser's storage from the moment it is made until the server has it on
// its disk, so that a reload, a crash of either side or an hour without a network loses nothing.
export class Outbox {
  #prefix;
  #sending = false;
  #onChange;
  #onRefused;
  #last = 0;
  online = true;
  version = 0; // another one whenever something came in or was settled

  constructor(run, { onChange, onRefused }) {
    this.#prefix = `idc:${run}:out:`;
    this.#onChange = onChange;
    this.#onRefused = onRefused;
  }

  entries() {
    return Object.keys(localStorage)
      .filter((key) => key.startsWith(this.#prefix))
      .sort()
      .map((key) => ({ key, ...JSON.parse(localStorage.getItem(key)) }));
  }

  push(kind, body) {
    this.#last = Math.max(Date.now(), this.#last + 1);
    const key = `${this.#prefix}${String(this.#last).padStart(15, "0")}:${makeId()}`;
    localStorage.setItem(key, JSON.stringify({ kind, body }));
    this.version += 1;
    this.#onChange();
    this.send();
  }

  async send() {
    if (this.#sending) return;
    this.#sending = true;
    let wait = 250;
    try {
      for (let entry = this.entries()[0]; entry; entry = this.entries()[0]) {
        if (await this.#post(entry)) {
          wait = 250;
        } else {
          await new Promise((resolve) => setTimeout(resolve, wait));
          wait = Math.min(2 * wait, SLOWEST_RETRY_MS);
        }
      }
    } finally {
      this.#sending = false;
    }
  }

  // Whether the entry is settled: acknowledged, or refused for good.
  async #post({ key, kind, body }) {
    let response;
    try {
      response = await fetch(`api/${kind}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch {
      this.#settle(false);
      return false;
    }
    if (response.status >= 500) {
      this.#settle(false);
      return false;
    }
    if (!response.ok) {
      const { error } = await response.json().catch(() => ({ error: `status ${response.status}` }));
      this.#onRefused(kind, body, error);
    }
    localStorage.removeItem(key);
    this.version += 1;
    this.#settle(true);
    return true;
  }

  #settle(online) {
    this.online = online;
    this.#onChange();
  }
}
