// The stack on a canvas: slabs from the server as tiles, the view moved and zoomed, and lines drawn over it.
// Places are voxels z, y, x of the full resolution; voxel i has its middle at i, as everywhere in neuropack.

const TILE = 512; // voxels of a level along each side of a tile
const KEPT = 160; // tiles
const OTHERS = [[1, 2], [0, 2], [0, 1]]; // which of z, y, x run down and across when looking along each

export class Slabs extends EventTarget {
  constructor(canvas, base, about) {
    super();
    this.canvas = canvas;
    this.base = base;
    this.shape = about.shape;
    this.voxel = about.voxel_size_um || [1, 1, 1];
    this.known = Boolean(about.voxel_size_um);
    this.levels = about.levels.map((one) => one.factor);
    this.channels = about.channels.map((one, i) => ({ ...one, on: i < 8, low: one.window[0], high: one.window[1] }));
    this.axis = 0;
    this.center = this.shape.map((n) => (n - 1) / 2);
    this.center[0] = Math.round(this.center[0]);
    this.thickness = Math.min(7, this.shape[0]);
    this.zoom = 1; // pixels of the screen per micrometre
    this.tiles = new Map();
    this.drawn = []; // the tiles of the last view that was complete: shown until those of the next are there
    this.painters = [];
    this.asked = false;
    new ResizeObserver(() => this.paint()).observe(canvas);
  }

  get size() {
    return [this.canvas.clientWidth || 1, this.canvas.clientHeight || 1];
  }

  fit() {
    const [down, across] = OTHERS[this.axis];
    const [w, h] = this.size;
    this.zoom = 0.95 * Math.min(w / (this.shape[across] * this.voxel[across]), h / (this.shape[down] * this.voxel[down]));
    for (const i of [down, across]) this.center[i] = (this.shape[i] - 1) / 2;
    this.changed();
  }

  changed() {
    this.center = this.center.map((v, i) => Math.min(Math.max(v, 0), this.shape[i] - 1));
    this.center[this.axis] = Math.round(this.center[this.axis]);
    this.paint();
    this.dispatchEvent(new Event("moved"));
  }

  toScreen(zyx) {
    const [down, across] = OTHERS[this.axis];
    const [w, h] = this.size;
    return [
      w / 2 + (zyx[across] - this.center[across]) * this.voxel[across] * this.zoom,
      h / 2 + (zyx[down] - this.center[down]) * this.voxel[down] * this.zoom,
    ];
  }

  toVoxel(px, py) {
    const [down, across] = OTHERS[this.axis];
    const [w, h] = this.size;
    const zyx = [...this.center];
    zyx[across] += (px - w / 2) / (this.voxel[across] * this.zoom);
    zyx[down] += (py - h / 2) / (this.voxel[down] * this.zoom);
    return zyx;
  }

  contains(zyx) {
    return zyx.every((v, i) => v >= -0.5 && v <= this.shape[i] - 0.5);
  }

  // How far a place lies outside of the slab, planes: 0 inside.
  beyond(zyx) {
    const [low, high] = this.span;
    const at = zyx[this.axis];
    return at < low - 0.5 ? low - 0.5 - at : at > high - 0.5 ? at - high + 0.5 : 0;
  }

  get span() {
    const middle = this.center[this.axis];
    const low = Math.max(0, middle - Math.floor((this.thickness - 1) / 2));
    return [low, Math.min(this.shape[this.axis], low + this.thickness)];
  }

  pan(dx, dy) {
    const [down, across] = OTHERS[this.axis];
    this.center[across] -= dx / (this.voxel[across] * this.zoom);
    this.center[down] -= dy / (this.voxel[down] * this.zoom);
    this.changed();
  }

  zoomAt(factor, px, py) {
    const before = this.toVoxel(px, py);
    this.zoom = Math.min(Math.max(this.zoom * factor, 1e-4), 400);
    const after = this.toVoxel(px, py);
    this.center = this.center.map((v, i) => v + before[i] - after[i]);
    this.changed();
  }

  step(planes) {
    this.center[this.axis] += planes;
    this.changed();
  }

  get level() {
    const [down, across] = OTHERS[this.axis];
    let best = 0;
    this.levels.forEach((factor, level) => {
      const px = Math.max(factor[across] * this.voxel[across], factor[down] * this.voxel[down]) * this.zoom;
      if (px <= 1.6 / (window.devicePixelRatio || 1)) best = level;
    });
    return best;
  }

