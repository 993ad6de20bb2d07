"use strict";

const SVG = "http://www.w3.org/2000/svg";
const ALL_SHOWN = 12; // columns with controls of their own; further ones are folded
const MOST_BARS = 14;
const SLIDER = 200; // positions of a slider for numbers that are not whole
const state = { fields: [], given: new Map(), seed: 0, asked: 0, drawn: null, sampled: 0 };

function shape(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// --- numbers and dates as text

function timeText(field, value) {
  const milliseconds = (value * field.step) / 1000;
  if (field.kind === "time") {
    const date = new Date(milliseconds);
    return isNaN(date) ? "" : date.toISOString().slice(11, date.getUTCSeconds() ? 19 : 16);
  }
  const date = new Date(milliseconds);
  if (isNaN(date)) return "";
  const text = date.toISOString();
  return field.kind === "date" ? text.slice(0, 10) : text.slice(0, 16).replace("T", " ");
}

function numberText(value, digits) {
  const size = Math.abs(value);
  if (size >= 1e7 || (size > 0 && size < 1e-4)) return value.toExponential(2).replace("-", "−");
  return value.toLocaleString("en", { maximumFractionDigits: digits }).replace("-", "−");
}

const isTime = (field) => ["date", "datetime", "time"].includes(field.kind);
const shown = (field, value) => (isTime(field) ? timeText(field, value) : numberText(value, field.digits));
const labelText = (field, code) => (code === null ? "missing" : field.labels[code] === "" ? '""' : field.labels[code]);
const share = (value) => (value >= 0.1 ? `${(100 * value).toFixed(0)} %` : value >= 0.001 ? `${(100 * value).toFixed(1)} %` : `${(100 * value).toPrecision(1)} %`);

// --- tables

function table(header, rows, { className = "", right = [] } = {}) {
  const cell = (tag, text, i) => el(tag, { className: right.includes(i) ? "n" : "", textContent: text });
  const head = el("tr", {}, ...header.map((text, i) => Object.assign(cell("th", text, i), { scope: "col" })));
  const body = rows.map((row) => {
    const cells = row.cells.map((text, i) => cell(i ? "td" : "th", text, i));
    cells[0].scope = "row";
    (row.odd || []).forEach((i) => cells[i].classList.add("odd"));
    (row.titles || []).forEach(([i, title]) => (cells[i].title = title));
    (row.long || []).forEach((i) => cells[i].classList.add("long"));
    return el("tr", { className: row.className || "" }, ...cells);
  });
  return el("table", { className }, el("thead", {}, head), el("tbody", {}, ...body));
}

function showSummary(summary) {
  document.title = `${summary.title}: explore`;
  $("title").textContent = summary.title;
  const beside = summary.table ? `, beside ${summary.rows.toLocaleString("en")} rows of ${summary.table}` : "";
  const trained = summary.trained ? `, fitted to ${summary.trained.toLocaleString("en")} rows` : "";
  $("lead").textContent = `A density of ${summary.columns.length} columns (${summary.system})${trained}${beside}.`;
  $("choice").textContent = sentence(summary.choice);
  const scores = summary.scores;
  if (scores) {
    const rows = scores.lines.map((line) => ({
      cells: [line.name, `${line.own && scores.symbol !== "=" ? `${scores.symbol} ` : ""}${line.score}`, line.gain, line.note],
      className: line.own ? "own" : "",
      long: line.note ? [3] : [],
    }));
    const header = ["density", "nats per row", "model is better by", ""];
    if (rows.length === 1) {
      header.length = 2;
      rows[0].cells.length = 2;
    }
    const what = { test: "test rows", validation: "validation rows", all: "rows" }[scores.rows];
    $("score-text").textContent = `Mean log-likelihood of ${scores.count.toLocaleString("en")} ${what}, in nats per row ± standard error; higher is better. ${summary.meaning}`;
    $("score-table").replaceChildren(table(header, rows, { right: [1, 2] }));
  } else {
    $("score-text").textContent = `The model file has no score of held-out rows. ${summary.meaning}`;
    $("score-table").remove();
  }
  const columns = summary.columns.map((cells) => ({ cells, long: [2] }));
  $("columns-table").replaceChildren(table(["column", "kind", "values", "missing"], columns));
  $("columns-notes").replaceChildren(...summary.notes.map((note) => el("li", { textContent: note })));
}

// --- conditions

function folded(target, fields, control) {
  const controls = fields.map(control);
  target.replaceChildren(...controls.slice(0, ALL_SHOWN));
  if (controls.length <= ALL_SHOWN) return;
  const rest = el("div", { className: "grid" }, ...controls.slice(ALL_SHOWN));
  target.append(el("details", {}, el("summary", { textContent: `${controls.length - ALL_SHOWN} more columns` }), rest));
}

function condition(field) {
  const group = el("fieldset", {}, el("legend", { textContent: field.name }));
  if (field.kind === "label") labelCondition(field, group);
  else rangeCondition(field, group);
  return group;
}

function labelCondition(field, group) {
  const select = el("select", { ariaLabel: `Condition on ${field.name}` }, el("option", { textContent: "any", value: "any" }));
  field.labels.forEach((_, i) => select.append(el("option", { textContent: labelText(field, i), value: String(i) })));
  if (field.missing) select.append(el("option", { textContent: "missing", value: "missing" }));
  select.addEventListener("change", () => {
    if (select.value === "any") state.given.delete(field.name);
    else state.given.set(field.name, { label: select.value === "missing" ? null : field.labels[Number(select.value)] });
    group.classList.toggle("set", state.given.has(field.name));
    draw();
  });
  group.addEventListener("clear", () => {
    select.value = "any";
    group.classList.remove("set");
  });
  group.append(select);
}

function rangeCondition(field, group) {
  const span = field.high - field.low;
  const positions = field.whole && span <= 2000 ? Math.max(1, span) : SLIDER;
  const value = (slider) => {
    const exact = field.low + (span * Number(slider.value)) / positions;
    return field.whole ? Math.round(exact) : Number(exact.toFixed(field.digits));
  };
  const sliders = ["from", "to"].map((side, i) =>
    el("input", { type: "range", min: "0", max: String(positions), step: "1", value: i ? String(positions) : "0", ariaLabel: `${field.name} ${side}` }),
  );
  const output = el("output", {});
  const show = () => {
    const texts = sliders.map((slider) => shown(field, value(slider)));
    sliders.forEach((slider, i) => slider.setAttribute("aria-valuetext", texts[i]));
    const whole = sliders[0].value === "0" && Number(sliders[1].value) === positions;
    output.textContent = whole ? `any: ${texts[0]} to ${texts[1]}` : `${texts[0]} to ${texts[1]}`;
    group.classList.toggle("set", !whole);
    return whole;
  };
  sliders.forEach((slider, i) => {
    slider.addEventListener("input", () => {
      // The other end moves along where the two would cross.
      const other = sliders[1 - i];
      if (i ? Number(other.value) > Number(slider.value) : Number(other.value) < Number(slider.value)) other.value = slider.value;
      show();
    });
    slider.addEventListener("change", () => {
      if (show()) state.given.delete(field.name);
      else {
        const low = sliders[0].value === "0" ? null : value(sliders[0]);
        const high = Number(sliders[1].value) === positions ? null : value(sliders[1]);
        state.given.set(field.name, { low, high });
      }
      drawSoon();
    });
  });
  group.addEventListener("clear", () => {
    [sliders[0].value, sliders[1].value] = ["0", String(positions)];
    show();
  });
  const bounds = sliders.map((slider, i) => el("label", { className: "bound" }, i ? "to" : "from", slider));
  bounds.forEach((label) => label.style.setProperty("flex-direction", "row"));
  group.append(...bounds, output);
  if (field.missing) {
    const box = el("input", { type: "checkbox" });
    box.addEventListener("change", () => {
      sliders.forEach((slider) => (slider.disabled = box.checked));
      if (box.checked) state.given.set(field.name, { label: null });
      else state.given.delete(field.name);
      if (!box.checked && !show()) sliders[0].dispatchEvent(new Event("change"));
      else draw();
      group.classList.toggle("set", state.given.has(field.name));
    });
    group.addEventListener("clear", () => {
      box.checked = false;
      sliders.forEach((slider) => (slider.disabled = false));
    });
    group.append(el("label", { className: "box" }, box, "missing"));
  }
  show();
}

const conditions = () => Object.fromEntries(state.given);

let waiting = 0;
function drawSoon() {
  // A key that is held down moves a slider many times in a second.
  clearTimeout(waiting);
  waiting = setTimeout(draw, 150);
}

async function draw() {
  clearTimeout(waiting);
  const asked = ++state.asked;
  const body = { x: $("x").value, y: $("y").value === $("x").value ? null : $("y").value || null, given: conditions(), n: 1000, seed: state.seed };
  $("plot").setAttribute("aria-busy", "true");
  try {
    const drawn = await ask("draw", body);
    if (asked !== state.asked) return;
    state.drawn = drawn;
    const kept = drawn.exact ? "of the draws given the fixed values keep the other conditions" : "of all draws keep the conditions";
    const rate = drawn.conditions ? ` Acceptance: ${share(drawn.acceptance)} ${kept}.` : "";
    $("acceptance").className = "";
    $("acceptance").textContent = `${drawn.samples.toLocaleString("en")} samples.${rate}`;
    plot();
  } catch (error) {
    if (asked !== state.asked) return;
    $("acceptance").className = "problem";
    $("acceptance").textContent = sentence(error.message);
  } finally {
    if (asked === state.asked) $("plot").removeAttribute("aria-busy");
  }
}

// --- plots

const SERIES = ["data", "samples"];

function plot() {
  if (!state.drawn) return;
  const visible = SERIES.filter((name) => $(`show-${name}`).checked && (name === "samples" || state.drawn.values[0].data.length));
  const [x, y] = state.drawn.values.map((values) => ({ ...values, field: state.fields.find((field) => field.name === values.name) }));
  const width = Math.max(280, Math.min(980, $("plot").clientWidth));
  const labels = [x, y].filter((axis) => axis && axis.field.kind === "label");
  let made;
  if (!y && !labels.length) made = histogram(x, visible, width);
  else if (y && !labels.length) made = scatter(x, y, visible, width);
  else if (y && labels.length === 1) made = intervals(x.field.kind === "label" ? y : x, labels[0], visible, width);
  else made = bars(x, y, visible, width);
  const names = y ? `${x.name} and ${y.name}` : x.name;
  made.svg.setAttribute("role", "img");
  made.svg.setAttribute("aria-label", `${made.kind} of ${names}: ${visible.join(" and ")}`);
  $("plot").replaceChildren(made.svg);
  $("caption").textContent = made.caption;
}

function canvas(width, height) {
  return shape("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
}

function extent(axis, visible) {
  let [low, high] = [axis.field.low, axis.field.high];
  for (const name of visible) {
    for (const value of axis[name]) {
      if (value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  const margin = axis.field.whole ? Math.max(0.6, 0.03 * (high - low)) : 0.03 * (high - low) || 1;
  return [low - margin, high + margin];
}

function ticks(field, low, high, most) {
  if (isTime(field)) return timeTicks(field, low, high, field.kind === "datetime" ? Math.min(3, most) : Math.min(4, most));
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) || 10);
  if (field.whole) step = Math.max(1, Math.round(step));
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) found.push([i * step, numberText(i * step || 0, digits)]);
  return found;
}

const SECONDS = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600];
const MONTHS = [1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 2400, 6000];
const MONTH = 2629800; // seconds

function timeTicks(field, low, high, most) {
  // Seconds since 1970, or since midnight, of the values at the ends.
  const [first, last] = [low, high].map((value) => (value * field.step) / 1e6);
  const rough = (last - first) / most;
  const found = [];
  const step = SECONDS.find((seconds) => seconds >= rough && (field.kind !== "date" || seconds >= 86400));
  if (step) {
    for (let i = Math.ceil(first / step); i * step <= last; i++) found.push(i * step);
  } else {
    const months = MONTHS.find((count) => count * MONTH >= rough) || Math.ceil(rough / MONTH);
    const start = new Date(first * 1000);
    for (let i = Math.ceil((start.getUTCFullYear() * 12 + start.getUTCMonth()) / months); found.length < 20; i++) {
      const at = new Date(0);
      at.setUTCFullYear(Math.floor((i * months) / 12), (i * months) % 12, 1);
      if (at > last * 1000) break;
      if (at >= start) found.push(at.getTime() / 1000);
    }
  }
  return found.map((seconds) => [(seconds * 1e6) / field.step, timeText(field, (seconds * 1e6) / field.step)]);
}

function cut(text, width) {
  const most = Math.max(4, Math.floor(width / 6.6));
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function horizontal(svg, axis, low, high, box) {
  const at = (value) => box.left + ((value - low) / (high - low)) * (box.right - box.left);
  const short = !isTime(axis.field) && Math.max(...[low, high].map((value) => shown(axis.field, value).length)) <= 5;
  for (const [value, text] of ticks(axis.field, low, high, box.right - box.left > 420 ? 6 : short ? 5 : 3)) {
    svg.append(shape("line", { class: "gridline", x1: at(value), x2: at(value), y1: box.top, y2: box.bottom }));
    svg.append(shape("text", { x: at(value), y: box.bottom + 16, "text-anchor": "middle" }, text));
  }
  const middle = (box.left + box.right) / 2;
  svg.append(shape("text", { class: "title", x: middle, y: box.bottom + 34, "text-anchor": "middle" }, cut(axis.name, box.right - box.left)));
  return at;
}

function vertical(svg, axis, low, high, box) {
  const at = (value) => box.bottom - ((value - low) / (high - low)) * (box.bottom - box.top);
  for (const [value, text] of ticks(axis.field, low, high, 5)) {
    svg.append(shape("line", { class: "gridline", x1: box.left, x2: box.right, y1: at(value), y2: at(value) }));
    svg.append(shape("text", { x: box.left - 6, y: at(value) + 4, "text-anchor": "end" }, text));
  }
  svg.append(shape("text", { class: "title", x: 4, y: 13 }, cut(axis.name, box.right)));
  return at;
}

function scatter(x, y, visible, width) {
  const height = Math.round(Math.min(480, 0.8 * width));
  const svg = canvas(width, height);
  const box = { left: isTime(y.field) ? (y.field.kind === "datetime" ? 108 : 78) : 62, right: width - 14, top: 24, bottom: height - 44 };
  const [ranges, jitter] = [[extent(x, visible), extent(y, visible)], [0, 0]];
  [x, y].forEach((axis, i) => {
    if (axis.field.whole && !isTime(axis.field) && ranges[i][1] - ranges[i][0] <= 60) jitter[i] = 0.6;
  });
  const toX = horizontal(svg, x, ...ranges[0], box);
  const toY = vertical(svg, y, ...ranges[1], box);
  svg.append(shape("rect", { class: "frame", x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }));
  let lost = 0;
  // A generator of fixed numbers, so that points stay where they are when the window changes.
  let random = 7;
  const spread = (size) => (size ? ((random = (random * 16807) % 2147483647) / 2147483647 - 0.5) * size : 0);
  const points = visible.map((name) => {
    const found = [];
    x[name].forEach((value, i) => {
      const other = y[name][i];
      if (value === null || other === null) lost++;
      else found.push(`M${toX(value + spread(jitter[0])).toFixed(1)} ${toY(other + spread(jitter[1])).toFixed(1)}h0`);
    });
    return found;
  });
  // Data and samples take turns, so that neither hides the other.
  const parts = 12;
  for (let part = 0; part < parts; part++) {
    points.forEach((found, i) => {
      const some = found.filter((_, n) => n % parts === part);
      if (some.length) svg.append(shape("path", { class: `${visible[i]} dots`, d: some.join("") }));
    });
  }
  const counts = visible.map((name, i) => `${points[i].length.toLocaleString("en")} ${name === "data" ? "rows of data" : "samples"}`);
  const caption = [
    sentence(counts.join(" and ")),
    jitter.some(Boolean) ? "Whole numbers are spread a little, so that points do not hide each other." : "",
    lost ? `${lost.toLocaleString("en")} rows with a missing value are left out.` : "",
  ];
  return { svg, kind: "Scatter plot", caption: caption.filter(Boolean).join(" ") };
}

function histogram(x, visible, width) {
  const height = Math.round(Math.min(380, 0.7 * width));
  const svg = canvas(width, height);
  const box = { left: 46, right: width - 14, top: 24, bottom: height - 44 };
  const [low, high] = extent(x, visible);
  const few = x.field.whole && high - low <= 60;
  const start = few ? Math.ceil(low) - 0.5 : low;
  const bins = few ? Math.max(1, Math.floor(high) - Math.ceil(low) + 1) : 36;
  const step = few ? 1 : (high - low) / bins;
  const heights = visible.map((name) => {
    const counts = new Array(bins).fill(0);
    let total = 0;
    for (const value of x[name]) {
      if (value === null) continue;
      counts[Math.max(0, Math.min(bins - 1, Math.floor((value - start) / step)))]++;
      total++;
    }
    return counts.map((count) => count / Math.max(1, total));
  });
  const top = Math.max(1e-6, ...heights.flat()) * 1.06;
  const at = horizontal(svg, x, Math.min(low, start), Math.max(high, start + bins * step), box);
  const toY = vertical(svg, { name: "share of the rows", field: { kind: "number", whole: false } }, 0, top, box);
  visible.forEach((name, i) => {
    let line = `M${at(start).toFixed(1)} ${toY(0)}`;
    heights[i].forEach((value, bin) => (line += `V${toY(value).toFixed(1)}H${at(start + (bin + 1) * step).toFixed(1)}`));
    line += `V${toY(0)}`;
    if (name === "data") svg.append(shape("path", { class: "data area", d: `${line}Z` }));
    svg.append(shape("path", { class: `${name} line`, d: line }));
  });
  svg.append(shape("rect", { class: "frame", x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }));
  const missing = SERIES.filter((name) => visible.includes(name) && x[name].includes(null)).map(
    (name) => `${share(x[name].filter((value) => value === null).length / x[name].length)} of the ${name}`,
  );
  return { svg, kind: "Histogram", caption: `Shares of the rows in each bin.${missing.length ? ` Missing: ${missing.join(", ")}.` : ""}` };
}

function groups(axis, visible, most) {
  const counts = new Map();
  for (const name of visible) for (const code of axis[name]) counts.set(code, (counts.get(code) || 0) + 1 / axis[name].length);
  const order = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a));
  return { kept: order.slice(0, most), total: order.length };
}

