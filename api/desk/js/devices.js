// The wall of devices: one tile each, by kind; gates and barriers are operated here, lamps dimmed.

import * as api from "./api.js";
import { askFirst, commandName, run } from "./commands.js";
import { $, arrange, el, icon, placeholder, soon } from "./dom.js";
import { ageNode, nameOf, placeOf } from "./format.js";
import { has, onLanguage, t } from "./i18n.js";
import { may } from "./rights.js";
import * as store from "./store.js";

const KINDS = ["face_gate", "barrier", "camera", "light", "cover", "bay"];
const READ_AGAIN_MS = 20_000; // the feed tells who comes and goes; doors and lamps are read again
const MOVES = ["open_passage", "close_barrier"];
const ROUTINE = ["take_snapshot", "reboot"];
const FITS = {
  face_gate: ["open_passage", ...ROUTINE], barrier: [...MOVES, ...ROUTINE], light: ["set_lamp", "reboot"], camera: ROUTINE,
  cover: ["reboot"], bay: ["reboot"],
};
const NOT_BY_HAND = new Set(["blocklisted_plate", "blocked_person", "duress", "door_forced"]);

const devices = new Map();
const results = new Map(); // device id -> the last outcome of a command
const lists = new Map(); // device id -> how far its own list of persons or plates has come
const levels = new Map(); // device id -> the level its slider stands at
const tiles = new Map();
const groups = new Map();
let told = new Map(); // what the feed said while the list was being read: the list is older
const filter = { kinds: new Set(), offline: false, text: "" };
const loading = { state: "loading", error: null };

const onlineWord = (device) => (device.online === null || device.online === undefined ? "unknown" : device.online ? "online" : "offline");
const iconOf = (kind) => (KINDS.includes(kind) ? kind : "device");
const kindWord = (kind) => (has(`kind.${kind}`) ? t(`kind.${kind}`) : kind);

/** The protocol lists what it can say at all; a kind we know is offered only what makes sense for it. */
const commandsOf = (device) => (device.commands ?? []).filter((type) => FITS[device.kind]?.includes(type) ?? true);

export async function load() {
  const since = new Map();
  told = since;
  try {
    const { items } = await api.devices();
    devices.clear();
    for (const device of items) devices.set(device.id, { ...device, ...since.get(device.id) });
    await readLists(items.filter((device) => device.params?.holds_list));
    Object.assign(loading, { state: "done", error: null });
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    Object.assign(loading, { state: "failed", error });
  }
  changed();
}

/** Few devices hold a list; one that cannot be read just now keeps the figures it had. */
async function readLists(holders) {
  const read = await Promise.allSettled(holders.map((device) => api.deviceList(device.id)));
  for (const { status, value } of read) if (status === "fulfilled") lists.set(value.device, value);
}

/** A device event of the stream: only what it names changes. An unknown id is a new device: read the list. */
export function put(change) {
  told.set(change.id, change);
  const device = devices.get(change.id);
  if (!device) { load(); return; }
  devices.set(change.id, { ...device, ...change });
  changed();
}

const changed = () => { render(); store.setFilter({}); };

function operate(device, type) {
  askFirst(device, type, (step) => run(device, { type }, (outcome) => {
    step(outcome);
    showResult(device, outcome);
  }));
}

function showResult(device, outcome) {
  results.set(device.id, outcome);
  render();
  if (outcome.status === "done") load();
}

function moveButton(device, type) {
  const blocked = device.online === false || !may("commands:write");
  const why = device.online === false ? t("device.isOffline") : may("commands:write") ? null : t("device.noCommands");
  return el("button", {
    type: "button", class: "act", "data-command": type, disabled: blocked, title: why, onclick: () => operate(device, type),
  }, commandName(type, device.kind));
}

/** What the button below depends on. */
export const passageState = (alert) => devices.get(alert.device)?.online;

/** In an alert: the button of its gate, unless the advice is to keep it shut. */
export function passageButton(alert) {
  const device = devices.get(alert.device);
  if (!device || !commandsOf(device).includes("open_passage") || NOT_BY_HAND.has(alert.type) || !may("commands:write")) return "";
  return moveButton(device, "open_passage");
}