  wanted() {
    const [down, across] = OTHERS[this.axis];
    const level = this.level;
    const factor = this.levels[level];
    const [w, h] = this.size;
    const [first, last] = [this.toVoxel(0, 0), this.toVoxel(w, h)];
    const on = this.channels.map((one, i) => [one, i]).filter(([one]) => one.on);
    if (!on.length) return [];
    const query = new URLSearchParams({
      ["zyx"[this.axis]]: String(Math.round(this.center[this.axis])),
      thickness: String(this.thickness),
      level: String(level),
      channels: on.map(([, i]) => i).join(","),
      window: on.map(([one]) => `${one.low}:${one.high}`).join(","),
    });
    const span = [down, across].map((i) => TILE * factor[i]);
    const begin = [down, across].map((i, k) => Math.max(0, Math.floor((first[i] + 0.5) / span[k])));
    const end = [down, across].map((i, k) =>
      Math.min(Math.ceil(this.shape[i] / span[k]), Math.ceil((last[i] + 0.5) / span[k])));
    const tiles = [];
    for (let r = begin[0]; r < end[0]; r += 1) {
      for (let c = begin[1]; c < end[1]; c += 1) {
        const box = [r * span[0], c * span[1], Math.min((r + 1) * span[0], this.shape[down]),
          Math.min((c + 1) * span[1], this.shape[across])];
        tiles.push({ url: `${this.base}/slab.png?${query}&box=${box.join(",")}`, box, axis: this.axis });
      }
    }
    return tiles;
  }

  load(tile) {
    let image = this.tiles.get(tile.url);
    if (image) {
      this.tiles.delete(tile.url);
    } else {
      image = new Image();
      image.decoding = "async";
      image.onload = () => this.paint();
      image.onerror = () => this.dispatchEvent(new CustomEvent("broken", { detail: tile.url }));
      image.src = tile.url;
    }
    this.tiles.set(tile.url, image); // the newest stands last
    return image;
  }

  paint() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.paintNow();
    });
  }

  paintNow() {
    const { canvas } = this;
    const [w, h] = this.size;
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
      canvas.width = Math.round(w * ratio);
      canvas.height = Math.round(h * ratio);
    }
    const ctx = canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.fillStyle = "#000";
    ctx.fillRect(0, 0, w, h);
    const tiles = this.wanted().map((tile) => ({ ...tile, image: this.load(tile) }));
    const whole = tiles.every((tile) => tile.image.complete);
    if (!whole) this.drawn.forEach((tile) => this.put(ctx, tile));
    tiles.forEach((tile) => this.put(ctx, tile));
    if (whole) this.drawn = tiles;
    const now = new Set(tiles.map((tile) => tile.url));
    for (const [url, image] of this.tiles) {
      if (!image.complete && !now.has(url)) {
        image.onload = image.onerror = null;
        image.src = ""; // nobody waits for it any more
        this.tiles.delete(url);
      } else if (this.tiles.size > KEPT && !now.has(url)) {
        this.tiles.delete(url);
      }
    }
    canvas.dataset.whole = String(whole);
    this.painters.forEach((paint) => paint(ctx, w, h));
    this.bar(ctx, h);
  }

  put(ctx, { image, box, axis }) {
    if (axis !== this.axis || !image.complete || !image.naturalWidth) return;
    const [down, across] = OTHERS[axis];
    const corner = [0, 0, 0];
    corner[down] = box[0] - 0.5;
    corner[across] = box[1] - 0.5;
    const far = [0, 0, 0];
    far[down] = box[2] - 0.5;
    far[across] = box[3] - 0.5;
    const [x0, y0] = this.toScreen(corner);
    const [x1, y1] = this.toScreen(far);
    ctx.imageSmoothingEnabled = (x1 - x0) / image.naturalWidth < 2;
    ctx.drawImage(image, x0, y0, x1 - x0, y1 - y0);
  }

  bar(ctx, h) {
    if (!this.known) return;
    const most = 120 / this.zoom;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((f) => f * power).find((one) => one <= most) || power;
    ctx.fillStyle = "#fff";
    ctx.fillRect(14, h - 46, length * this.zoom, 4);
    ctx.font = "13px system-ui, sans-serif";
    ctx.fillText(length >= 1000 ? `${length / 1000} mm` : `${Number(length.toPrecision(2))} µm`, 14, h - 52);
  }
}
