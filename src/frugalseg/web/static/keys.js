// Which key does what. People may choose others; their choice stays in their browser.

export const CLASS_KEYS = [..."1234567890qwertyuiop"];

export const ACTIONS = {
  back: ["take the last answer back", "z"],
  ambiguous: ["boundary or mixed pixel", "x"],
  none: ["none of these classes", "-"],
  skip: ["not now, others first", " "],
  guess: ["hold: what the model says (noted with the answer)", "h"],
  context: ["more or less of the frame", "c"],
  earlier: ["the frame before", ","],
  later: ["the frame after", "."],
  darker: ["darker", "["],
  brighter: ["brighter", "]"],
  flatter: ["less contrast", "{"],
  harder: ["more contrast", "}"],
  closer: ["closer", "+"],
  farther: ["farther", "_"],
  help: ["this help", "?"],
};
const FIXED = { Backspace: "back", PageUp: "closer", PageDown: "farther" };

export class Keys {
  constructor(classes) {
    this.names = classes.map((entry) => entry.name);
    this.own = JSON.parse(localStorage.getItem("keys") ?? "{}");
  }

  of(action) {
    return this.own[action] ?? (action.startsWith("class ") ? CLASS_KEYS[Number(action.slice(6))] : ACTIONS[action][1]);
  }

  get actions() {
    return [...this.names.map((_, id) => `class ${id}`), ...Object.keys(ACTIONS)];
  }

  what(key) {
    return FIXED[key] ?? this.actions.find((action) => this.of(action) === key);
  }

  describe(action) {
    return action.startsWith("class ") ? this.names[Number(action.slice(6))] : ACTIONS[action][0];
  }

  // Gives a key to an action; the action that had it gets the other's.
  change(action, key) {
    const other = this.what(key);
    if (other) this.own[other] = this.of(action);
    this.own[action] = key;
    localStorage.setItem("keys", JSON.stringify(this.own));
  }

  reset() {
    this.own = {};
    localStorage.removeItem("keys");
  }
}

export const shown = (key) => (key === " " ? "Space" : key ?? "");