function intervals(numbers, labels, visible, width) {
  const { kept, total } = groups(labels, visible, MOST_BARS);
  const row = 18 * Math.max(1, visible.length) + 12;
  const left = Math.min(200, 0.32 * width);
  const height = 24 + kept.length * row + 46;
  const svg = canvas(width, height);
  const box = { left, right: width - 14, top: 24, bottom: height - 44 };
  const at = horizontal(svg, numbers, ...extent(numbers, visible), box);
  svg.append(shape("text", { class: "title", x: 4, y: 13 }, cut(labels.name, width)));
  kept.forEach((code, i) => {
    const top = box.top + i * row;
    svg.append(shape("text", { x: left - 8, y: top + row / 2 + 4, "text-anchor": "end" }, cut(labelText(labels.field, code), left - 14)));
    visible.forEach((name, n) => {
      const values = numbers[name].filter((value, k) => labels[name][k] === code && value !== null).sort((a, b) => a - b);
      if (!values.length) return;
      const quantile = (q) => at(values[Math.round(q * (values.length - 1))]);
      const y = top + 6 + 18 * n + 9;
      svg.append(shape("path", { class: `${name} line`, d: `M${quantile(0.05)} ${y}H${quantile(0.95)}` }));
      svg.append(shape("path", { class: `${name} thick`, d: `M${quantile(0.25)} ${y}H${Math.max(quantile(0.75), quantile(0.25) + 1)}` }));
      svg.append(shape("circle", { class: "middle", cx: quantile(0.5), cy: y, r: 2.6 }));
    });
  });
  svg.append(shape("rect", { class: "frame", x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }));
  const few = total > kept.length ? ` The ${kept.length} most common of ${total} labels.` : "";
  return { svg, kind: "Intervals", caption: `Thin lines: 5 to 95 % of the values; thick lines: the middle half; dots: medians.${few}` };
}

