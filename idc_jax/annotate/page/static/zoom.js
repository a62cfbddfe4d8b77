// Samples enlarged: to the size of the screen, and by a click to all the pixels of their file.

import { caption, draw, element, pictureOf } from "./draw.js";

const STILL_PX = 4; // a pointer that has moved further has dragged

// The figures of a sample: as it is, and, where that differs, as the network sees it.
export function drawZoomed(sample) {
  const place = element("div", { class: "pan" });
  place.append(draw(sample, { size: sample.side ? "large" : "whole", smooth: true, alt: sample.name }));
  const figures = [element("figure", {}, place, caption(sample))];
  if (sample.picture && !sample.side) {
    figures[0].append(element("small", { class: "quiet" }, "A click shows its own pixels; drag to move."));
    pan(place);
  }
  if (sample.cut) {
    figures.push(element("figure", { class: "as-seen" },
      pictureOf(sample.index, { size: "seen", alt: "What the network sees of it" }),
      element("figcaption", {}, "What the network sees")));
  }
  return figures;
}

// All of its pixels at a click, where it was clicked; then it is dragged, or scrolled by keys.
function pan(place) {
  let moved = 0;
  place.tabIndex = 0;
  place.setAttribute("role", "group");
  place.setAttribute("aria-label", "The image; Enter shows its own pixels");
  const change = (x, y) => {
    place.classList.toggle("actual");
    place.scrollTo(x * place.scrollWidth - place.clientWidth / 2, y * place.scrollHeight - place.clientHeight / 2);
  };
  place.addEventListener("pointerdown", () => { moved = 0; });
  place.addEventListener("pointermove", (event) => {
    if (event.buttons !== 1 || event.pointerType === "touch") return; // a finger scrolls already
    moved += Math.abs(event.movementX) + Math.abs(event.movementY);
    place.scrollBy(-event.movementX, -event.movementY);
  });
  place.addEventListener("click", (event) => {
    const box = place.getBoundingClientRect();
    if (moved <= STILL_PX) change((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  });
  place.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.stopPropagation();
    change(0.5, 0.5);
  });
}
