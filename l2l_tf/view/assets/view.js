// The view of what an optimizer has learned: controls, three panels, a description, a table.
//
// It is the same in a file and in TensorBoard's tab. What differs is the source of the data:
//   list()                 -> {runs: {name: [epoch, ...]}, notes: [line, ...] if any}
//   document(name, epoch)  -> what docs/visualizations.md says of a file of sweeps
//   seconds                from one list() to the next; 0 for data that do not change
import { CONFIG, NAMES, history, losses, updateAgainstGradient } from "./panels.js";
import { usualP, written } from "./scale.js";

const CONTROLS = `
  <label class="run">Run <select name="run"></select></label>
  <label>Coordinate <select name="coordinate"></select></label>
  <label class="epoch">Epoch <b></b><input type="range" name="epoch" min="0" step="1"></label>
  <label>Step <b></b><input type="range" name="step" min="0" step="1" value="0"></label>
  <fieldset><legend>Optimizers</legend></fieldset>
  <fieldset><legend>Gradient axis</legend>
    <label><input type="checkbox" name="symlog" checked> symmetric logarithm</label>
    <label>linear within e<sup>−p</sup>, p = <b></b><input type="range" name="p" min="0" max="20" step="1"></label>
  </fieldset>
  <label><input type="checkbox" name="sameScale" checked> one scale of updates for all steps</label>`;
const PAGE = `
  <form class="controls" aria-label="What is shown">${CONTROLS}</form>
  <div class="panels"><span class="probe" hidden></span>
    <p class="problems" role="alert" hidden></p>
    <p class="waiting">No sweeps yet. A training with rivals writes some after each epoch.</p>
    <div class="shown" hidden>
      <p class="description" role="status" aria-live="polite"></p>
      <div class="large" role="figure"></div>
      <div class="small"><div class="losses" role="figure"></div><div class="history" role="figure"></div></div>
      <details class="numbers"><summary>The numbers of this panel as a table</summary>
        <div class="scrolled" tabindex="0" role="region" aria-label="Table of updates"><table></table></div>
      </details>
    </div>
  </div>`;

export class View {
  constructor(root, source, plotly) {
    this.root = root;
    this.source = source;
    this.plotly = plotly;
    this.runs = {};
    this.hidden = new Set(); // optimizers that are switched off
    this.p = null; // until somebody moves it, the usual one
    this.asked = 0;
    this.notes = [];
    root.classList.add("l2l-view");
    root.innerHTML = PAGE;
    this.find = (selector) => root.querySelector(selector);
    this.field = (name) => root.querySelector(`[name=${name}]`);
    root.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
    root.querySelector("form").addEventListener("input", (event) => this.changed(event.target));
    root.querySelector("details").addEventListener("toggle", () => this.table());
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", () => this.draw());
  }

  // Shows what there is, and goes on looking while the source is live.
  async start() {
    await this.refresh();
    if (this.source.seconds) {
      setInterval(() => document.hidden || this.refresh(), 1000 * this.source.seconds);
    }
  }

  async refresh() {
    let found;
    try {
      found = await this.source.list();
    } catch (error) {
      return this.tell(`No answer: ${error.message}`);
    }
    const before = this.key(); // now: somebody may have moved a slider meanwhile
    const follows = this.epochs().at(-1) === this.epoch();
    this.runs = found.runs;
    this.notes = found.notes ?? [];
    const names = Object.keys(this.runs);
    if (this.document || !names.length) this.tell(); // else what is wrong is still so
    options(this.field("run"), names);
    this.find(".run").hidden = names.length < 2;
    if (names.length && (await this.setEpoch(before, follows))) await this.load();
  }

  // Shows the notes of the source, and what went wrong just now.
  tell(problem) {
    const text = [...this.notes, ...(problem ? [problem] : [])].join("\n");
    const place = this.find(".problems");
    place.hidden = !text;
    if (place.textContent !== text) place.textContent = text;
  }

  epochs() {
    return this.runs[this.field("run").value] ?? [];
  }

  epoch() {
    return this.epochs()[this.field("epoch").value];
  }

  key() {
    return JSON.stringify([this.field("run").value, this.epoch() ?? null]);
  }

  // Puts the slider on the last epoch, or where it was; returns whether that is another document.
  setEpoch(before, follows) {
    const epochs = this.epochs();
    const slider = this.field("epoch");
    const [run, epoch] = JSON.parse(before);
    const same = run === this.field("run").value ? epochs.indexOf(epoch) : -1;
    slider.max = epochs.length - 1;
    slider.value = follows || same < 0 ? epochs.length - 1 : same;
    this.find(".epoch").hidden = epochs.length < 2;
    return this.key() !== before || !this.document;
  }

  async changed(field) {
    if (field.name === "run") this.setEpoch("[null,null]", true);
    if (field.name === "run" || field.name === "epoch") return this.load();
    if (field.name === "p") this.p = +field.value;
    if (field.name === "optimizer") this.hidden[field.checked ? "delete" : "add"](field.value);
    return this.draw();
  }

