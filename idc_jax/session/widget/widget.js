// A session's questions in a notebook. What the kernel says is the truth; what was said here and
// not yet heard there is added to it, so that the next question is there at once.

import { badge, button, element, message } from "./draw.js";
import { listen, makeId, meanings } from "./input.js";
import { drawProgress } from "./learn.js";
import { askName, groupCalled, isAskingName } from "./naming.js";
import { drawPalette, meant, newMeant, search } from "./palette.js";
import { drawQuestion, strangersOn, tilesOf, toggleStranger } from "./question.js";
import { outlookOf } from "./words.js";

const AHEAD = 3; // questions whose pictures are asked for
const TICK_MS = 250;
const SLOW_MS = 6000; // a message may have been dropped
const UNSAVED_MS = 2000; // the kernel may be busy, or gone
const UNHEARD_SECONDS = 5; // to go back, until the kernel has said how long

function frame() {
  const root = element("div",
    { class: "idc-jax", tabindex: "0", role: "group", "aria-label": "Questions" },
    element("div", { class: "head" },
      element("div", { class: "standing" },
        element("div", { class: "meter", role: "progressbar", "aria-label": "Questions answered",
          "aria-valuemin": "0" }, element("div")),
        element("p", { class: "counted quiet" })),
      element("button", { type: "button", class: "learn", "data-action": "learn" }, "Learn now")),
    element("div", { class: "screen" }),
    element("p", { class: "hint quiet" }, "Click here to answer by keys"),
    element("details", { class: "groups", open: true },
      element("summary"), element("ol", { class: "sizes" })),
    element("p", { class: "told unseen", "aria-live": "polite" }),
    element("p", { class: "notice", role: "alert", hidden: true }));
  return [root, (selector) => root.querySelector(selector)];
}

class View {
  #model;
  #find;
  #ended = new AbortController();
  #unsent = []; // said here, not yet heard by the kernel: {kind, body, at}
  #pictures = new Map(); // "large/17" -> its data
  #awaited = new Map(); // "large/17" -> when it was asked for
  #current = null; // the question on the screen
  #shown = ""; // what the screen shows
  #shownAt = 0;
  #closesAt = null; // when learning starts automatically

  constructor(model) {
    this.#model = model;
    [this.root, this.#find] = frame();
    const { signal } = this.#ended;
    listen(this.root, {
      signal,
      act: (action, event, target) => this.#act(action, target),
      rest: () => this.root.focus({ preventScroll: true }),
      tiles: () => (this.#current ? tilesOf(this.#current, this.#groups()) : 0),
      naming: () => this.#naming(),
      isBlocked: () => isAskingName(this.root),
    });
    addEventListener("keydown", (event) => this.#keep(event), { capture: true, signal });
    const update = () => this.#update();
    const hear = (heard) => this.#hear(heard);
    model.on("change:standing", update);
    model.on("msg:custom", hear);
    const timer = setInterval(() => this.#tick(), TICK_MS);
    signal.addEventListener("abort", () => {
      clearInterval(timer);
      model.off("change:standing", update);
      model.off("msg:custom", hear);
    });
    this.#update();
  }

  end() {
    this.#ended.abort();
  }

  // -- what is known -------------------------------------------------------------------------

  get #state() {
    return this.#model.get("standing");
  }

  get #questions() {
    return this.#model.get("questions");
  }

  // The answers of this round that count, in their order: {id, position}.
  #answers() {
    const { round, answered } = this.#state;
    const bodies = (kind) => this.#unsent.filter((one) => one.kind === kind).map(({ body }) => body);
    const undone = new Set(bodies("undo").map(({ undoes }) => undoes));
    const known = answered.map(([position, id]) => ({ position, id }));
    const ids = new Set(known.map(({ id }) => id));
    const fresh = bodies("answer")
      .filter((body) => body.round === round && !ids.has(body.client_id))
      .map(({ position, client_id: id }) => ({ position, id }));
    return [...known, ...fresh].filter(({ id }) => !undone.has(id));
  }

  // The questions without an answer, in their order.
  #open() {
    const done = new Set(this.#answers().map(({ position }) => position));
    return this.#questions.filter(({ positions }) => positions.some((position) => !done.has(position)));
  }

  // Those of the kernel, and those named here.
  #groups() {
    const known = this.#state.groups;
    const keys = new Set(known.map(({ key }) => key));
    const made = this.#unsent.filter(({ made: group }) => group && !keys.has(group.key));
    return [...known, ...made.map(({ made: group }) => group)];
  }

