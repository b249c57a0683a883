// How long a person works on one question: pauses count for at most 30 s, a page in the background for nothing.

export const IDLE_MS = 30_000;

export class ActiveClock {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.start();
  }

  start() {
    this.active = this.hidden = 0;
    this.last = this.now();
    this.visible = document.visibilityState === "visible";
  }

  // A key, a click, a turn of the wheel.
  touch() {
    const gap = this.now() - this.last;
    if (this.visible) this.active += Math.min(gap, IDLE_MS);
    else this.hidden += gap;
    this.last = this.now();
  }

  show(visible) {
    this.touch();
    this.visible = visible;
  }

  read() {
    this.touch();
    return { active_ms: Math.min(Math.round(this.active), 3_600_000), hidden_ms: Math.round(this.hidden) };
  }
}
