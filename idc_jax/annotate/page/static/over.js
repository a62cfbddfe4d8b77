// The last screen: what was reached, where it all is, and whether to go on.

import { element } from "./draw.js";
import { drawResult } from "./learn.js";

export const FURTHER = 50; // questions, for those who want to go on

export function drawOver(state) {
  const screen = drawResult(state.result ?? {}, {
    title: "All questions are answered and learned. Thank you!",
    text: "Here is what was reached. You can look at the groups and set them right, ask for more "
      + "questions, or close this page: everything is saved.",
  });
  const link = (href, text, attributes = {}) => element("a", { class: "button", href, ...attributes }, text);
  const row = element("div", { class: "row" },
    element("button", { type: "button", class: "main", "data-action": "more" }, `${FURTHER} more questions`),
    link("board", "All groups and their members"),
    state.report ? link("report", "The report") : null,
    state.report ? link("assignments.csv", "Every sample as a table (CSV)", { download: "" }) : null,
    element("button", { type: "button", "data-action": "end" }, "Close for everyone"));
  screen.querySelector("p").after(row);
  return screen;
}
