// The tracing page. What is shown is what the server has: each action is sent, and its change comes back with those
// of other people.

import { act, get, post, Problem } from "./trace-api.js";
import { Neurons } from "./trace-neurons.js";
import { Slabs } from "./trace-slabs.js";

const about = JSON.parse(document.getElementById("about").textContent);
const $ = (id) => document.getElementById(id);
const canvas = $("canvas");
const EVERY = 1500; // ms between looks at what others did

$("needs").hidden = true;

let slabs;
let neurons;
let session = null;
let busy = 0;
let syncing = Promise.resolve();

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

function element(tag, given = {}, ...inside) {
  const made = Object.assign(document.createElement(tag), given);
  made.append(...inside);
  return made;
}

const base = () => `/api/v1/tracing/sessions/${encodeURIComponent(session.id)}`;

// ---- what the server has

async function reload() {
  session = await get(base());
  await neurons.loadAll(session);
  shown();
}

function sync() {
  const run = async () => {
    const changes = await get(`${base()}/changes?since=${neurons.revision}`);
    if (changes.reload) return reload();
    if (!changes.items.length) return undefined;
    neurons.apply(changes);
    session = await get(base());
    neurons.known(session);
    shown();
    return changes;
  };
  syncing = syncing.then(run, run);
  return syncing;
}

async function follow() {
  for (;;) {
    await new Promise((done) => setTimeout(done, EVERY));
    if (document.hidden || busy) continue;
    const before = neurons.revision;
    try {
      const changes = await sync();
      if (changes && neurons.revision !== before) {
        const who = [...new Set(changes.items.map((one) => one.person).filter(Boolean))];
        say(`${who.join(", ") || "Somebody"} changed the tracing; this is the newest.`);
      }
    } catch (error) {
      say(`The server cannot be reached: ${error.message}. What was shown as kept is kept.`, true);
    }
  }
}

async function does(action, words) {
  if (!session || !about.edit) return null;
  busy += 1;
  buttons();
  say(`${words} …`);
  try {
    const done = await act(session.id, { ...action, revision: neurons.revision });
    await sync();
    say(`${words}: kept.`);
    return done;
  } catch (error) {
    const conflict = error instanceof Problem && error.status === 409;
    await sync().catch(() => null);
    say(conflict
      ? `Somebody else changed this meanwhile: nothing of yours was done. This is the newest; look, and do it again.`
      : `${words} failed: ${error.message}`, true);
    return null;
  } finally {
    busy -= 1;
    neurons.waiting = null;
    shown();
  }
}

// ---- tracing

const chosenType = () => ($("type").value ? { type: Number($("type").value) } : {});

async function seen(zyx) {
  // A click says where in the picture; what was seen there is the brightest of the slab.
  const place = zyx.map((v) => Math.max(0, Math.round(v)));
  const on = slabs.channels.map((one, i) => [one, i]).filter(([one]) => one.on).map(([, i]) => i);
  if (!on.length) return zyx;
  const query = new URLSearchParams({
    z: place[0], y: place[1], x: place[2], axis: "zyx"[slabs.axis], thickness: slabs.thickness, reach: 1,
    channels: on.join(","),
  });
  return (await get(`${about.images}/brightest.json?${query}`)).zyx;
}

async function setPoint(px, py, join = false) {
  const there = neurons.at(px, py);
  const active = neurons.nodes.get(neurons.active);
  if (there && join && active && there.neuron !== active.neuron) {
    const done = await does({ action: "join", node: active.id, other: there.id, color: $("color").checked,
      straight: $("straight").checked }, "Join");
    if (done) choose(done.node ?? active.id);
    return;
  }
  if (there) {
    choose(there.id);
    return;
  }
  const clicked = slabs.toVoxel(px, py);
  if (!slabs.contains(clicked)) {
    say("That lies outside of the stack.", true);
    return;
  }
  if (active) neurons.waiting = { from: active.zyx, to: clicked };
  slabs.paint();
  const at = await seen(clicked).catch(() => clicked);
  const done = active
    ? await does({ action: "extend", node: active.id, to: at, color: $("color").checked,
      straight: $("straight").checked, timeout_s: 60, ...chosenType() }, "Path")
    : await does({ action: "start", at, ...chosenType() }, "Start");
  if (done && done.node !== null) choose(done.node);
}

function choose(id) {
  neurons.active = neurons.nodes.has(id) ? id : null;
  shown();
}

function remove(branch) {
  const node = neurons.nodes.get(neurons.active);
  if (!node) return;
  const parent = node.parent;
  does(branch ? { action: "delete", branch: node.id } : { action: "delete", node: node.id },
    branch ? "Delete branch" : "Delete node").then((done) => done && choose(parent));
}

// ---- what is shown

