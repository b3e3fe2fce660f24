// The view in a file of its own: data and Plotly lie packed in the page.
import { View } from "./view.js";

async function unpacked(id) {
  const packed = document.getElementById(id).textContent.trim();
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

const script = document.createElement("script");
script.textContent = await unpacked("plotly");
document.head.append(script);
const { runs, notes } = JSON.parse(await unpacked("data"));
const source = {
  seconds: 0,
  list: async () => ({
    runs: Object.fromEntries(Object.entries(runs).map(([name, found]) => [name, found.map((d) => d.epoch)])),
    notes,
  }),
  document: async (name, epoch) => runs[name].find((found) => found.epoch === epoch),
};
const view = new View(document.getElementById("view"), source, window.Plotly);
await view.start();
window.view = view; // for the curious, in the console of the browser
