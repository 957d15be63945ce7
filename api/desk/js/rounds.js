// The round (巡查): vehicles thought to be inside, those to look for first; each is marked here or gone.

import * as api from "./api.js";
import { $, el, placeholder, soon } from "./dom.js";
import { onLanguage, t } from "./i18n.js";
import { may } from "./rights.js";

const READ_AGAIN_MS = 60_000;

let vehicles = [];
let lot = null;
let everybody = false;
const busy = new Set(); // keys a mark is under way for
let said = ""; // what became of the last mark
const loading = { state: "loading", error: null };

export async function load() {
  try {
    const read = await api.inside();
    vehicles = read.items;
    lot = read.lot;
    Object.assign(loading, { state: "done", error: null });
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    Object.assign(loading, { state: "failed", error });
  }
  render();
}

async function mark(vehicle, here) {
  busy.add(vehicle.key);
  render();
  try {
    const done = await api.markInside(vehicle.key, here, vehicle.entered_at);
    said = t(done.overdue ? "round.saidOverdue" : here ? "round.saidHere" : "round.saidGone", { plate: vehicle.plate });
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    said = t("run.failed", { why: error.detail || error.words });
  }
  busy.delete(vehicle.key);
  await load();
}

function markButton(vehicle, here) {
  return el("button", {
    type: "button", class: "act", "data-mark": here ? "here" : "gone", disabled: busy.has(vehicle.key) || !may("alerts:write"),
    onclick: () => mark(vehicle, here),
  }, t(here ? "round.here" : "round.gone"));
}

function dwell(hours) {
  return hours < 48 ? t("round.hours", { n: Math.round(hours) }) : t("round.days", { n: Math.round(hours / 24) });
}

function card(vehicle) {
  const read = vehicle.read && t("round.read", { plate: vehicle.read });
  const words = [t(`listing.${vehicle.listing}`), dwell(vehicle.hours), t("round.likely", { n: Math.round(vehicle.probability * 100) })];
  return el("li", { class: "tile", "data-vehicle": vehicle.plate },
    el("div", { class: "tile-head" }, el("h4", {}, vehicle.plate),
      vehicle.to_look_for ? el("span", { class: "mark unacked" }, t("round.lookFor")) : ""),
    el("p", { class: "tile-facts" }, words.join(" · ")),
    el("p", { class: "muted clip" }, [vehicle.lane, read].filter(Boolean).join(" · ")),
    el("div", { class: "tile-acts" }, markButton(vehicle, true), markButton(vehicle, false)));
}

function nothing() {
  if (loading.state === "failed") {
    return placeholder("error", t("round.failed", { why: loading.error.words }), "",
      el("button", { type: "button", onclick: load }, t("queue.retry")));
  }
  if (loading.state === "loading") return el("div", { class: "placeholder loading" }, el("p", {}, t("round.loading")));
  return placeholder("calm", t("round.empty"));
}

export const render = soon(() => {
  if ($("view-round").hidden) return;
  const shown = vehicles.filter((vehicle) => everybody || vehicle.overdue_since);
  $("round-said").textContent = said;
  $("round-lot").textContent = lot?.bays ? t("round.lot", { taken: lot.taken, bays: lot.bays, away: lot.turned_away }) : "";
  $("round-list").replaceChildren(shown.length ? el("ul", { class: "tiles" }, ...shown.map(card)) : nothing());
});

export function startRounds() {
  setInterval(() => { if (!$("view-round").hidden && !$("desk").hidden) load(); }, READ_AGAIN_MS);
  $("round-everybody").addEventListener("change", (event) => { everybody = event.target.checked; render(); });
  onLanguage(render);
}