function buttons() {
  if (!about.edit) return;
  const none = neurons.active === null;
  $("undo").disabled = busy > 0 || !session?.undo;
  $("redo").disabled = busy > 0 || !session?.redo;
  $("removenode").disabled = $("removebranch").disabled = busy > 0 || none;
  $("set").disabled = busy > 0;
  if ($("commit")) $("commit").disabled = busy > 0 || !neurons.neurons.size;
  const own = neurons.neurons.get(neurons.nodes.get(neurons.active)?.neuron);
  $("hint").textContent = own
    ? `Going on from node ${neurons.active} of ${own.name}: click where the path shall lead.`
    : "Click on a neurite to start a neuron, or on a node to go on from it.";
}

function listed() {
  const list = $("neurons");
  if (!list) return;
  const own = neurons.nodes.get(neurons.active)?.neuron;
  list.replaceChildren(...[...neurons.neurons.values()].map((one) => {
    const mark = element("span", { className: "mark" });
    mark.style.background = one.color;
    const row = element("li", {}, mark,
      element("button", { type: "button", className: "call", textContent: one.name, title: "Show it", onclick: () => look(one.id) }),
      element("span", { className: "n", textContent: String(one.n_nodes), title: "nodes" }),
      element("button", { type: "button", textContent: "name", ariaLabel: `Rename ${one.name}`, onclick: () => rename(one) }),
      element("button", { type: "button", textContent: "×", ariaLabel: `Delete ${one.name}`, title: "Delete", onclick: () => drop(one) }));
    row.dataset.neuron = String(one.id);
    if (one.id === own) row.setAttribute("aria-current", "true");
    return row;
  }));
}

function shown() {
  canvas.dataset.nodes = String(neurons.nodes.size);
  canvas.dataset.revision = String(neurons.revision);
  canvas.dataset.active = neurons.active ?? "";
  listed();
  buttons();
  slabs.paint();
}

function look(id) {
  const own = [...neurons.nodes.values()].filter((node) => node.neuron === id);
  const root = own.find((node) => node.parent === null) || own[0];
  if (!root) return;
  slabs.center = [...root.zyx];
  slabs.changed();
  choose(own[own.length - 1].id);
}

function rename(one) {
  const name = window.prompt("Name of the neuron: letters, digits, and . _ -", one.name);
  if (name && name !== one.name) does({ action: "rename", neuron: one.id, name }, "Rename");
}

function drop(one) {
  if (window.confirm(`Delete ${one.name} and its ${one.n_nodes} nodes? Undo brings it back.`)) {
    does({ action: "delete", neuron: one.id }, "Delete neuron");
  }
}

// ---- the panel

function panel() {
  $("plane").max = String(slabs.shape[slabs.axis] - 1);
  $("axis").onchange = () => {
    slabs.axis = Number($("axis").value);
    $("plane").max = String(slabs.shape[slabs.axis] - 1);
    slabs.fit();
  };
  $("plane").oninput = () => {
    slabs.center[slabs.axis] = Number($("plane").value);
    slabs.changed();
  };
  $("thickness").onchange = () => {
    slabs.thickness = Math.max(1, Math.round(Number($("thickness").value) || 1));
    slabs.changed();
  };
  $("beyond").onchange = () => {
    neurons.faint = $("beyond").checked;
    slabs.paint();
  };
  slabs.channels.forEach((one, i) => {
    const mark = element("span", { className: "mark" });
    const box = element("input", { type: "checkbox", checked: one.on, id: `channel${i}` });
    box.onchange = () => {
      one.on = box.checked;
      slabs.paint();
    };
    const ends = ["low", "high"].map((end) => {
      const field = element("input", { type: "number", value: Math.round(one[end]), step: "any",
        ariaLabel: `${one.name}: ${end === "low" ? "black" : "full colour"} at` });
      field.onchange = () => {
        const before = one[end];
        one[end] = Number(field.value);
        if (!(one.low < one.high)) one[end] = before;
        field.value = String(one[end]);
        slabs.paint();
      };
      return field;
    });
    mark.style.background = `#${one.color}`;
    $("channels").append(element("div", { className: "channel" }, box,
      element("label", { htmlFor: `channel${i}` }, mark, one.name), element("div", { className: "ends" }, ...ends)));
  });
  for (const one of about.neurons) {
    const box = element("input", { type: "checkbox" });
    box.onchange = async () => {
      if (neurons.given.has(one.id)) {
        neurons.given.get(one.id).on = box.checked;
      } else {
        try {
          neurons.give(one.id, one.color, await (await fetch(one.swc)).text());
        } catch (error) {
          say(`${one.name} cannot be shown: ${error.message}`, true);
        }
      }
      slabs.paint();
    };
    const mark = element("span", { className: "mark" });
    mark.style.background = one.color;
    const row = element("li", {}, element("label", {}, box, mark, one.name));
    if (about.edit) {
      row.append(element("button", { type: "button", textContent: "correct", ariaLabel: `Take ${one.name} in to correct it`,
        onclick: () => does({ action: "import", neuron: one.id }, "Take in") }));
    }
    if (!about.edit) {
      box.checked = true;
      box.onchange();
    }
    $("given").append(row);
  }
}

