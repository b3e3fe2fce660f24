// The view as a tab of TensorBoard, over all runs and epochs under its logdir, while they train.
import { View } from "./view.js";

const SECONDS = 5; // from one look at the files to the next

async function get(address) {
  const response = await fetch(address);
  const found = await response.json();
  if (found.problem) throw new Error(found.problem);
  return found;
}

// TensorBoard has a switch of its own between dark and light; else the browser's setting rules.
function followTheme(root, view) {
  const body = window.parent.document.body;
  const follow = () => {
    root.style.colorScheme = body.classList.contains("dark-mode") ? "dark" : "light";
    view.draw();
  };
  new MutationObserver(follow).observe(body, { attributes: true, attributeFilter: ["class"] });
  follow();
}

export async function render() {
  const style = document.createElement("link");
  Object.assign(style, { rel: "stylesheet", href: "./view.css" });
  const script = document.createElement("script");
  script.src = "./plotly.js";
  document.body.style.margin = 0;
  const root = document.body.appendChild(document.createElement("main"));
  await Promise.all(
    [style, script].map((element) => {
      document.head.append(element);
      return new Promise((resolve, reject) => Object.assign(element, { onload: resolve, onerror: reject }));
    }),
  );
  const source = {
    seconds: SECONDS,
    list: () => get("./runs"),
    document: (name, epoch) => get(`./document?${new URLSearchParams({ run: name, epoch })}`),
  };
  if (window.l2lMissing) {
    root.textContent = window.l2lMissing;
    return;
  }
  const view = new View(root, source, window.Plotly);
  followTheme(root, view);
  await view.start();
}