  #phase() {
    const isLearning = this.#unsent.some(({ kind }) => ["learn", "resume"].includes(kind));
    return isLearning ? "learning" : this.#state.failed ? "failed" : this.#state.phase;
  }

  // -- what is said --------------------------------------------------------------------------

  #say(kind, body, made) {
    this.#unsent.push({ kind, made, body: { client_id: makeId(), ...body }, at: performance.now() });
    this.#model.send({ kind, body: this.#unsent.at(-1).body });
    this.#update();
  }

  #answer(given, made) {
    const { round } = this.#current;
    const seconds = Math.round(performance.now() - this.#shownAt) / 1000;
    const each = Math.min(seconds, 86400) / given.length;
    for (const one of given) this.#say("answer", { round, seconds: each, ...one }, made);
  }

  // All that was answered at once.
  #undo() {
    const answers = this.#answers();
    const last = answers.at(-1);
    if (!last || this.#phase() !== "asking") return;
    const { positions } = this.#questions.find((one) => one.positions.includes(last.position));
    const undone = answers.filter(({ position }) => positions.includes(position));
    for (const { id } of undone) this.#say("undo", { undoes: id });
  }

  #learn() {
    if (this.#phase() === "asking" && this.#answers().length) {
      this.#say("learn", { round: this.#state.round });
    }
  }

  #go() {
    if (this.#phase() === "failed") this.#say("resume", {});
    else if (!this.#current) this.#learn();
    else this.#mean("go");
  }

  #act(action, target) {
    const fixed = {
      undo: () => this.#undo(),
      learn: () => this.#learn(),
      go: () => this.#go(),
      rename: () => this.#rename(target.dataset.key),
    }[action];
    if (fixed) return fixed();
    if (!this.#current) return;
    if (this.#naming()) {
      if (search(this.#naming(), action)) return this.#drawPalette();
      if (["typed", "none"].includes(action)) {
        return this.#answerTyped(action === "none" ? newMeant : meant);
      }
    }
    if (this.#current.kind === "grid" && action.startsWith("choose-")) {
      return toggleStranger(this.#find(".question"), Number(action.slice("choose-".length)));
    }
    this.#mean(action);
  }

  #mean(action) {
    const strangers = strangersOn(this.#find(".question"));
    const given = meanings(this.#current, action, this.#groups(), strangers);
    if (given.length) this.#answer(given);
  }

  // Typed for an answer, a key must do nothing else: the notebook has commands of one letter.
  #keep(event) {
    if (!event.composedPath().includes(this.root) || event.composedPath()[0].matches("input")) return;
    const passes = event.ctrlKey || event.metaKey || event.altKey || event.key === "Escape";
    if (!passes) event.stopPropagation();
  }

  // -- names ---------------------------------------------------------------------------------

  #naming() {
    return this.#find(".question .naming");
  }

  #isFull() {
    return this.#groups().length >= this.#state.max_groups;
  }

  // The first Enter begins a name, the second one gives it, or a number where nothing was typed.
  #answerTyped(choose) {
    const said = choose(this.#naming(), this.#groups(), this.#isFull());
    if (!said) {
      search(this.#naming(), "begin");
      return this.#drawPalette();
    }
    const [sample] = this.#current.samples;
    const group = said.group ?? groupCalled(said.name, this.#groups(), makeId(), sample);
    const { position } = this.#current;
    this.#answer([{ position, group: { key: group.key, name: group.name } }], group);
  }

  #rename(key) {
    const group = this.#groups().find((known) => known.key === key);
    askName(this.root, group, this.#groups(), (name) => {
      this.#model.send({ kind: "rename", body: { key, name } });
    });
  }

  // -- what is heard -------------------------------------------------------------------------

  #hear({ kind, pictures }) {
    if (kind !== "pictures") return;
    for (const [key, data] of Object.entries(pictures)) {
      this.#pictures.set(key, data);
      this.#awaited.delete(key);
    }
    this.#fill();
  }

  #forgetHeard() {
    const heard = new Set(this.#state.heard);
    const refused = new Map(this.#state.refused);
    const told = this.#unsent.filter(({ body }) => heard.has(body.client_id));
    if (!told.length) return;
    this.#unsent = this.#unsent.filter((one) => !told.includes(one));
    this.#notice("");
    for (const { kind, body } of told) {
      const reason = refused.get(body.client_id);
      if (reason) this.#notice(kind === "answer" ? `An answer was not taken: ${reason}` : reason);
    }
  }

  #tick() {
    if (!this.#state.phase) return;
    const now = performance.now();
    if (this.#closesAt !== null) {
      const left = Math.max(0, this.#closesAt - now);
      this.#find(".countdown").textContent = Math.ceil(left / 1000);
      if (!left) this.#learn();
    }
    if (this.#phase() === "learning") return;
    const waiting = this.#unsent.filter(({ kind }) => kind === "answer");
    if (waiting.length && now - waiting[0].at > UNSAVED_MS) {
      this.#notice(`The kernel is busy, or gone. Answers not saved yet: ${waiting.length}`);
    }
    for (const [key, at] of this.#awaited) if (now - at > SLOW_MS) this.#awaited.delete(key);
    this.#fill();
  }

  // -- pictures ------------------------------------------------------------------------------

  #fill() {
    for (const image of this.root.querySelectorAll("img:not([src])")) {
      const data = this.#pictures.get(image.dataset.picture);
      if (data) image.src = data;
    }
    this.#fetch();
  }

  #fetch() {
    const wanted = new Set([...this.root.querySelectorAll("img:not([src])")]
      .map((image) => image.dataset.picture));
    for (const question of this.#open().slice(0, AHEAD)) {
      for (const { picture, index } of question.samples) if (picture) wanted.add(`large/${index}`);
      for (const { exemplar, members } of question.candidates) {
        for (const sample of [exemplar, ...members]) {
          if (sample?.picture) wanted.add(`tile/${sample.index}`);
        }
      }
    }
    const fresh = [...wanted].filter((key) => !this.#pictures.has(key) && !this.#awaited.has(key));
    if (!fresh.length) return;
    for (const key of fresh) this.#awaited.set(key, performance.now());
    this.#model.send({ kind: "pictures", body: { wanted: fresh } });
  }

  // -- what is seen --------------------------------------------------------------------------

  #update() {
    if (!this.#state.phase) return;
    this.#forgetHeard();
    this.#closesAt = null;
    this.#drawStanding();
    this.#drawGroups();
    const [next] = this.#phase() === "asking" ? this.#open() : [];
    this.#current = next ?? null;
    if (next) this.#show(`${next.round} ${next.position}`, () => drawQuestion(next).node);
    else this.#show(...this.#between());
    this.#drawPalette();
    this.#fill();
  }

  #show(key, build) {
    if (this.#shown === key) return;
    const isInside = this.#hasFocus();
    const screen = this.#find(".screen");
    const before = screen.querySelector(":focus");
    const focused = before?.matches("input") ? ".search input"
      : before && `[data-action="${before.dataset.action}"]`;
    this.#shown = key;
    this.#shownAt = performance.now();
    screen.replaceChildren(build());
    // The keyboard stays here, and at its button where there is one again.
    if (isInside && !this.#hasFocus()) {
      const again = focused && screen.querySelector(focused);
      (again || this.root).focus({ preventScroll: true });
    }
    const told = screen.querySelector("h2").textContent
      + (this.#current ? ` ${this.#find(".counted").textContent}` : "");
    const place = this.#find(".told");
    if (place.textContent !== told) place.textContent = told;
  }

  #hasFocus() {
    return this.root.matches(":focus-within");
  }

  // A key that changes when the screen has to, and what it shows instead of a question.
  #between() {
    const { round, total, failed, progress, losses, closes_in: closesIn } = this.#state;
    const seconds = closesIn ?? UNHEARD_SECONDS;
    const go = (text) => element("button",
      { type: "button", class: "main", "data-action": "go" }, badge("go"), ` ${text}`);
    const phase = this.#phase();
    if (phase === "failed") {
      return [`failed ${failed}`, () => message("That did not work", element("p", {}, failed),
        element("p", {}, "All answers are saved."), element("div", { class: "row" }, go("Go on")))];
    }
    if (phase === "learning") {
      const shown = JSON.stringify([round, progress, losses.length]);
      return [`learning ${shown}`, () => drawProgress("Thank you. The answers are being learned.",
        "The next questions will be here soon.", this.#state)];
    }
    if (phase !== "asking") {
      return [phase, () => message("Nothing is left to ask", element("p", {}, "Thank you!"))];
    }
    this.#closesAt = performance.now() + 1000 * seconds;
    return [`complete ${round}`, () => message(`All ${total} questions are answered`,
      element("p", {}, "Learning starts in ",
        element("span", { class: "countdown" }, Math.ceil(seconds)),
        " s. Until then you can still go back."),
      element("div", { class: "row" }, go("Learn now"), button("undo", "Go back")))];
  }

  #drawStanding() {
    const { round, total, phase } = this.#state;
    const given = this.#answers().length;
    const isAsking = phase === "asking";
    this.#find(".counted").textContent = isAsking ? `${given} of ${total} · round ${round}` : "";
    const meter = this.#find(".meter");
    meter.setAttribute("aria-valuemax", String(total || 1));
    meter.setAttribute("aria-valuenow", String(given));
    meter.firstElementChild.style.width = `${isAsking && total ? (100 * given) / total : 0}%`;
    // Not disabled: it would lose the focus, and the next key be the notebook's.
    this.#find(".learn").ariaDisabled = String(this.#phase() !== "asking" || !given);
  }

  #drawGroups() {
    const { result } = this.#state;
    const groups = [...(result?.groups ?? [])].sort((a, b) => b.size - a.size);
    const wanted = JSON.stringify(result);
    const place = this.#find(".sizes");
    if (place.dataset.shown === wanted) return;
    place.dataset.shown = wanted;
    this.#find("summary").textContent = [`${groups.length} groups`, outlookOf(result)]
      .filter(Boolean).join(" · ");
    const most = groups[0]?.size || 1;
    place.replaceChildren(...groups.map(({ name, size, answered }) => {
      const bar = element("span", { class: "share", "aria-hidden": "true" });
      bar.style.setProperty("--share", `${(100 * size) / most}%`);
      const told = answered ? `${size}, ${answered} answered` : String(size);
      return element("li", {}, element("span", { class: "name", title: name }, name), bar,
        element("span", { class: "quiet" }, told));
    }));
  }

  #drawPalette() {
    const place = this.#naming();
    if (!place) return;
    const focused = place.querySelector(".palette :focus")?.dataset.action;
    drawPalette(place, this.#groups(), this.#isFull());
    if (focused && !this.#hasFocus()) {
      (place.querySelector(`[data-action="${focused}"]`) ?? this.root).focus({ preventScroll: true });
    }
  }

  #notice(text) {
    const place = this.#find(".notice");
    if (place.textContent === text) return;
    place.textContent = text;
    place.hidden = !text;
  }
}

export default {
  render({ model, el }) {
    const view = new View(model);
    el.append(view.root);
    return () => view.end();
  },
};
