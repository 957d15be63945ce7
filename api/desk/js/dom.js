// Building the page. Data only ever becomes text or an attribute: there is no way here to make markup out of a string.

const SVG = "http://www.w3.org/2000/svg";

/** `el("p", {class: "muted", onclick: f}, "text", node)`; null and false children are left out. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An icon of the sprite in index.html, hidden from screen readers: the words beside it say the same. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** What a list shows when it has nothing, or could not be read. */
export function placeholder(iconName, title, hint = "", action = null) {
  return el("div", { class: "placeholder" }, icon(iconName), el("p", { class: "big" }, title), hint && el("p", {}, hint), action);
}

/** Puts `nodes` into `parent` in this order, moving as few as possible, so that focus and scrolling survive. */
export function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let cursor = parent.firstElementChild;
  for (const node of nodes) {
    if (node === cursor) cursor = cursor.nextElementSibling;
    else parent.insertBefore(node, cursor);
  }
}

/** Calls `work` once, soon, however often it is asked. Timers run in hidden tabs; animation frames do not. */
export function soon(work) {
  let timer = 0;
  return () => {
    if (!timer) timer = setTimeout(() => { timer = 0; work(); }, 30);
  };
}

export const $ = (id) => document.getElementById(id);