function bars(x, y, visible, width) {
  const codes = {};
  for (const name of visible) codes[name] = x[name].map((code, i) => (y ? `${code},${y[name][i]}` : `${code}`));
  const { kept, total } = groups(codes, visible, MOST_BARS);
  const part = (field, text) => labelText(field, text === "null" ? null : Number(text));
  const texts = kept.map((key) => {
    const [first, second] = key.split(",");
    return y ? `${part(x.field, first)}, ${part(y.field, second)}` : part(x.field, first);
  });
  const row = 13 * Math.max(1, visible.length) + 12;
  const left = Math.min(260, 0.4 * width);
  const height = 24 + kept.length * row + 4;
  const svg = canvas(width, height);
  svg.append(shape("text", { class: "title", x: 4, y: 13 }, cut(y ? `${x.name}, ${y.name}` : x.name, width)));
  const shares = visible.map((name) => kept.map((key) => codes[name].filter((code) => code === key).length / Math.max(1, codes[name].length)));
  const top = Math.max(1e-6, ...shares.flat());
  const scale = (width - left - 66) / top;
  kept.forEach((_, i) => {
    const y0 = 24 + i * row;
    svg.append(shape("text", { x: left - 8, y: y0 + row / 2 + 1, "text-anchor": "end" }, cut(texts[i], left - 14)));
    visible.forEach((name, n) => {
      const size = shares[n][i] * scale;
      svg.append(shape("rect", { class: `${name} bar`, x: left, y: y0 + 13 * n, width: Math.max(1, size), height: 12 }));
      svg.append(shape("text", { x: left + size + 6, y: y0 + 13 * n + 10.5 }, shares[n][i] ? share(shares[n][i]) : "0 %"));
    });
  });
  const few = total > kept.length ? ` The ${kept.length} most common of ${total}.` : "";
  return { svg, kind: "Bars", caption: `Shares of the rows.${few}` };
}

