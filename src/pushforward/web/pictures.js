"use strict";

const state = { seed: 0, asked: 0, chosen: [], classes: [], names: [] };

function canvases(found) {
  const bytes = Uint8Array.from(atob(found.bytes), (letter) => letter.charCodeAt(0));
  const size = found.height * found.width;
  return Array.from({ length: found.count }, (_, n) => {
    const made = el("canvas", { width: found.width, height: found.height });
    const context = made.getContext("2d");
    const image = context.createImageData(found.width, found.height);
    for (let i = 0; i < size; i++) {
      for (let channel = 0; channel < 3; channel++) {
        image.data[4 * i + channel] = bytes[(n * size + i) * found.channels + (found.channels === 3 ? channel : 0)];
      }
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return made;
  });
}

const whole = (id) => (/^\d+$/.test($(id).value.trim()) ? Number($(id).value) : $(id).value);

async function draw() {
  const asked = ++state.asked;
  const status = $("draw-status");
  $("grid").setAttribute("aria-busy", "true");
  try {
    const body = { n: whole("count"), seed: state.seed, class: $("class").value === "" ? null : Number($("class").value) };
    if (!$("temperature-label").hidden) body.temperature = Number($("temperature").value);
    const found = await ask("draw", body);
    if (asked !== state.asked) return;
    state.classes = found.classes;
    const buttons = canvases(found.pictures).map((picture, n) => {
      const name = found.classes.length ? state.names[found.classes[n]] : "";
      const label = `Sample ${n + 1}${name ? `, class ${name}` : ""}`;
      const button = el("button", { type: "button", title: name, ariaLabel: label, ariaPressed: "false" }, picture);
      button.addEventListener("click", () => choose(n));
      return button;
    });
    $("grid").replaceChildren(...buttons);
    state.chosen = [];
    mark();
    $("strip").replaceChildren();
    status.className = "";
    status.textContent = "";
  } catch (error) {
    if (asked !== state.asked) return;
    status.className = "problem";
    status.textContent = sentence(error.message);
  } finally {
    if (asked === state.asked) $("grid").removeAttribute("aria-busy");
  }
}

function choose(n) {
  if (state.chosen.includes(n)) state.chosen = state.chosen.filter((other) => other !== n);
  else state.chosen = [...state.chosen.slice(-1), n];
  mark();
}

function mark() {
  [...$("grid").children].forEach((button, n) => button.setAttribute("aria-pressed", String(state.chosen.includes(n))));
  const ready = state.chosen.length === 2;
  $("interpolate").disabled = !ready;
  const status = $("between-status");
  status.className = "";
  status.textContent = ready ? `Samples ${state.chosen.map((n) => n + 1).join(" and ")} are chosen.` : "Choose two samples first.";
}

async function between() {
  const status = $("between-status");
  try {
    const [a, b] = state.chosen;
    const found = await ask("between", { a, b, steps: whole("steps") });
    const pictures = canvases(found.pictures);
    pictures.forEach((picture, n) => {
      picture.setAttribute("role", "img");
      picture.setAttribute("aria-label", `Step ${n + 1} of ${pictures.length}`);
    });
    $("strip").replaceChildren(...pictures);
    status.className = "";
    status.textContent = `From sample ${a + 1} to sample ${b + 1}.`;
  } catch (error) {
    status.className = "problem";
    status.textContent = sentence(error.message);
  }
}

async function begin() {
  try {
    const summary = await ask("summary");
    document.title = `${summary.title}: explore`;
    $("title").textContent = summary.title;
    $("lead").textContent = summary.lead;
    $("score").textContent = summary.score;
    $("count").max = String(summary.most);
    state.names = summary.classes;
    summary.classes.forEach((name, n) => $("class").append(el("option", { textContent: name, value: String(n) })));
    $("class-label").hidden = !summary.classes.length;
    $("temperature-label").hidden = !summary.temperature;
    if (!summary.temperature) $("temperature-note").textContent = "Each picture is a button: choose two to see what lies between them.";
    await draw();
  } catch (error) {
    $("problem").hidden = false;
    $("problem").textContent = sentence(error.message);
    $("lead").textContent = "";
  }
}

let waiting = 0;
$("temperature").addEventListener("input", () => ($("temperature-text").textContent = Number($("temperature").value).toFixed(2)));
$("temperature").addEventListener("change", () => {
  clearTimeout(waiting);
  waiting = setTimeout(draw, 150);
});
$("class").addEventListener("change", draw);
$("draw-form").addEventListener("submit", (event) => {
  event.preventDefault();
  state.seed++;
  draw();
});
$("interpolate").addEventListener("click", between);
begin();
