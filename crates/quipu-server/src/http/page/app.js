// The live figures of the page. Names of counters come from anybody: they are only ever text.
// Numbers that may pass 2^53 come as texts and stay BigInt.
"use strict";

const POLL_MS = 1000;
const PATIENCE_MS = 5000;
const KEPT = 121; // two minutes of readings
const WINDOW_MS = 10000; // latency is that of so long

const at = (id) => document.getElementById(id);
const readings = []; // {ms, live}, the newest last; of one life of the node
const points = []; // what counted per second, null where the node did not answer

function show(id, text) {
  const node = at(id);
  if (node.textContent !== text) node.textContent = text;
}

function grouped(big) {
  const [sign, digits] = big < 0n ? ["\u2212", (-big).toString()] : ["", big.toString()];
  return sign + digits.replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

function rate(perSecond) {
  if (perSecond === null) return "\u2013";
  if (perSecond > 0 && perSecond < 10) return perSecond.toFixed(1);
  return grouped(BigInt(Math.round(perSecond)));
}

function bytes(text) {
  let value = Number(text);
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${unit > 0 && value < 100 ? value.toFixed(1) : Math.round(value)}\u00a0${units[unit]}`;
}

function span(ns) {
  if (ns === null) return "\u2013";
  const units = [[1e9, "s"], [1e6, "ms"], [1e3, "\u00b5s"], [1, "ns"]];
  const [size, unit] = units.find(([size]) => ns >= size) || units[3];
  const value = ns / size;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)}\u00a0${unit}`;
}

function lasting(ms) {
  const s = Math.floor(ms / 1000);
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = Math.max(0, parts.findIndex(([size]) => s >= size));
  if (s < 1) return "less than a second";
  const words = parts.slice(first, first + 2).map(([size, unit], i) =>
    `${Math.floor((i ? s % parts[first][0] : s) / size)} ${unit}`);
  return words.join(" ");
}

// What was recorded between two readings of a distribution, as pairs of bound and count.
function between(earlier, later) {
  const before = new Map(earlier);
  return later.map(([bound, count]) => [bound, count - (before.get(bound) || 0)]);
}

function merged(some, others) {
  const all = new Map(some);
  for (const [bound, count] of others) all.set(bound, (all.get(bound) || 0) + count);
  return [...all].sort((a, b) => a[0] - b[0]);
}

function quantile(buckets, share) {
  const count = buckets.reduce((sum, [, n]) => sum + n, 0);
  if (count <= 0) return null;
  const rank = Math.max(1, Math.ceil(count * share));
  let seen = 0;
  for (const [bound, n] of buckets) {
    seen += n;
    if (seen >= rank) return bound;
  }
  return null;
}

function perSecond(earlier, later, value) {
  if (!earlier) return null;
  const ms = later.live.uptime_ms - earlier.live.uptime_ms;
  const [a, b] = [value(earlier.live), value(later.live)];
  if (ms <= 0 || a === undefined || b === undefined) return null;
  return Number(BigInt(b) - BigInt(a)) * 1000 / ms;
}

function valueOf(name) {
  return (live) => live.top?.items.find((row) => row.counter === name)?.value;
}

function cell(row, text, className) {
  const td = row.insertCell();
  td.textContent = text;
  if (className) td.className = className;
  return td;
}

// Rows are kept and filled again, so that a selection or a reading voice is not thrown away.
function fill(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((texts, index) => {
    const row = body.rows[index] || body.insertRow();
    texts.forEach((text, column) => {
      const td = row.cells[column] || cell(row, "", column ? "n" : "");
      if (td.textContent !== text) td.textContent = text;
      if (column === 0) td.title = text;
    });
  });
}

function showTop(earlier, newest) {
  const { top, now_ms } = newest.live;
  if (!top) return show("top-as-of", "the first ranking is under way");
  const rows = top.items.map((row) => [
    row.counter,
    grouped(BigInt(row.value)),
    rate(perSecond(earlier, newest, valueOf(row.counter))),
  ]);
  fill(at("top"), rows);
  const greatest = top.items.length ? Math.max(1, Number(top.items[0].value)) : 1;
  [...at("top").rows].forEach((row, index) => {
    const part = Math.max(0, Number(top.items[index].value)) / greatest;
    row.cells[0].className = "bar";
    row.cells[0].style.setProperty("--part", `${(part * 100).toFixed(1)}%`);
  });
  const age = Math.max(0, now_ms - top.to_ms);
  const none = top.items.length ? "" : "there is no counter yet; ";
  show("top-as-of", `${none}as of ${age < 1500 ? "now" : lasting(age) + " ago"}`);
}

function showKinds(earlier, newest) {
  const kinds = Object.keys(newest.live.operations).filter((kind) => newest.live.operations[kind] !== "0");
  fill(at("kinds"), kinds.map((kind) => [
    kind,
    grouped(BigInt(newest.live.operations[kind])),
    rate(perSecond(earlier, newest, (live) => live.operations[kind])),
  ]));
}

function showTimings(window, newest) {
  const recorded = (name) =>
    between(window ? window.live.timings[name] : [], newest.live.timings[name]);
  const requests = merged(recorded("resp"), recorded("http"));
  const pair = (buckets) => `${span(quantile(buckets, 0.5))} / ${span(quantile(buckets, 0.99))}`;
  show("latency", pair(requests));
  const syncs = recorded("sync");
  show("sync", pair(syncs));
  const count = syncs.reduce((sum, [, n]) => sum + n, 0);
  const ms = newest.live.uptime_ms - (window ? window.live.uptime_ms : 0);
  show("syncs", `${rate(ms > 0 ? count * 1000 / ms : null)} per second`);
}

function showLevels({ levels, counters }) {
  show("counters", grouped(BigInt(counters)));
  show("risk", bytes(levels.at_risk_bytes));
  const clients = BigInt(levels.resp_connections) + BigInt(levels.http_connections);
  show("connections", grouped(clients));
  show("held", `${grouped(BigInt(levels.held_replies))} answers wait for the disk`);
  show("memory", bytes(levels.memory_bytes));
  show("memory-max", `of ${bytes(levels.memory_max_bytes)}`);
  show("log", bytes(levels.log_since_snapshot_bytes));
  show("disk", `${bytes(levels.disk_free_bytes)} of disk left`);
}

function showSpark() {
  const greatest = Math.max(1, ...points.map((point) => point || 0));
  const x = (index) => (240 * (KEPT - points.length + index) / (KEPT - 1)).toFixed(1);
  const y = (point) => (46 - 44 * point / greatest).toFixed(1);
  let [line, area, start] = ["", "", null];
  points.forEach((point, index) => {
    if (point === null) return;
    const begins = index === 0 || points[index - 1] === null;
    if (begins) start = x(index);
    line += `${begins ? "M" : "L"}${x(index)} ${y(point)}`;
    area += `${begins ? `M${start} 48L` : "L"}${x(index)} ${y(point)}`;
    if (index === points.length - 1 || points[index + 1] === null) area += `L${x(index)} 48Z`;
  });
  at("spark").querySelector(".line").setAttribute("d", line);
  at("spark").querySelector(".area").setAttribute("d", area);
}

function showAll() {
  const newest = readings[readings.length - 1];
  const earlier = readings[readings.length - 2];
  const window = readings.find((r) => newest.live.uptime_ms - r.live.uptime_ms <= WINDOW_MS + 500);
  const { live } = newest;
  showLines(live.resp_port);
  const acked = live.ack === "fsync" ? "answers when it is on disk" : "answers from memory";
  show("about", `${live.version} \u00b7 up ${lasting(live.uptime_ms)} \u00b7 ack=${live.ack}: ${acked}`);
  show("counted", grouped(BigInt(live.counted)));
  const adds = perSecond(earlier, newest, (live) => live.counted);
  show("rate", rate(adds));
  keep(points, adds);
  showSpark();
  showTimings(window === newest ? null : window, newest);
  showLevels(live);
  showKinds(earlier, newest);
  showTop(earlier, newest);
}

function keep(list, item) {
  list.push(item);
  if (list.length > KEPT) list.shift();
}

function take(live) {
  const last = readings[readings.length - 1];
  // A node that began again counts from zero: nothing before is comparable.
  if (last && live.uptime_ms < last.live.uptime_ms) readings.length = 0;
  keep(readings, { live });
}

let goneSince = null;

async function poll() {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const reply = await fetch("/live", { cache: "no-store", signal });
    if (!reply.ok) throw new Error(`status ${reply.status}`);
    take(await reply.json());
    goneSince = null;
    document.body.classList.remove("stale");
    at("state").className = "live";
    show("state", "live");
    showAll();
  } catch (error) {
    goneSince = goneSince ?? Date.now();
    keep(points, null);
    document.body.classList.add("stale");
    at("state").className = "gone";
    show("state", `no answer for ${lasting(Math.max(1000, Date.now() - goneSince))}`);
  }
}