/** "The view is as it should be": of a camera whose pictures are watched. */
function viewButton(device) {
  const accept = (step) => api.acceptView(device.id, t("view.reason")).then(
    ({ ended }) => step({ status: "done", text: t("view.done", { n: ended.length }) }),
    (error) => step({ status: "failed", text: t("run.failed", { why: error.detail || error.words }) }));
  const ask = () => askFirst(device, "accept_view", (step) => accept((outcome) => { step(outcome); showResult(device, outcome); }));
  return el("button", {
    type: "button", class: "act", "data-command": "accept_view", disabled: !may("alerts:write"), onclick: ask,
  }, commandName("accept_view", device.kind));
}

function lampForm(device) {
  const level = levels.get(device.id) ?? 100;
  const shown = el("output", {}, t("command.level", { n: level }));
  const range = el("input", { type: "range", min: 0, max: 100, step: 5, value: level, "aria-label": t("fact.level_pct") });
  const off = device.online === false || !may("commands:write");
  range.disabled = off;
  range.addEventListener("input", () => { levels.set(device.id, Number(range.value)); shown.textContent = t("command.level", { n: range.value }); });
  const node = el("form", { class: "lamp" }, range, shown,
    el("button", { type: "submit", class: "act", "data-command": "set_lamp", disabled: off }, commandName("set_lamp", device.kind)));
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    run(device, { type: "set_lamp", level_pct: Number(range.value) }, (outcome) => showResult(device, outcome));
  });
  return node;
}

/** What the kind's state says in a word, where it is known: an arm nobody has heard of is not "down". */
const STATE = {
  face_gate: ({ known, opened_at: at }) => (at ? ["open", at] : known && ["closed"]),
  barrier: ({ opened_at: at }) => at && ["open", at],
  light: ({ lit, since }) => typeof lit === "boolean" && [lit ? "on" : "off", since],
  cover: ({ open }) => typeof open === "boolean" && [open ? "open" : "closed"],
  bay: ({ occupied_at: at }) => at && ["taken", at],
};

function stateWords(device) {
  const found = STATE[device.kind]?.(device.state ?? {});
  if (!found) return [];
  const [word, since] = found;
  return [el("span", {}, t(`now.${device.kind}.${word}`)), since ? ageNode(since) : ""];
}

function listWords(list) {
  if (!list?.what) return "";
  const coming = list.wanted + list.sent;
  const parts = [t("list.held", { n: list.held }), coming && t("list.coming", { n: coming }),
    list.removing && t("list.removing", { n: list.removing }), list.refused && t("list.refused", { n: list.refused })];
  return el("span", { class: "list" }, parts.filter(Boolean).join(" · "));
}

/** Seldom needed, so behind a word; each asks first like the others. */
function routine(device, commands) {
  const offered = ROUTINE.filter((type) => commands.includes(type)).map((type) => moveButton(device, type));
  if (device.kind === "camera" && device.state?.watch?.last) offered.push(viewButton(device));
  if (!offered.length) return "";
  return el("details", { class: "routine" }, el("summary", {}, t("device.more")),
    el("div", { class: "tile-acts" }, ...offered));
}

function tile(device) {
  const online = onlineWord(device);
  const result = results.get(device.id);
  const shown = JSON.stringify([device, result, lists.get(device.id), document.documentElement.lang, may("commands:write")]);
  const kept = tiles.get(device.id);
  if (kept && (kept.shown === shown || kept.node.contains(document.activeElement) && kept.core === core(device, result))) return kept.node;
  const commands = commandsOf(device);
  const node = kept?.node ?? el("li", { "data-device": device.id });
  node.className = `tile ${online}`;
  node.replaceChildren(
    el("div", { class: "tile-head" }, icon(iconOf(device.kind)), el("h4", {}, nameOf(device))),
    el("p", { class: "muted clip" }, placeOf(device) || device.id),
    el("p", { class: "tile-state" }, el("span", { class: `dot ${online}` }), t(`device.${online}`),
      el("span", { class: "muted" }, device.last_seen ? ageNode(device.last_seen) : t("device.never"))),
    el("p", { class: "tile-facts" }, ...stateWords(device), listWords(lists.get(device.id))),
    el("div", { class: "tile-acts" }, ...MOVES.filter((type) => commands.includes(type)).map((type) => moveButton(device, type)),
      commands.includes("set_lamp") && lampForm(device)),
    routine(device, commands),
    result ? el("p", { class: `result ${result.status}`, role: "status" }, result.text) : "");
  tiles.set(device.id, { node, shown, core: core(device, result) });
  return node;
}

