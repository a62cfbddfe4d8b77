// What is said in words, wherever questions are asked.

export const PROMPTS = {
  cluster: "Which of these belongs with it?",
  pair: "Do these two belong together?",
  label: "What is this?",
  grid: "Which are not “",
};

export const SAID = { none: "none", skip: "skip", same: "same", different: "differ" };

// What the last round's learning expects, so that one knows when to stop; "" where it does not say.
export function outlookOf(result) {
  return result?.outlook?.told ?? "";
}

export function duration(seconds) {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