  // Fetches the document that the controls name; only the newest question is answered.
  async load() {
    const asked = ++this.asked;
    const [run, epoch] = [this.field("run").value, this.epoch()];
    try {
      const found = await this.source.document(run, epoch);
      if (asked !== this.asked) return;
      this.document = found;
      this.tell();
    } catch (error) {
      if (asked !== this.asked) return;
      this.document = null;
      this.find(".shown").hidden = true;
      this.find(".waiting").hidden = true;
      this.say("epoch", this.epoch(), `epoch ${this.epoch()}`);
      return this.tell(error.message);
    }
    options(this.field("coordinate"), Object.keys(this.document.coordinates));
    this.optimizers = ["learned", ...Object.keys(this.document.rivals)];
    this.switches();
    const slider = this.field("step");
    slider.max = this.document.steps.length - 1;
    this.find(".waiting").hidden = true;
    this.find(".shown").hidden = false;
    this.draw();
  }

  switches() {
    const place = this.root.querySelector("fieldset");
    const names = JSON.stringify(this.optimizers);
    if (place.dataset.names === names) return;
    place.dataset.names = names;
    place.querySelectorAll("label").forEach((label) => label.remove());
    for (const optimizer of this.optimizers) {
      const label = place.appendChild(document.createElement("label"));
      const box = label.appendChild(document.createElement("input"));
      Object.assign(box, { type: "checkbox", name: "optimizer", value: optimizer });
      box.checked = !this.hidden.has(optimizer);
      const swatch = label.appendChild(document.createElement("span"));
      swatch.className = "swatch";
      swatch.style.color = colour(optimizer);
      label.append(NAMES[optimizer] ?? optimizer);
      const rate = this.document.rivals[optimizer]?.learning_rate;
      if (rate !== undefined) label.title = `learning rate ${written(rate)}, tuned`;
    }
  }

  // The colour of a name, as the style sheet has it now.
  theme(name) {
    const probe = this.find(".probe");
    probe.style.color = colour(name);
    return getComputedStyle(probe).color;
  }

  draw() {
    if (!this.document) return;
    const document_ = this.document;
    const coordinate = this.field("coordinate").value;
    const entry = document_.coordinates[coordinate];
    const k = +this.field("step").value;
    const p = this.p ?? usualP(entry.swept_gradients);
    const symlog = this.field("symlog").checked;
    const shown = this.optimizers.filter((optimizer) => !this.hidden.has(optimizer));
    const sameScale = this.field("sameScale").checked;
    this.state = { coordinate, k, shown, sameScale, threshold: symlog ? Math.exp(-p) : 0 };
    this.say("p", p, `e to the minus ${p}`);
    this.say("epoch", this.epoch(), `epoch ${this.epoch()}`);
    this.say("step", document_.steps[k], `step ${document_.steps[k]}`);
    this.field("p").value = p;
    this.field("p").disabled = !symlog;
    const theme = (name) => this.theme(name);
    this.put(".large", updateAgainstGradient(document_, this.state, theme));
    this.put(".losses", losses(document_, this.state, theme));
    this.put(".history", history(document_, this.state, theme));
    this.describe();
    this.table();
  }

  // Writes a slider's value beside it, and for those who cannot see it.
  say(name, text, spoken) {
    const slider = this.field(name);
    slider.parentElement.querySelector("b").textContent = text ?? "";
    slider.setAttribute("aria-valuetext", spoken);
  }

  put(selector, { traces, layout }) {
    const config = { ...CONFIG, displayModeBar: selector === ".large" };
    this.plotly.react(this.find(selector), traces, layout, config);
  }

  describe() {
    const { coordinate, k } = this.state;
    const { steps, losses: values, coordinates } = this.document;
    const [step, entry] = [steps[k], coordinates[coordinate]];
    const updates = this.optimizers.map(
      (optimizer) => `${NAMES[optimizer] ?? optimizer} ${written(entry.updates[optimizer][step - 1])}`,
    );
    const epoch = this.epochs().length > 1 ? `Epoch ${this.epoch()}, s` : "S";
    const gradient = written(entry.gradients[step - 1]);
    const text = `${epoch}tep ${step}, ${coordinate}: gradient ${gradient}; updates ${updates.join(", ")}. Loss before ${written(values[step - 1])}, after ${written(values[step])}.`;
    this.find(".description").textContent = text;
    this.find(".large").setAttribute("aria-label", `Update against gradient. ${text}`);
    this.find(".losses").setAttribute("aria-label", `Loss against step, step ${step} marked.`);
    this.find(".history").setAttribute("aria-label", `Updates at all steps, step ${step} marked.`);
  }

  table() {
    if (!this.document || !this.find("details").open) return;
    const { coordinate, k } = this.state;
    const entry = this.document.coordinates[coordinate];
    const table = this.find("table");
    table.replaceChildren();
    const row = (tag, cells) => {
      const line = table.appendChild(document.createElement("tr"));
      for (const cell of cells) line.appendChild(document.createElement(tag)).textContent = cell;
    };
    row("th", ["gradient", ...this.optimizers]);
    entry.swept_gradients.forEach((gradient, v) => {
      const updates = this.optimizers.map((optimizer) => written(entry.swept_updates[optimizer][k][v]));
      row("td", [written(gradient), ...updates]);
    });
  }
}

// What the style sheet calls the colour of a name.
function colour(name) {
  return `var(--${CSS.escape(name)}, var(--other))`;
}

// Puts names into a <select>, and leaves the choice as it is if it is still there.
function options(select, names) {
  const chosen = select.value;
  if (JSON.stringify(names) === JSON.stringify([...select.options].map((o) => o.value))) return;
  select.replaceChildren(...names.map((name) => new Option(name, name)));
  if (names.includes(chosen)) select.value = chosen;
}
