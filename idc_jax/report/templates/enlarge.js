// A click on a sample enlarges it, and from there one goes through those beside it.
"use strict";
(() => {
  const dialog = document.getElementById("enlarged");
  const [canvas, told, link] = ["canvas", "span", "a"].map((tag) => dialog.querySelector(tag));
  let samples = []; // {image, x, y, side, title, file}
  let place = 0;

  function ofThumb(button) {
    const image = button.querySelector("img");
    return { image, x: 0, y: 0, width: image.naturalWidth, height: image.naturalHeight,
      title: button.title, file: button.dataset.file };
  }

  function ofSheet(sheet) {
    const image = sheet.querySelector("img");
    const columns = Number(sheet.dataset.columns);
    const side = image.naturalWidth / columns;
    const files = JSON.parse(sheet.dataset.files);
    return JSON.parse(sheet.dataset.titles).map((title, i) => ({ image, title, file: files[i],
      width: side, height: side, x: side * (i % columns), y: side * Math.floor(i / columns) }));
  }

  function show(wanted) {
    place = (wanted + samples.length) % samples.length;
    const { title } = samples[place];
    // A page that is served may not lead to files.
    const file = location.protocol === "file:" && samples[place].file;
    paint(samples[place]);
    canvas.setAttribute("aria-label", title);
    told.textContent = `${title} (${place + 1} of ${samples.length})`;
    link.hidden = !file;
    if (!file) return;
    link.href = file;
    // The file itself, where the browser may read it.
    const whole = new Image();
    whole.onload = () => {
      if (samples[place].file !== file) return;
      paint({ image: whole, x: 0, y: 0, width: whole.naturalWidth, height: whole.naturalHeight });
    };
    whole.src = file;
  }

  function paint({ image, x, y, width, height }) {
    Object.assign(canvas, { width, height });
    canvas.getContext("2d").drawImage(image, x, y, width, height, 0, 0, width, height);
  }

  function open(all, wanted, pixels) {
    samples = all;
    dialog.classList.toggle("pixels", pixels);
    show(wanted);
    dialog.showModal();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".thumb button, .sheet, #enlarged button");
    if (!button) return;
    const pixels = document.body.classList.contains("pixels");
    if (button.closest("dialog")) {
      const step = Number(button.dataset.step);
      if (step) show(place + step);
      else dialog.close();
    } else if (button.matches(".sheet")) {
      const all = ofSheet(button);
      const { left, top, width } = button.firstElementChild.getBoundingClientRect();
      const side = width / Number(button.dataset.columns);
      const at = Math.floor((event.clientX - left) / side)
        + Math.floor((event.clientY - top) / side) * Number(button.dataset.columns);
      open(all, event.detail && at < all.length ? at : 0, pixels); // without a mouse, the first one
    } else {
      const beside = [...button.closest(".row, .asked").querySelectorAll("button")];
      open(beside.map(ofThumb), beside.indexOf(button), pixels);
    }
  });

  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) show(place + step);
  });
})();
