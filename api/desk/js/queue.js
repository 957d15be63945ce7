// The list of alerts: one row each, P1 first, then newest.

import { $, arrange, el, icon, placeholder, soon } from "./dom.js";
import { ageNode, placeOf } from "./format.js";
import { onLanguage, pick, t } from "./i18n.js";
import * as store from "./store.js";

const ROWS = 200;

const rows = new Map();
let selected = "";
let limit = ROWS;
let select = () => {};

export const selectedId = () => selected;
export const placeWords = (alert) =>
  [alert.device_name || alert.device, placeOf(alert)].filter(Boolean).join(" · ");

export function severityBadge(alert) {
  const severity = store.severityOf(alert);
  return el("span", { class: `severity s${severity}` }, icon(`sev${severity}`), t(`sev.${severity}`));
}

/** The small words under a title: what is going on with it. */
export function marks(alert) {
  const words = [];
  if (!store.isOpen(alert)) words.push(["closed", "closed"]);
  else {
    words.push(alert.condition === "active" ? ["active", "active"] : ["cleared", "cleared"]);
    words.push(alert.acknowledged ? ["acked", "acked"] : ["unacked", "unacked"]);
  }
  if (store.isOpen(alert) && alert.level && alert.level !== "desk") words.push([`level.${alert.level}`, "active"]);
  if (alert.chattering) words.push(["chattering", "quiet"]);
  if (alert.suppressed_by) words.push(["suppressed", "quiet"]);
  if (alert.shelved_until && store.isHidden(alert)) words.push(["shelved", "quiet"]);
  if (alert.late) words.push(["late", "quiet"]);
  if (alert.test) words.push(["test", "quiet"]);
  return words.map(([word, look]) => el("span", { class: `mark ${look}` }, t(`mark.${word}`)));
}

function fill(row, alert) {
  const chosen = alert.id === selected;
  row.className = `row s${store.severityOf(alert)}`;
  row.classList.toggle("alarming", store.isAlarming(alert));
  row.classList.toggle("done", !store.isOpen(alert));
  row.classList.toggle("seen", Boolean(alert.acknowledged));
  row.classList.toggle("chosen", chosen);
  const button = row.firstElementChild;
  button.setAttribute("aria-current", String(chosen));
  button.replaceChildren(
    el("span", { class: "row-line" },
      severityBadge(alert),
      el("span", { class: "row-title" }, pick(alert.title) || alert.type),
      alert.count > 1 ? el("span", { class: "times" }, `×${alert.count}`) : "",
      ageNode(alert.raised_at)),
    el("span", { class: "row-line" },
      el("span", { class: "row-place" }, placeWords(alert)),
      el("span", { class: "marks" }, ...marks(alert))),
  );
}

function rowOf(alert) {
  let entry = rows.get(alert.id);
  if (!entry) {
    const row = el("li", {}, el("button", { type: "button", "data-alert": alert.id, onclick: () => choose(alert.id, true) }));
    entry = { row, shown: "" };
    rows.set(alert.id, entry);
  }
  const shown = `${JSON.stringify(alert)}${alert.id === selected}${document.documentElement.lang}${store.isHidden(alert)}`;
  if (entry.shown !== shown) {
    entry.shown = shown;
    fill(entry.row, alert);
  }
  return entry.row;
}

function empty() {
  const { state, error } = store.loading;
  if (state === "failed") {
    const again = el("button", { type: "button", onclick: () => store.load() }, t("queue.retry"));
    return placeholder("error", t("queue.failed", { why: error.words }), "", again);
  }
  if (state === "loading") return el("div", { class: "placeholder loading" }, el("p", {}, t("queue.loading")));
  if (store.filters.severities.size || !store.filters.open) return placeholder("calm", t("queue.filtered"));
  return placeholder("calm", t("queue.empty"), t("queue.emptyHint"));
}

function note(count) {
  const hidden = store.filters.open ? store.hiddenCount() : 0;
  const toggle = hidden > 0 && [
    el("span", {}, t("queue.hidden", { n: hidden })),
    el("button", { type: "button", class: "link", onclick: () => store.setFilter({ hidden: !store.filters.hidden }) },
      t(store.filters.hidden ? "queue.hide" : "queue.show")),
  ];
  const more = count > limit && el("button", { type: "button", class: "link", onclick: () => { limit += ROWS; render(); } },
    t("queue.more"));
  $("queue-note").replaceChildren(...(toggle || []), ...(more ? [more] : []));
}

function chips() {
  const counts = { 1: 0, 2: 0, 3: 0 };
  for (const alert of store.openAlerts()) counts[store.severityOf(alert)] += 1;
  for (const severity of [1, 2, 3]) {
    const chip = $("severity-chips").children[severity - 1];
    chip.setAttribute("aria-pressed", String(store.filters.severities.has(severity)));
    chip.replaceChildren(icon(`sev${severity}`), `P${severity}`, el("b", { class: "badge" }, String(counts[severity])));
    chip.title = t(`sev.${severity}`);
  }
  for (const button of document.querySelectorAll("[data-open]")) {
    button.setAttribute("aria-pressed", String((button.dataset.open === "true") === store.filters.open));
  }
}

export const render = soon(() => {
  const shown = store.visible();
  const focused = document.activeElement?.dataset?.alert;
  const nodes = shown.slice(0, limit).map(rowOf);
  for (const id of rows.keys()) if (!store.get(id)) rows.delete(id);
  if (nodes.length) arrange($("queue"), nodes);
  else $("queue").replaceChildren(el("li", { class: "nothing" }, empty()));
  note(shown.length);
  chips();
  if (focused && document.activeElement === document.body) rows.get(focused)?.row.firstElementChild.focus();
});

/** `deliberate`: a click or Enter, which on a phone opens the detail; moving with the arrows only looks. */
export function choose(id, deliberate) {
  selected = id;
  render();
  select(id, deliberate);
}

/** Moves the choice by `step` rows; stays inside the list. */
export function move(step) {
  const list = store.visible().slice(0, limit);
  if (!list.length) return;
  const at = list.findIndex((alert) => alert.id === selected);
  const next = list[at < 0 ? 0 : Math.min(list.length - 1, Math.max(0, at + step))];
  choose(next.id, false);
  const button = rowOf(next).firstElementChild;
  button.focus();
  button.scrollIntoView({ block: "nearest" });
}

export function focusRow() {
  rows.get(selected)?.row.firstElementChild.focus();
}

export function startQueue(onSelect) {
  select = onSelect;
  for (const severity of [1, 2, 3]) {
    const toggle = () => {
      const { severities } = store.filters;
      if (!severities.delete(severity)) severities.add(severity);
      store.setFilter({});
    };
    $("severity-chips").append(el("button", { type: "button", class: `chip s${severity}`, onclick: toggle }));
  }
  for (const button of document.querySelectorAll("[data-open]")) {
    button.addEventListener("click", () => {
      store.setFilter({ open: button.dataset.open === "true" });
      store.load();
    });
  }
  store.onChange(render);
  onLanguage(render);
  render();
}