/** What must be redrawn even under the operator's hands; a mere "last seen" must not reset a slider being dragged. */
const core = (device, result) => JSON.stringify([device.online, result, device.name, device.commands, document.documentElement.lang]);

function group(kind, members) {
  let node = groups.get(kind);
  if (!node) {
    node = el("section", { class: "group" }, el("h3"), el("ul", { class: "tiles" }));
    groups.set(kind, node);
  }
  const offline = members.filter((device) => device.online === false).length;
  node.firstElementChild.replaceChildren(icon(iconOf(kind)), kindWord(kind),
    el("span", { class: "muted" }, t("device.total", { n: members.length })),
    offline ? el("span", { class: "mark unacked" }, t("device.offlineOf", { n: offline })) : "");
  arrange(node.lastElementChild, members.map(tile));
  return node;
}

function wanted(device) {
  const text = `${nameOf(device)} ${device.id} ${placeOf(device)}`.toLowerCase();
  return (!filter.kinds.size || filter.kinds.has(device.kind)) && (!filter.offline || device.online === false) && text.includes(filter.text);
}

function nothing() {
  if (loading.state === "failed") {
    return placeholder("error", t("device.failed", { why: loading.error.words }), "",
      el("button", { type: "button", onclick: load }, t("queue.retry")));
  }
  if (loading.state === "loading") return el("div", { class: "placeholder loading" }, el("p", {}, t("device.loading")));
  return devices.size ? placeholder("device", t("device.filtered")) : placeholder("device", t("device.empty"), t("device.emptyHint"));
}

function chips(kinds) {
  const toggle = (kind) => () => { if (!filter.kinds.delete(kind)) filter.kinds.add(kind); render(); };
  const key = `${kinds}${[...filter.kinds]}${document.documentElement.lang}`;
  if ($("kind-chips").dataset.key === key) return;
  $("kind-chips").dataset.key = key;
  $("kind-chips").replaceChildren(...kinds.map((kind) => el("button", {
    type: "button", class: "chip", "aria-pressed": String(filter.kinds.has(kind)), onclick: toggle(kind),
  }, icon(iconOf(kind)), kindWord(kind))));
}

export const render = soon(() => {
  const all = [...devices.values()];
  const offline = all.filter((device) => device.online === false).length;
  $("count-offline").textContent = t("device.offlineOf", { n: offline });
  $("count-offline").hidden = offline === 0;
  if ($("view-devices").hidden) return;
  const kinds = [...new Set([...KINDS, ...all.map((device) => device.kind)])].filter((kind) => all.some((device) => device.kind === kind));
  chips(kinds);
  const shown = all.filter(wanted).sort((a, b) => nameOf(a).localeCompare(nameOf(b), "zh-CN", { numeric: true }));
  const nodes = kinds.map((kind) => [kind, shown.filter((device) => device.kind === kind)])
    .filter(([, members]) => members.length).map(([kind, members]) => group(kind, members));
  if (nodes.length) arrange($("wall"), nodes);
  else $("wall").replaceChildren(nothing());
});

export function startDevices() {
  setInterval(() => { if (!$("view-devices").hidden && !$("desk").hidden) load(); }, READ_AGAIN_MS);
  $("only-offline").addEventListener("change", (event) => { filter.offline = event.target.checked; render(); });
  $("device-search").addEventListener("input", (event) => { filter.text = event.target.value.trim().toLowerCase(); render(); });
  onLanguage(render);
}
