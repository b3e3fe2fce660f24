// What is drawn: data and layouts for Plotly, from one document of sweeps.
import { position, ticks, ticksOfLosses, written } from "./scale.js";

export const NAMES = { learned: "Learned", adam: "Adam", sgd: "SGD" };
const DASHES = { learned: "solid", adam: "longdash", sgd: "dash" };
const ROOM = 1.15; // from the largest number shown to the edge
export const CONFIG = {
  displaylogo: false,
  responsive: true,
  modeBarButtons: [["toImage", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
};

// An optimizer's name, safe in Plotly, which reads some HTML.
export function nameOf(optimizer) {
  const name = NAMES[optimizer] ?? optimizer;
  return name.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function lineOf(optimizer, theme) {
  const width = optimizer === "learned" ? 3 : 2;
  return { color: theme(optimizer), dash: DASHES[optimizer] ?? "dot", width, simplify: false };
}

function layoutOf(theme, title, x, y) {
  const axis = { gridcolor: theme("grid"), zerolinecolor: theme("faint"), linecolor: theme("faint"), automargin: true };
  return {
    title: { text: title, x: 0, xref: "paper", xanchor: "left", font: { size: 15 } },
    xaxis: { ...axis, ...x, title: { text: x.title, standoff: 6 } },
    yaxis: { ...axis, ...y, title: { text: y.title, standoff: 6 } },
    font: { color: theme("text"), family: "system-ui, sans-serif", size: 14 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: { bgcolor: theme("surface"), bordercolor: theme("faint"), font: { color: theme("text") } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: theme("faint"), activecolor: theme("text") },
    margin: { l: 60, r: 12, t: 36, b: 44 },
    showlegend: false,
    hovermode: "x unified",
  };
}

function markOf(theme, x) {
  const line = { color: theme("seen"), width: 1.5, dash: "dot" };
  return { type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line };
}

// The gradients and updates of an optimizer's sweep; the learned one's with what really happened.
export function sweep(entry, k, step, optimizer) {
  const gradients = [...entry.swept_gradients];
  const updates = [...entry.swept_updates[optimizer][k]];
  if (optimizer === "learned") {
    const seen = entry.gradients[step - 1];
    const where = gradients.findIndex((gradient) => gradient >= seen);
    const at = where < 0 ? gradients.length : where;
    gradients.splice(at, 0, seen);
    updates.splice(at, 0, entry.updates.learned[step - 1]);
  }
  return { gradients, updates };
}

// Of any number of them, where a call takes some 100,000 arguments.
const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);

// The largest of the updates shown, by optimizer; SGD's may be steep, and count up to twice the others'.
function largest(updates, shown) {
  const of = (optimizer) => most([0, ...updates(optimizer).map(Math.abs)]);
  const others = Math.max(0, ...shown.filter((optimizer) => optimizer !== "sgd").map(of));
  const sgd = shown.includes("sgd") ? of("sgd") : 0;
  return (others ? Math.max(others, Math.min(sgd, 2 * others)) : sgd) || 1;
}

// Update against gradient, of one coordinate at one step (Figure 10).
export function updateAgainstGradient(document_, state, theme) {
  const { coordinate, k, shown, threshold, sameScale } = state;
  const entry = document_.coordinates[coordinate];
  const step = document_.steps[k];
  const limit = entry.swept_gradients.at(-1);
  const traces = shown.map((optimizer) => {
    const { gradients, updates } = sweep(entry, k, step, optimizer);
    return {
      x: gradients.map((gradient) => position(gradient, threshold)),
      y: updates,
      customdata: gradients.map(written),
      text: updates.map(written),
      name: nameOf(optimizer),
      line: lineOf(optimizer, theme),
      mode: "lines",
      hovertemplate: "%{text} at gradient %{customdata}",
    };
  });
  const seen = entry.gradients[step - 1];
  const update = entry.updates.learned[step - 1];
  traces.push({
    x: [position(seen, threshold)],
    y: [update],
    name: "Gradient seen",
    mode: "markers",
    marker: { color: theme("seen"), size: 13, line: { color: theme("surface"), width: 2 } },
    hovertemplate: `${written(seen)}, update taken ${written(update)}`,
  });
  const rows = sameScale ? document_.steps.map((_, row) => row) : [k];
  const top = ROOM * largest((optimizer) => rows.flatMap((row) => entry.swept_updates[optimizer][row]), shown);
  const edge = position(limit, threshold);
  const layout = layoutOf(
    theme,
    "Update against gradient",
    {
      title: threshold ? "current gradient (symmetric logarithm)" : "current gradient",
      range: [-edge, edge],
      ...(threshold ? ticks(limit, threshold) : {}),
      unifiedhovertitle: { text: " " },
    },
    { title: "proposed update", range: [-top, top], exponentformat: "power" },
  );
  layout.margin.t = 40;
  const uphill = { type: "rect", xref: "paper", yref: "paper", line: { width: 0 }, fillcolor: theme("uphill"), layer: "below" };
  layout.shapes = [
    { ...uphill, x0: 0.5, x1: 1, y0: 0.5, y1: 1 },
    { ...uphill, x0: 0, x1: 0.5, y0: 0, y1: 0.5 },
    markOf(theme, position(seen, threshold)),
  ];
  const note = { text: "uphill: with the gradient", xref: "paper", yref: "paper", showarrow: false, font: { color: theme("faint"), size: 12 } };
  layout.annotations = [
    { ...note, x: 0.995, y: 0.99, xanchor: "right", yanchor: "top" },
    { ...note, x: 0.005, y: 0.01, xanchor: "left", yanchor: "bottom" },
  ];
  return { traces, layout };
}

// Loss against step: of held-out instances where a training has them, and of the instance shown.
export function losses(document_, state, theme) {
  const curve = (y, name, line) => ({
    y,
    name,
    line,
    mode: "lines",
    hovertemplate: "%{y:.3~g}",
  });
  const held = Object.entries(document_.validation)
    .filter(([optimizer]) => state.shown.includes(optimizer))
    .map(([optimizer, y]) => curve(y, nameOf(optimizer), lineOf(optimizer, theme)));
  const curves = [document_.losses, ...held.map((trace) => trace.y)];
  const start = most(curves.map((losses) => losses[0] ?? 0));
  const top = start + Math.abs(start) / 2; // what diverges leaves
  const finite = curves.flat().filter(Number.isFinite);
  const hasNegative = finite.some((loss) => loss < 0); // then the axis is linear, and 0 is on it
  const seen = finite.filter((loss) => loss <= top && (hasNegative || loss > 0));
  const room = (size) => 0.05 * Math.abs(size);
  const [low, high] = seen.length ? [least(seen) - room(least(seen)), most(seen) + room(most(seen))] : [0, 1];
  const isLong = low > 0 && high > 5 * low; // else powers of ten lie too far apart
  const range = isLong ? [Math.log10(low), Math.log10(high)] : [low, high];
  const own = { color: theme("seen"), width: held.length ? 1.5 : 3, dash: held.length ? "dot" : "solid" };
  const traces = [...held, curve(document_.losses, "This instance", own)];
  const layout = layoutOf(
    theme,
    held.length ? "Loss: held-out mean, and this instance (dotted)" : "Loss of this instance",
    { title: "step", rangemode: "tozero" },
    { title: "loss", range, exponentformat: "power", minexponent: 2, ...(isLong ? { type: "log", ...ticksOfLosses(low, high) } : {}) },
  );
  layout.shapes = [markOf(theme, document_.steps[state.k])];
  return { traces, layout };
}

// The updates proposed along the trajectory, for one coordinate (Figure 9).
export function history(document_, state, theme) {
  const entry = document_.coordinates[state.coordinate];
  const steps = entry.gradients.map((_, t) => t + 1);
  const traces = state.shown.map((optimizer) => ({
    x: steps,
    y: entry.updates[optimizer],
    name: nameOf(optimizer),
    line: lineOf(optimizer, theme),
    mode: "lines",
    hovertemplate: "%{y:.3~g}",
  }));
  const top = ROOM * largest((optimizer) => entry.updates[optimizer], state.shown);
  const y = { title: "proposed update", range: [-top, top], exponentformat: "power", minexponent: 2 };
  const layout = layoutOf(theme, "History of updates", { title: "step" }, y);
  layout.shapes = [markOf(theme, document_.steps[state.k])];
  return { traces, layout };
}