function moved() {
  const at = slabs.center.map((v) => Math.round(v));
  $("plane").value = String(at[slabs.axis]);
  $("where").textContent = `z ${at[0]}, y ${at[1]}, x ${at[2]}`;
  clearTimeout(moved.later);
  moved.later = setTimeout(() => {
    const view = new URLSearchParams({
      at: slabs.center.map((v) => Number(v.toFixed(1))).join(","), zoom: slabs.zoom.toPrecision(4),
      thick: slabs.thickness, along: "zyx"[slabs.axis],
    });
    history.replaceState(null, "", `#${view}`);
  }, 300);
}

function fromAddress() {
  const view = new URLSearchParams(location.hash.slice(1));
  const at = (view.get("at") || "").split(",").map(Number);
  const axis = "zyx".indexOf(view.get("along") || "z");
  if (at.length !== 3 || at.some((v) => !Number.isFinite(v)) || axis < 0) return false;
  slabs.axis = axis;
  $("axis").value = String(axis);
  slabs.center = at;
  slabs.zoom = Math.min(Math.max(Number(view.get("zoom")) || slabs.zoom, 1e-4), 400);
  slabs.thickness = Math.max(1, Math.round(Number(view.get("thick")) || slabs.thickness));
  $("thickness").value = String(slabs.thickness);
  $("plane").max = String(slabs.shape[axis] - 1);
  slabs.changed();
  return true;
}

// ---- mouse, touch, keys

function pointers() {
  const down = new Map();
  let travelled = 0;
  let spread = 0;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, place(event));
    travelled = down.size > 1 ? 1000 : 0;
    spread = 0;
    const node = about.edit && $("move").checked && down.size === 1 ? neurons.at(...place(event)) : null;
    if (node) neurons.dragged = { id: node.id, zyx: node.zyx };
  };
  canvas.onpointermove = (event) => {
    if (!down.has(event.pointerId)) return;
    const [x0, y0] = down.get(event.pointerId);
    const [x, y] = place(event);
    down.set(event.pointerId, [x, y]);
    travelled += Math.hypot(x - x0, y - y0);
    if (down.size > 1) {
      const [[ax, ay], [bx, by]] = [...down.values()];
      const now = Math.hypot(ax - bx, ay - by);
      if (spread) slabs.zoomAt(now / spread, (ax + bx) / 2, (ay + by) / 2);
      spread = now;
    } else if (neurons.dragged) {
      const node = neurons.nodes.get(neurons.dragged.id);
      const zyx = slabs.toVoxel(x, y);
      if (node) zyx[slabs.axis] = node.zyx[slabs.axis]; // it stays in its plane
      neurons.dragged.zyx = zyx;
      slabs.paint();
    } else if (travelled > 4) {
      slabs.pan(x - x0, y - y0);
    }
  };
  canvas.onpointerup = async (event) => {
    const was = down.delete(event.pointerId);
    const { dragged } = neurons;
    if (!was || down.size) return;
    if (dragged && travelled > 4) {
      await does({ action: "move", node: dragged.id, to: dragged.zyx }, "Move");
    } else if (travelled <= 4 && about.edit && !busy && event.button === 0) {
      await setPoint(...place(event), event.shiftKey);
    }
    neurons.dragged = null;
    slabs.paint();
  };
  canvas.onpointercancel = (event) => {
    down.delete(event.pointerId);
    neurons.dragged = null;
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) slabs.zoomAt(Math.exp(-event.deltaY / 300), ...place(event));
    else slabs.step(Math.sign(event.deltaY));
  }, { passive: false });
}