// --- a typed row

function entry(field) {
  let control;
  if (field.kind === "label") {
    control = el("select", { required: !field.missing });
    field.labels.forEach((_, i) => control.append(el("option", { textContent: labelText(field, i), value: String(i) })));
    if (field.missing) control.append(el("option", { textContent: "missing", value: "missing" }));
  } else if (isTime(field)) {
    control = el("input", { type: field.kind === "datetime" ? "datetime-local" : field.kind, required: !field.missing });
    if (field.kind !== "date") control.step = "any";
  } else {
    control = el("input", { type: "text", inputMode: "decimal", autocomplete: "off", required: !field.missing });
    if (field.missing) control.placeholder = "missing";
  }
  control.dataset.entry = "";
  control.field = field;
  const zone = field.kind === "datetime" && field.zone ? " (UTC)" : "";
  return el("label", {}, el("span", { className: "name", textContent: field.name + zone }), control);
}

const entries = () => [...document.querySelectorAll("[data-entry]")];

function entryValue(control) {
  if (control.field.kind !== "label") return control.value.trim() === "" ? null : control.value;
  return control.value === "missing" || control.value === "" ? null : control.field.labels[Number(control.value)];
}

function setEntry(control, text) {
  if (control.field.kind !== "label") control.value = text === null ? "" : text;
  else control.value = text === null ? "missing" : String(control.field.labels.indexOf(text));
}

