// Draws a question: the context with an open crosshair, and the lens. All in pixels of the frame.

const CONTEXTS = [0.5, 1, 0.25]; // sides of the context as a share of the frame's
const GAP = 6; // screen pixels between a hairline and the pixel asked about
const LENS_PX = 33;

export class View {
  constructor(canvas, lens, note) {
    Object.assign(this, { canvas, lens, note });
    this.brightness = this.contrast = 1;
    this.context = 0;
    this.beside = 0; // -1: the frame before, 1: the frame after
    this.images = {};
    new ResizeObserver(() => this.#resized()).observe(canvas);
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#drag(event));
  }

  show(question, images) {
    Object.assign(this, { question, images, beside: 0 });
    this.#reset();
    this.draw();
  }

  nextContext() {
    this.context = (this.context + 1) % CONTEXTS.length;
    this.#reset();
    this.draw();
  }

  turn(beside) {
    const wanted = Math.max(-1, Math.min(1, this.beside + beside));
    const image = wanted < 0 ? this.images.earlier : wanted > 0 ? this.images.later : this.images.window;
    if (image) this.beside = wanted;
    this.draw();
    return Boolean(image);
  }

  light(brightness, contrast) {
    this.brightness = Math.max(0.25, Math.min(4, this.brightness * brightness));
    this.contrast = Math.max(0.25, Math.min(4, this.contrast * contrast));
    this.draw();
  }

  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const before = this.#toFrame(x, y);
    this.scale = Math.max(0.1, Math.min(64, this.scale * factor));
    const after = this.#toFrame(x, y);
    this.centre.column += before.column - after.column;
    this.centre.row += before.row - after.row;
    this.draw();
  }

  pan(columns, rows) {
    this.centre.column += columns;
    this.centre.row += rows;
    this.draw();
  }

  draw() {
    if (!this.question) return;
    const filter = `brightness(${this.brightness}) contrast(${this.contrast})`;
    this.canvas.style.filter = this.lens.style.filter = filter;
    this.#drawContext();
    this.#drawLens();
    this.note.textContent = this.beside < 0 ? "the frame before" : this.beside > 0 ? "the frame after" : "";
    this.note.hidden = this.beside === 0;
  }

  #resized() {
    if (!this.question) return;
    this.#reset(); // or the pixel could lie outside
    this.draw();
  }

  #reset() {
    const [height, width] = this.question.media.frame;
    const share = CONTEXTS[this.context];
    const size = [this.canvas.clientWidth || 1, this.canvas.clientHeight || 1];
    this.scale = Math.max(size[0] / (width * share), size[1] / (height * share));
    if (share === 1) this.scale = Math.min(size[0] / width, size[1] / height);
    const { row, column } = this.question;
    const inside = (place, length, pixels) => {
      const half = pixels / this.scale / 2;
      return half * 2 >= length ? length / 2 : Math.max(half, Math.min(length - half, place + 0.5));
    };
    this.centre = { row: inside(row, height, size[1]), column: inside(column, width, size[0]) };
  }

  #toFrame(x, y) {
    return {
      column: this.centre.column + (x - this.canvas.clientWidth / 2) / this.scale,
      row: this.centre.row + (y - this.canvas.clientHeight / 2) / this.scale,
    };
  }

  #drawContext() {
    const { canvas } = this;
    const ratio = devicePixelRatio;
    const size = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, ...size);
    const scale = this.scale * ratio;
    const x = (column) => size[0] / 2 + (column - this.centre.column) * scale;
    const y = (row) => size[1] / 2 + (row - this.centre.row) * scale;
    const { top, left, height, width } = this.question.media.window;
    const image = this.beside < 0 ? this.images.earlier : this.beside > 0 ? this.images.later : this.images.window;
    pen.imageSmoothingEnabled = scale < 3;
    if (image) pen.drawImage(image, x(left), y(top), width * scale, height * scale);
    this.#crosshair(pen, x, y, size, ratio);
  }

  #crosshair(pen, x, y, size, ratio) {
    const { row, column } = this.question;
    const [left, right, top, bottom] = [x(column), x(column + 1), y(row), y(row + 1)];
    const gap = GAP * ratio;
    const middle = { x: (left + right) / 2, y: (top + bottom) / 2 };
    const lines = [
      [0, middle.y, left - gap, middle.y], [right + gap, middle.y, size[0], middle.y],
      [middle.x, 0, middle.x, top - gap], [middle.x, bottom + gap, middle.x, size[1]],
    ];
    for (const [colour, weight] of [["#000", 3], ["#fff", 1]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = weight * ratio;
      pen.beginPath();
      for (const [x1, y1, x2, y2] of lines) {
        pen.moveTo(x1, y1);
        pen.lineTo(x2, y2);
      }
      pen.stroke();
    }
  }

  #drawLens() {
    const { lens, question, images } = this;
    const half = (LENS_PX - 1) / 2;
    const each = 14; // times nearest-neighbour
    if (lens.width !== LENS_PX * each) lens.width = lens.height = LENS_PX * each;
    const pen = lens.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.clearRect(0, 0, lens.width, lens.height);
    const { top, left, height, width } = question.media.lens;
    const [x, y] = [(left - question.column + half) * each, (top - question.row + half) * each];
    if (images.lens) pen.drawImage(images.lens, x, y, width * each, height * each);
    for (const [colour, weight, out] of [["#000", 4, 2], ["#fff", 2, 2]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = weight;
      pen.strokeRect(half * each - out, half * each - out, each + 2 * out, each + 2 * out);
    }
  }

  #wheel(event) {
    event.preventDefault();
    this.zoom(1.0015 ** -event.deltaY, event.offsetX, event.offsetY);
  }

  #drag(event) {
    const move = (now) => this.pan(-now.movementX / this.scale, -now.movementY / this.scale);
    const stop = () => this.canvas.removeEventListener("pointermove", move);
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerup", stop, { once: true });
    this.canvas.addEventListener("pointercancel", stop, { once: true });
  }
}