// One after the other, and none while nobody looks.
async function live() {
  for (;;) {
    const begun = performance.now();
    if (!document.hidden) await poll();
    const left = POLL_MS - (performance.now() - begun);
    await new Promise((done) => setTimeout(done, Math.max(100, left)));
  }
}

function showLines(respPort) {
  const port = respPort === 6379 ? "" : ` -p ${respPort}`;
  const node = respPort === 7411 ? "" : ` --node ${location.hostname}:${respPort}`;
  const counter = `${location.origin}/v1/default/counters/visits`;
  show("try-redis", `redis-cli${port} INCR visits`);
  show("try-http", `curl -d '{"add": 1}' ${counter}`);
  show("try-token", `curl -H 'Idempotency-Key: order-1' -d '{"add": 1}' ${counter}`);
  show("try-ingest", `quipu ingest${node} access.log --match '^(?<ip>[0-9.]+)' --count 'ip:{ip}'`);
  show("try-top", `quipu top${node}`);
}

function copies(button) {
  button.addEventListener("click", async () => {
    const code = at(button.dataset.copies);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "selected";
    }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
}

document.querySelectorAll("button[data-copies]").forEach((button) => {
  const label = button.parentElement.querySelector("span").textContent;
  button.setAttribute("aria-label", `copy: ${label}`);
  copies(button);
});

live();