async function fill() {
  const target = $("row-result");
  try {
    const found = await ask("row", { given: conditions(), seed: ++state.sampled });
    entries().forEach((control) => setEntry(control, found.entries[control.field.name] ?? null));
  } catch (error) {
    target.replaceChildren(el("p", { className: "problem", textContent: sentence(error.message) }));
  }
}

const probability = (p) => (p < 1e-4 ? "< 0.0001" : p < 0.1 ? String(Number(p.toPrecision(2))) : p.toFixed(2));

async function scoreRow(event) {
  event.preventDefault();
  const target = $("row-result");
  target.setAttribute("aria-busy", "true");
  try {
    const body = Object.fromEntries(entries().map((control) => [control.field.name, entryValue(control)]));
    const found = await ask("score", { entries: body });
    const figures = [["log-likelihood, nats", found.log_prob === null ? "−∞" : numberText(found.log_prob, 3)]];
    if (found.percentile !== null) figures.push(["percentile: training rows that are less likely", `${numberText(found.percentile, 1)} %`]);
    const rows = found.entries.map((line) => ({
      cells: [line.name, line.value, line.p === null ? "" : probability(line.p)],
      odd: line.unusual ? [1, 2] : [],
    }));
    target.replaceChildren(
      el("dl", { className: "figures" }, ...figures.map(([name, value]) => el("div", {}, el("dt", { textContent: name }), el("dd", { textContent: value })))),
      el("p", { textContent: found.why }),
      el("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Entries of the row" }, table(["entry", "value", "p"], rows, { right: [2] })),
      el("p", { className: "soft", textContent: "p: the probability to draw an entry as unlikely as this one, given the other entries of the row; marked from 0.05 down." }),
    );
  } catch (error) {
    target.replaceChildren(el("p", { className: "problem", textContent: sentence(error.message) }));
  } finally {
    target.removeAttribute("aria-busy");
  }
}

