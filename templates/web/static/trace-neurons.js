// The neurons of a session as the server has them, and those of the release; drawn over the slabs.

import { get } from "./trace-api.js";

const NEAR = 10; // pixels: what is nearer to a click is meant
const MOST_LINES = 60000;

export class Neurons {
  constructor(slabs) {
    this.slabs = slabs;
    this.nodes = new Map(); // id -> {id, zyx, parent, neuron, type, radius_um}
    this.neurons = new Map(); // id -> {id, name, color, n_nodes, origin}
    this.given = new Map(); // id -> {color, lines, on}
    this.revision = 0;
    this.active = null;
    this.dragged = null; // {id, zyx}
    this.waiting = null; // {from, to}: a path that is searched for
    this.faint = true;
    slabs.painters.push((ctx, w, h) => this.paint(ctx, w, h));
  }

  async loadAll(session) {
    const found = await Promise.all(session.neurons.map((one) =>
      get(`/api/v1/tracing/sessions/${encodeURIComponent(session.id)}/neurons/${one.id}`)));
    this.nodes = new Map();
    found.forEach((one) => one.nodes.forEach((node) => this.nodes.set(node.id, { ...node, neuron: one.id })));
    this.known(session);
    this.revision = session.revision;
  }

  known(session) {
    this.neurons = new Map(session.neurons.map((one) => [one.id, one]));
    if (!this.nodes.has(this.active)) this.active = null;
  }

  apply(changes) {
    for (const change of changes.items) {
      for (const id of change.deleted_nodes) this.nodes.delete(id);
      for (const node of change.nodes) this.nodes.set(node.id, node);
    }
    this.revision = changes.revision;
    if (!this.nodes.has(this.active)) this.active = null;
  }

  // SWC as the release has it: micrometre from the corner of the first voxel.
  give(id, color, text) {
    const { voxel } = this.slabs;
    const places = new Map();
    const lines = [];
    for (const line of text.split("\n")) {
      const cells = line.trim().split(/\s+/);
      if (cells.length < 7 || line.startsWith("#")) continue;
      const [node, , x, y, z, , parent] = cells.map(Number);
      const zyx = [z / voxel[0] - 0.5, y / voxel[1] - 0.5, x / voxel[2] - 0.5];
      places.set(node, zyx);
      if (places.has(parent)) lines.push([places.get(parent), zyx]);
    }
    this.given.set(id, { color, lines, on: true });
  }

  at(px, py) {
    let best = null;
    let least = NEAR ** 2;
    for (const node of this.nodes.values()) {
      if (this.slabs.beyond(node.zyx) > 2) continue;
      const [x, y] = this.slabs.toScreen(node.zyx);
      const d = (x - px) ** 2 + (y - py) ** 2;
      if (d < least) [best, least] = [node, d];
    }
    return best;
  }

  paint(ctx, w, h) {
    const { slabs } = this;
    ctx.lineCap = "round";
    const line = (a, b, color, width) => {
      const far = Math.min(slabs.beyond(a), slabs.beyond(b));
      if (far > 0 && !this.faint) return;
      const [x0, y0] = slabs.toScreen(a);
      const [x1, y1] = slabs.toScreen(b);
      if (Math.max(x0, x1) < 0 || Math.min(x0, x1) > w || Math.max(y0, y1) < 0 || Math.min(y0, y1) > h) return;
      ctx.globalAlpha = far > 0 ? 0.28 : 1;
      ctx.strokeStyle = color;
      ctx.lineWidth = width;
      ctx.beginPath();
      ctx.moveTo(x0, y0);
      ctx.lineTo(x1, y1);
      ctx.stroke();
    };
    let left = MOST_LINES;
    const pieces = [];
    for (const one of this.given.values()) {
      if (!one.on) continue;
      for (const [a, b] of one.lines) if ((left -= 1) > 0) line(a, b, one.color, 1.2);
    }
    const children = new Map();
    const place = (node) => (this.dragged && this.dragged.id === node.id ? this.dragged.zyx : node.zyx);
    const own = this.nodes.get(this.active);
    for (const node of this.nodes.values()) {
      const parent = this.nodes.get(node.parent);
      if (!parent) continue;
      children.set(parent.id, (children.get(parent.id) || 0) + 1);
      pieces.push([place(parent), place(node), node.neuron]);
    }
    const wide = (neuron) => (own && own.neuron === neuron ? 3 : 2);
    for (const [a, b, neuron] of pieces) line(a, b, "#000000", wide(neuron) + 2);
    for (const [a, b, neuron] of pieces) line(a, b, this.neurons.get(neuron)?.color || "#ffffff", wide(neuron));
    for (const node of this.nodes.values()) {
      if (slabs.beyond(place(node)) > 0) continue;
      const n = children.get(node.id) || 0;
      const chosen = node.id === this.active;
      if (n === 1 && node.parent !== null && !chosen && !this.moving) continue;
      const [x, y] = slabs.toScreen(place(node));
      ctx.globalAlpha = 1;
      ctx.beginPath();
      ctx.arc(x, y, chosen ? 7 : n === 1 ? 2.5 : 4, 0, 2 * Math.PI);
      ctx.fillStyle = this.neurons.get(node.neuron)?.color || "#ffffff";
      ctx.fill();
      ctx.lineWidth = chosen ? 3 : 1.5;
      ctx.strokeStyle = chosen ? "#ffffff" : "#000000";
      ctx.stroke();
    }
    ctx.globalAlpha = 1;
    if (this.waiting) {
      const [x0, y0] = slabs.toScreen(this.waiting.from);
      const [x1, y1] = slabs.toScreen(this.waiting.to);
      ctx.setLineDash([6, 6]);
      ctx.strokeStyle = "#ffffff";
      ctx.lineWidth = 2;
      ctx.beginPath();
      ctx.moveTo(x0, y0);
      ctx.lineTo(x1, y1);
      ctx.stroke();
      ctx.setLineDash([]);
    }
    if (document.activeElement === slabs.canvas) {
      ctx.strokeStyle = "rgba(255,255,255,.9)";
      ctx.lineWidth = 1;
      ctx.beginPath();
      for (const [a, b] of [[5, 14], [-5, -14]]) {
        ctx.moveTo(w / 2 + a, h / 2);
        ctx.lineTo(w / 2 + b, h / 2);
        ctx.moveTo(w / 2, h / 2 + a);
        ctx.lineTo(w / 2, h / 2 + b);
      }
      ctx.stroke();
    }
  }
}
