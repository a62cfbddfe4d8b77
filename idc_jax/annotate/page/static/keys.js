// Which key does what. Tiles take letters and digits; every key can be given another meaning. Where
// names are typed, letters are text, and what has another key is done by that.

// Letters that the fixed actions do not use.
const LETTERS = "abcdefghijklmopqrtvwxy";
const STORED = "idc:keys";
const DIGITS = "1234567890";
const MOST_SHOWN = DIGITS.length;

const FIXED = {
  none: ["n"],
  skip: ["s", " "],
  undo: ["u", "backspace"],
  zoom: ["z", "+"],
  help: ["?"],
  go: ["enter"],
};

const TITLES = {
  none: "None of these · a new group",
  skip: "Skip: cannot say",
  undo: "Undo, go back",
  zoom: "Zoom",
  help: "The keys",
  go: "Go on",
};

let changed = load();

function load() {
  try {
    return JSON.parse(localStorage.getItem(STORED)) ?? {};
  } catch {
    return {};
  }
}

function defaults(action) {
  if (action in FIXED) return FIXED[action];
  const tile = Number(action.slice("choose-".length));
  const keys = tile < LETTERS.length ? [LETTERS[tile]] : [];
  return tile < DIGITS.length ? [...keys, DIGITS[tile]] : keys;
}

export function keysOf(action, { typing = false } = {}) {
  const usual = defaults(action).filter((key) => !taken(key, action));
  if (!typing) return changed[action] ?? usual;
  const own = (changed[action] ?? []).filter((key) => !isLetter(key));
  return own.length ? own : usual.filter((key) => !isLetter(key));
}

function isLetter(key) {
  return /^\p{L}$/u.test(key);
}

function taken(key, action) {
  return Object.entries(changed).some(([other, keys]) => other !== action && keys.includes(key));
}

export function label(key) {
  return { " ": "Space", backspace: "⌫", enter: "Enter", arrowleft: "←", arrowright: "→" }[key]
    ?? (key.length === 1 ? key.toUpperCase() : key[0].toUpperCase() + key.slice(1));
}

// The action of a key press, or null: modifiers, repeats and typing in a field are none.
export function actionOf(event, tiles, options) {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
  const key = event.key.toLowerCase();
  const actions = [...Object.keys(FIXED), ...Array.from({ length: tiles }, (_, i) => `choose-${i}`)];
  return actions.find((action) => keysOf(action, options).includes(key)) ?? null;
}

export function remap(action, key) {
  changed = { ...changed, [action]: [key] };
  localStorage.setItem(STORED, JSON.stringify(changed));
}

export function reset() {
  changed = {};
  localStorage.removeItem(STORED);
}

export function listed() {
  const tiles = Array.from({ length: MOST_SHOWN }, (_, i) => [`choose-${i}`, `Choose ${i + 1}`]);
  return [...tiles, ...Object.entries(TITLES)].map(([action, title]) => ({
    action,
    title,
    keys: keysOf(action),
  }));
}
