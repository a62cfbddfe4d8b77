// The screens between the questions.

import { badge, element, message } from "./draw.js";
import { drawProgress, drawResult } from "./learn.js";
import { drawOver } from "./over.js";

// What to show instead of a question: a key that changes when the screen has to, and the screen.
// `result` is one that has not been looked at, `unsent` says that answers wait to be saved,
// `fetching` that questions are on their way.
export function screenNow(state, { result, unsent, fetching }) {
  const shown = JSON.stringify([state.progress, state.losses.length]);
  if (state.phase === "waiting") {
    return [`waiting ${shown}`, () => drawProgress("Getting ready",
      `${doneNow(state.progress.phase)} The first questions will be here soon.`, state)];
  }
  if (state.phase === "learning" && state.progress.phase === "report") {
    return ["report", () => drawProgress("All answers are learned. Thank you!",
      "The report is being written, which may take half a minute. It will be here soon.", state)];
  }
  if (state.phase === "learning") {
    return [`learning ${shown}`, () => drawProgress(`Thank you. Round ${state.round} is answered.`,
      `The network now learns from all ${state.learns_from} answers. You can watch, or come back later: `
      + "the next questions will wait for you here.", state)];
  }
  if (state.phase === "done") {
    return [`done ${state.results}`, () => drawResult(state.result ?? {}, {
      title: "The run is over. Thank you!",
      text: "All answers are saved and learned. You may close this page.",
    })];
  }
  if (state.phase === "over") return [`over ${state.results}`, () => drawOver(state)];
  if (result) {
    return [`result ${state.results}`, () => drawResult(result, {
      title: `Round ${result.round ?? state.round - 1} is learned`,
      text: "This is what the answers have bought.",
      more: `Go on with round ${state.round}`,
    })];
  }
  return betweenQuestions(state, unsent, fetching);
}

function doneNow(phase = "") {
  return phase === "embedding" ? "A network is looking at the images."
    : /^(decoding|resizing)/.test(phase) ? "The images are being read." : "The network is being prepared.";
}

// What stands on the tab of the browser.
export function titleOf(state, unread) {
  const doing = {
    waiting: "Getting ready", learning: "Learning", over: "All is learned", done: "The run is over",
  }[state.phase];
  return `${unread ? "● Questions are ready" : doing ?? "Questions"} · ${state.title}`;
}

function betweenQuestions(state, unsent, fetching) {
  if (unsent) {
    return ["sending", () => message("Saving the last answers…",
      element("p", {}, "They are kept in this browser until the server has them."))];
  }
  if (state.complete) {
    return ["complete", () => message(`All ${state.total} questions are answered`,
      element("p", {}, "The network starts to learn from them in ",
        element("span", { id: "countdown" }, secondsLeft(state)),
        " s. Until then you can still go back."),
      element("div", { class: "row" },
        element("button", { type: "button", class: "main", "data-action": "go" },
          badge("go"), " Start now"),
        element("button", { type: "button", "data-action": "undo" },
          badge("undo"), " Go back")))];
  }
  if (fetching) {
    return ["loading", () => message("The next question is on its way…")];
  }
  const missing = state.needed - state.given;
  const why = state.others ? "and other people are giving them. This page continues automatically."
    : "and were kept for somebody who has left. They will be here within a minute.";
  return [`others ${missing} ${state.others > 0}`, () => message("Nothing left for you just now",
    element("p", {}, `${missing} answers are still missing, ${why}`))];
}

function secondsLeft(state) {
  return Math.ceil(state.closes_in ?? 0);
}

// In place: the buttons beside it must stay where they are.
export function drawCountdown(state) {
  const place = document.getElementById("countdown");
  if (place) place.textContent = secondsLeft(state);
}
