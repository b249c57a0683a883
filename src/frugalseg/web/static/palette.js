// The classes in their fixed order: chip, name, key; and the three kinds of "no".

import { element } from "./api.js";
import { shown } from "./keys.js";

const SVG = "http://www.w3.org/2000/svg";
const PATTERNS = ["", "M0 4H20M0 10H20M0 16H20", "M4 0V20M10 0V20M16 0V20", "M0 0L20 20M0 20L20 0", "M0 20L20 0"];

export function palette(place, classes, keys, choose, kinds = ["ambiguous", "none", "skip"]) {
  const rows = classes.map((entry, id) => row(chip(entry.color, id), entry.name, keys.of(`class ${id}`), () => choose(`class ${id}`)));
  rows.push(...kinds.map((kind) => row("", keys.describe(kind), keys.of(kind), () => choose(kind))));
  place.replaceChildren(...rows);
}

function row(picture, name, key, chosen) {
  const button = element("button", { type: "button" }, picture, element("span", { class: "name" }, name));
  if (key) button.append(element("kbd", {}, shown(key)));
  button.addEventListener("click", (event) => {
    if (event.detail > 0) button.blur(); // a mouse: keys go on to mean what they mean
    chosen();
  });
  return button;
}

// A colour and a pattern: classes can be told apart without seeing colours.
function chip([red, green, blue], id) {
  const made = document.createElementNS(SVG, "svg");
  for (const [name, value] of [["width", 20], ["height", 20], ["viewBox", "0 0 20 20"], ["aria-hidden", "true"]])
    made.setAttribute(name, value);
  const ground = document.createElementNS(SVG, "rect");
  for (const [name, value] of [["width", 20], ["height", 20], ["fill", `rgb(${red} ${green} ${blue})`]])
    ground.setAttribute(name, value);
  const lines = document.createElementNS(SVG, "path");
  const dark = 0.3 * red + 0.6 * green + 0.1 * blue < 128;
  for (const [name, value] of [["d", PATTERNS[id % PATTERNS.length]], ["stroke", dark ? "#fff" : "#000"]])
    lines.setAttribute(name, value);
  made.append(ground, lines);
  return made;
}