// --- the least likely rows, and downloads

async function showLeast() {
  $("least-text").textContent = "Looking for them ...";
  try {
    const found = await ask("least");
    const rows = found.rows.map((row) => ({
      cells: [String(row.row), row.log_prob === null ? "−∞" : numberText(row.log_prob, 2), row.why, ...row.entries.map((line) => line.value)],
      odd: row.entries.flatMap((line, i) => (line.unusual ? [i + 3] : [])),
      titles: row.entries.flatMap((line, i) => (line.p === null ? [] : [[i + 3, `p ${probability(line.p)}`]])),
      long: [2],
    }));
    $("least-text").textContent = `${found.sentence} Marked entries do not fit the others of their row.`;
    $("least-table").replaceChildren(table(["row", "nats", "why", ...found.names], rows, { className: "rows", right: [0, 1] }));
  } catch (error) {
    $("least-text").textContent = sentence(error.message);
  }
}

async function download(event) {
  event.preventDefault();
  const status = $("download-status");
  status.className = "";
  status.textContent = "Drawing ...";
  try {
    const text = $("count").value.trim();
    const n = /^\d+$/.test(text) ? Number(text) : text;
    const body = { n, given: $("under").checked ? conditions() : {}, seed: state.seed, quoted: $("quoted").checked };
    const answer = await send("samples", body);
    const address = URL.createObjectURL(await answer.blob());
    const link = el("a", { href: address, download: "samples.csv" });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
    const rows = Number(answer.headers.get("X-Rows"));
    const few = rows < n ? ` The conditions are rare: ${share(Number(answer.headers.get("X-Acceptance")))} of all draws keep them.` : "";
    status.textContent = `${rows.toLocaleString("en")} rows in samples.csv.${few}`;
  } catch (error) {
    status.className = "problem";
    status.textContent = sentence(error.message);
  }
}

