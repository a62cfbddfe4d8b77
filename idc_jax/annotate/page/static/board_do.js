// What is done on the board, as it is posted.

import { makeId } from "./input.js";

const MOST_SECONDS = 3600; // a longer pause was none

let since = performance.now();

// A gesture takes from the one before it until now.
function seconds() {
  const now = performance.now();
  const took = Math.min(MOST_SECONDS, (now - since) / 1000);
  since = now;
  return Math.round(1000 * took) / 1000;
}

export function gesture(annotator, kind, fields) {
  return { client_id: makeId(), annotator, kind, seconds: seconds(), ...fields };
}

// Where a gesture leads: to a group that is there, or to a new one.
export function target({ group, name }) {
  return group ? { to: group.ref } : { new: { key: makeId(), name } };
}

// Numbers of samples, their confidence in percent, and whether each was answered or is disputed.
export async function members(ref, sort, filter) {
  const query = new URLSearchParams({ group: ref, sort, filter });
  const reply = await fetch(`api/board/members?${query}`);
  if (!reply.ok) throw new Error((await reply.json()).error);
  const body = await reply.arrayBuffer();
  const count = body.byteLength / 6;
  return {
    items: new Uint32Array(body, 0, count),
    percents: new Uint8Array(body, 4 * count, count),
    flags: new Uint8Array(body, 5 * count, count),
  };
}