function keys() {
  const half = () => slabs.size.map((v) => v / 2);
  const toggle = (id) => {
    if ($(id)) {
      $(id).checked = !$(id).checked;
      $(id).dispatchEvent(new Event("change"));
    }
  };
  const on = {
    ArrowLeft: () => slabs.pan(40, 0), ArrowRight: () => slabs.pan(-40, 0), ArrowUp: () => slabs.pan(0, 40),
    ArrowDown: () => slabs.pan(0, -40), "+": () => slabs.zoomAt(1.25, ...half()), "=": () => slabs.zoomAt(1.25, ...half()),
    "-": () => slabs.zoomAt(0.8, ...half()), PageUp: () => slabs.step(-1), PageDown: () => slabs.step(1),
    "[": () => thick(-2), "]": () => thick(2), f: () => slabs.fit(), Enter: () => about.edit && !busy && setPoint(...half()),
    n: () => choose(null), Escape: () => choose(null), c: () => toggle("color"), l: () => toggle("straight"),
    m: () => toggle("move"), "?": () => $("helping").showModal(), Delete: () => about.edit && remove(false),
  };
  const thick = (by) => {
    slabs.thickness = Math.min(Math.max(1, slabs.thickness + by), slabs.shape[slabs.axis]);
    $("thickness").value = String(slabs.thickness);
    slabs.changed();
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea, button, dialog, a, summary");
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !typing?.matches("input")) {
      event.preventDefault();
      if (about.edit) (event.shiftKey ? $("redo") : $("undo")).click();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
    if (event.key === "Delete" && event.shiftKey) return void (about.edit && remove(true));
    if (/^[1-9]$/.test(event.key)) return void toggle(`channel${Number(event.key) - 1}`);
    const run = on[event.key] || on[event.key.toLowerCase()];
    if (!run || (event.key === "Enter" && event.target !== canvas)) return;
    event.preventDefault();
    run();
  });
  canvas.onfocus = canvas.onblur = () => slabs.paint();
  $("zoomin").onclick = on["+"];
  $("zoomout").onclick = on["-"];
  $("fit").onclick = on.f;
  $("up").onclick = on.PageUp;
  $("down").onclick = on.PageDown;
  $("help").onclick = on["?"];
  if (!about.edit) return;
  $("set").onclick = () => setPoint(...half());
  $("fresh").onclick = () => choose(null);
  $("undo").onclick = () => does({ action: "undo" }, "Undo");
  $("redo").onclick = () => does({ action: "redo" }, "Redo");
  $("removenode").onclick = () => remove(false);
  $("removebranch").onclick = () => remove(true);
  $("move").onchange = () => {
    neurons.moving = $("move").checked;
    slabs.paint();
  };
}

// ---- commit

function commits() {
  if (!$("commit")) return;
  $("commit").onclick = () => {
    $("told").textContent = "";
    $("accept").replaceChildren();
    const rows = [...neurons.neurons.values()].map((one) =>
      element("label", {}, element("input", { type: "checkbox", value: String(one.id), checked: true }), `${one.name} (${one.n_nodes} nodes)`));
    $("chosen").replaceChildren(element("legend", { textContent: "Neurons" }), ...rows);
    $("committing").showModal();
  };
  $("leave").onclick = () => $("committing").close();
  $("commitform").onsubmit = async (event) => {
    event.preventDefault();
    const ids = [...$("chosen").querySelectorAll("input:checked")].map((one) => Number(one.value));
    if (!ids.length) {
      $("told").textContent = "Choose a neuron.";
      return;
    }
    $("told").textContent = "Checking and writing; this takes a while …";
    try {
      const accept = [...$("accept").querySelectorAll("input:checked")].map((one) => one.value);
      const done = await post(`${base()}/commits`, { neurons: ids, message: $("message").value, accept });
      $("committing").close();
      await reload();
      say("Part of the release now: ");
      Object.values(done.neurons).forEach((id) => $("status").append(element("a", {
        href: `/r/${encodeURIComponent(about.release)}/neurons/${encodeURIComponent(id)}`,
        textContent: id.split("_desc-").pop(),
      }), " "));
    } catch (error) {
      const findings = error.body?.findings || [];
      const found = [...findings, ...(error.body?.errors || [])].map((one) =>
        [one.level, one.rule, one.where, one.found || one.detail].filter(Boolean).join(": "));
      $("told").textContent = [error.message, ...found].join("\n");
      const warnings = [...new Set(findings.filter((one) => one.level === "warning").map((one) => one.rule))];
      $("accept").replaceChildren(...warnings.map((rule) => element("label", {},
        element("input", { type: "checkbox", value: rule }), `The warnings of ${rule} stand: I have looked`)));
    }
  };
}

async function begin() {
  const view = await get(`${about.images}/view.json`);
  slabs = new Slabs(canvas, about.images, view);
  neurons = new Neurons(slabs);
  slabs.addEventListener("moved", moved);
  slabs.addEventListener("broken", () => say("A part of the picture could not be had.", true));
  $("thickness").value = String(slabs.thickness);
  panel();
  pointers();
  keys();
  commits();
  if (!fromAddress()) slabs.fit();
  window.addEventListener("hashchange", fromAddress);
  if (about.edit) {
    session = await post("/api/v1/tracing/sessions", { release: about.release, stack: about.stack });
    await neurons.loadAll(session);
    follow();
  }
  shown();
  canvas.dataset.ready = "true";
  say(about.edit ? "Every step is kept at once." : "This server only shows; start it with --edit to trace.");
}

begin().catch((error) => say(`This stack cannot be shown: ${error.message}`, true));
