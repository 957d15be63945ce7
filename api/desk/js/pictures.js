// Pictures need the bearer token, so they are fetched and shown as blobs, and forgotten when the alert is left.

import { getBlob } from "./api.js";
import { el } from "./dom.js";
import { pick, t } from "./i18n.js";

let shown = [];
let leaving = new AbortController();

/** Drops every picture from memory: a face must not stay behind in the page. */
export function forgetPictures() {
  leaving.abort();
  leaving = new AbortController();
  for (const url of shown) URL.revokeObjectURL(url);
  shown = [];
}

function words(error) {
  if (error.status === 404 || error.status === 410) return t("image.gone");
  return t(error.status === 403 ? "image.forbidden" : "image.failed");
}

export function picture(path, caption) {
  const frame = el("div", { class: "frame" }, el("p", { class: "muted" }, t("image.loading")));
  const { signal } = leaving;
  getBlob(path, signal).then((blob) => {
    if (signal.aborted) return;
    const url = URL.createObjectURL(blob);
    shown.push(url);
    const image = el("img", { alt: caption, src: url });
    image.addEventListener("error", () => frame.replaceChildren(el("p", { class: "muted" }, t("image.failed"))));
    frame.replaceChildren(image);
  }).catch((error) => {
    if (!signal.aborted) frame.replaceChildren(el("p", { class: "muted" }, words(error)));
  });
  return el("figure", {}, frame, el("figcaption", {}, caption));
}

/** The distance between two faces against the threshold, as a bar: left is alike, the line is the limit. */
export function matchBar({ name, person, distance, threshold }) {
  const within = distance <= threshold;
  const full = Math.max(threshold * 1.6, distance * 1.1);
  const bar = el("div", { class: `match-bar ${within ? "yes" : "no"}`, "aria-hidden": "true" }, el("i"), el("b"));
  bar.style.setProperty("--distance", `${(100 * distance) / full}%`);
  bar.style.setProperty("--threshold", `${(100 * threshold) / full}%`);
  const figures = { distance: distance.toFixed(3), threshold: threshold.toFixed(3) };
  const who = typeof name === "object" ? pick(name) : name;
  return el("div", { class: "match" },
    el("p", { class: "match-name" }, t("match.title", { name: who || person })),
    bar,
    el("p", { class: `verdict ${within ? "yes" : "no"}` }, `${within ? "✓" : "✕"} ${t(within ? "match.yes" : "match.no")}`),
    el("p", { class: "muted" }, `${t("match.figures", figures)} ${t("match.judge")}`));
}
