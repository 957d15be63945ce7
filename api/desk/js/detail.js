// One alert: what, where, when, what to do, the pictures, the history. The forms are in handling.js.

import * as api from "./api.js";
import { $, el, icon, placeholder } from "./dom.js";
import { ageNode, clock, fact, placeOf } from "./format.js";
import { acceptView, handling, notThisPerson } from "./handling.js";
import { onLanguage, pick, t, tFirst } from "./i18n.js";
import { forgetPictures, matchBar, picture } from "./pictures.js";
import { marks, severityBadge } from "./queue.js";
import { may } from "./rights.js";
import { passageButton, passageState } from "./devices.js";
import * as store from "./store.js";

const OF_A_LEARNT_VIEW = /^(camera_(occluded|moved|defocused)|zone_changed_.*)$/;
const SHOWN_IN_BAR = new Set(["distance", "threshold"]);

let current = "";
let full = null; // the last GET /v1/alerts/{id}
let error = null;
let reading = new AbortController();
let drawn = {}; // what each part was last drawn from
let parts = null;
let leave = () => {};

const shell = () => ({ head: el("header"), facts: el("section"), pictures: el("section"), forms: el("section"), history: el("section") });

/** Shows an alert: at once what the list knows, then everything. An empty id shows that none is chosen. */
export function show(id) {
  current = id;
  full = null;
  error = null;
  drawn = {};
  forgetPictures();
  parts = shell();
  $("detail").classList.remove("pictured");
  $("detail").replaceChildren(...(id ? Object.values(parts) : [placeholder("calm", t("detail.none"), t("detail.noneHint"))]));
  $("detail").scrollTop = 0;
  draw();
  if (id) refresh();
}

/** Reads the alert again; called when it is chosen and whenever the stream says it changed. */
export async function refresh() {
  reading.abort();
  reading = new AbortController();
  const id = current;
  try {
    const read = await api.alert(id, reading.signal);
    if (id !== current) return;
    full = read;
    error = null;
  } catch (failure) {
    if (failure.name === "AbortError" || id !== current) return;
    error = failure;
  }
  draw();
}

export const shownId = () => current;

/** Whether a part must be drawn anew. Drawing what has not changed would take the focus and half-written words away. */
function stale(part, ...from) {
  const wanted = JSON.stringify([from, document.documentElement.lang]);
  if (drawn[part] === wanted) return false;
  drawn[part] = wanted;
  return true;
}

function draw() {
  if (!current) return;
  const alert = { ...full, ...store.get(current) };
  if (!alert.id) {
    if (error) parts.head.replaceChildren(placeholder("error", t("detail.failed", { why: error.words ?? error.message })));
    return;
  }
  drawHead(alert);
  drawFacts(alert);
  drawPictures({ ...alert, identified: alert.identified ?? full?.identified ?? null });
  drawForms(alert);
  drawHistory();
}

function drawHead(alert) {
  if (!stale("head", alert)) return;
  parts.head.className = `detail-head s${store.severityOf(alert)}`;
  parts.head.replaceChildren(
    el("button", { type: "button", class: "tool back", onclick: () => leave() }, icon("back"), t("detail.back")),
    el("div", { class: "title-line" }, severityBadge(alert), el("h2", {}, pick(alert.title) || alert.type)),
    el("div", { class: "marks" }, ...marks(alert)),
    el("div", { class: "advice" }, el("h3", {}, t("detail.advice")), el("ol", {}, ...(pick(alert.steps) || []).map((step) => el("li", {}, step)))),
  );
}

const timeValue = (iso) => el("span", {}, `${clock(iso)} · `, ageNode(iso));

function drawFacts(alert) {
  if (!stale("facts", alert, passageState(alert))) return;
  const lines = [
    [t("detail.place"), placeOf(alert) || "—"],
    [t("detail.device"), el("span", { class: "with-action" }, alert.device_name || alert.device || "—", passageButton(alert))],
    [t("detail.first"), timeValue(alert.first_seen)],
    [t("detail.last"), timeValue(alert.last_seen)],
    alert.cleared_at && [t("detail.clearedAt"), timeValue(alert.cleared_at)],
    [t("detail.count"), t("detail.times", { n: alert.count })],
    alert.subject && [t("detail.subject"), alert.subject],
    alert.shelved_until && [t("detail.shelvedUntil"), clock(alert.shelved_until)],
    alert.work && alert.work !== "none" && [t("detail.work"), [t(`work.${alert.work}`), alert.assignee].filter(Boolean).join(" · ")],
    alert.level && store.isOpen(alert) && [t("detail.told"), [t(`mark.level.${alert.level}`), ...(alert.informed ?? []).filter((id) => id !== alert.level)].join(" · ")],
    alert.six_zero && [t("detail.zero"), alert.six_zero],
    ...Object.entries(alert.detail ?? {}).filter(([name]) => !(alert.identified && SHOWN_IN_BAR.has(name))).map(([name, value]) => fact(name, value)),
  ];
  parts.facts.className = "facts";
  parts.facts.replaceChildren(el("dl", {}, ...lines.filter(Boolean).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
}

function drawPictures(alert) {
  const known = alert.identified;
  if (!stale("pictures", alert.evidence, known)) return;
  forgetPictures();
  const figures = [
    alert.evidence && picture(alert.evidence, t("detail.snapshot")),
    known?.photo && picture(known.photo, t("detail.enrolled")),
  ].filter(Boolean);
  const measured = known && Number.isFinite(known.distance) && Number.isFinite(known.threshold);
  parts.pictures.className = "pictures";
  parts.pictures.replaceChildren(
    ...(figures.length ? [el("div", { class: "figures" }, ...figures)] : []),
    ...(measured ? [matchBar(known)] : []),
    ...(known && alert.evidence && may("alerts:write") ? [notThisPerson(known, alert.evidence.split("/").pop())] : []),
  );
  $("detail").classList.toggle("pictured", figures.length > 0);
}

function drawForms(alert) {
  if (!stale("forms", alert.acknowledged, alert.disposition, store.isOpen(alert))) return;
  parts.forms.className = "forms";
  const learnt = OF_A_LEARNT_VIEW.test(alert.type) && store.isOpen(alert) && may("alerts:write");
  parts.forms.replaceChildren(...(learnt ? [acceptView(alert, refresh)] : []),
    ...handling(alert, (answer) => { if (answer?.id) store.put(answer); refresh(); }));
}

function drawHistory() {
  if (!stale("history", full?.history, error?.message)) return;
  const rows = (full?.history ?? []).map((entry) => el("li", {},
    el("time", { datetime: entry.at }, clock(entry.at)),
    el("b", {}, tFirst(`change.${entry.change}`, entry.change)),
    el("span", {}, [entry.actor, entry.reason].filter(Boolean).join(" · "))));
  parts.history.className = "history";
  const body = rows.length ? el("ol", {}, ...rows.reverse()) : el("p", { class: "muted" }, full ? t("detail.noHistory") : "…");
  const failed = error ? el("p", { class: "problem" }, t("detail.failed", { why: error.words ?? error.message })) : "";
  parts.history.replaceChildren(el("h3", {}, t("detail.history")), failed, body);
}

export function startDetail(onLeave) {
  leave = onLeave;
  store.onChange(() => { if (current) draw(); });
  onLanguage(() => { if (current) draw(); else show(""); });
  show("");
}