// --- start

async function begin() {
  try {
    const summary = await ask("summary");
    state.fields = summary.fields;
    showSummary(summary);
    $("count").max = String(summary.most);
    if (!state.fields.length) throw new Error("every column of this table is constant, so there is nothing to plot");
    const options = () => state.fields.map((field) => el("option", { textContent: field.name, value: field.name }));
    $("x").append(...options());
    $("y").append(el("option", { textContent: "(none)", value: "" }), ...options());
    const numeric = state.fields.filter((field) => field.kind === "number");
    const [first, second] = [...numeric, ...state.fields.filter((field) => field.kind !== "number")];
    $("x").value = first.name;
    $("y").value = second ? second.name : "";
    folded($("conditions"), state.fields, condition);
    folded($("entries"), state.fields.filter((field) => field.typed), entry);
    await draw();
    await fill();
    if (summary.table) await showLeast();
    else $("least-text").textContent = "Give a table as the second argument of the command to see its least likely rows.";
  } catch (error) {
    $("problem").hidden = false;
    $("problem").textContent = sentence(error.message);
    $("lead").textContent = "";
  }
}

["x", "y"].forEach((id) => $(id).addEventListener("change", draw));
SERIES.forEach((name) => $(`show-${name}`).addEventListener("change", plot));
$("redraw").addEventListener("click", () => {
  state.seed++;
  draw();
});
$("clear").addEventListener("click", () => {
  state.given.clear();
  document.querySelectorAll("#conditions fieldset").forEach((group) => group.dispatchEvent(new Event("clear")));
  draw();
});
$("fill").addEventListener("click", fill);
$("row-form").addEventListener("submit", scoreRow);
$("download-form").addEventListener("submit", download);
let resizing = 0;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(plot, 120);
});
begin();
