// The desk: signing in, the three views, keys, and what the live feed sets in motion.

import * as api from "./api.js";
import * as detail from "./detail.js";
import * as devices from "./devices.js";
import { $ } from "./dom.js";
import { refreshAges } from "./format.js";
import { onLanguage, pick, switchLanguage, t, translatePage } from "./i18n.js";
import { nextTheme, startLook } from "./look.js";
import * as queue from "./queue.js";
import { may, setScopes } from "./rights.js";
import * as rounds from "./rounds.js";
import { forgetToken, savedToken, saveToken, tokenFromLink } from "./session.js";
import { ring, startSound } from "./sound.js";
import * as store from "./store.js";
import { openStream } from "./stream.js";

const AGES_MS = 5000;
const HEALTH_MS = 30_000;

let stream = null;
let link = { live: false, everLive: false, staleSeconds: 0 };
let problems = [];

// -- signing in ---------------------------------------------

function showLogin(message = "") {
  stream?.close();
  stream = null;
  ring(false);
  store.clear();
  detail.show("");
  $("desk").hidden = true;
  $("login").hidden = false;
  $("login-error").textContent = message;
  $("login-error").hidden = !message;
  $("token").value = "";
  $("token").focus();
}

/** Tries a token; keeps it only when the gateway takes it. */
async function enter(token, remember) {
  api.setToken(token);
  try {
    const { scopes } = await api.me();
    setScopes(scopes);
  } catch (error) {
    if (error.status === 0) showLogin(t("login.unreachable"));
    else { forgetToken(); showLogin(error.status === 401 ? t("login.refused") : error.words); }
    return;
  }
  if (!may("alerts:read")) { forgetToken(); showLogin(t("login.forbidden")); return; }
  if (remember !== null) saveToken(token, remember);
  openDesk();
}

function openDesk() {
  $("login").hidden = true;
  $("desk").hidden = false;
  document.querySelector("[data-view=devices]").hidden = !may("devices:read");
  document.querySelector("[data-view=round]").hidden = !may("vehicles:read");
  show("alerts");
  stream = openStream({
    onOpen: () => { store.load(); if (may("devices:read")) devices.load(); if (detail.shownId()) detail.refresh(); },
    onEvent: received,
    onState: (state) => { link = state; showLink(); },
    onForbidden: () => { forgetToken(); showLogin(t("login.forbidden")); },
  });
  showLink();
}

// -- the live feed ---------------------------------------------

function received(event, data) {
  if (event === "device") devices.put(data);
  if (event !== "alert") return;
  const { alert } = data;
  const before = store.put(alert);
  if (alert.id === detail.shownId()) detail.refresh();
  if (!before || data.change === "reopened") announce(alert);
}

function announce(alert) {
  if (!store.isOpen(alert) || store.isHidden(alert)) return;
  const severity = store.severityOf(alert);
  const place = queue.placeWords(alert);
  $(severity === 1 ? "say-now" : "say").textContent = t("queue.new", { severity: t(`sev.${severity}`), title: pick(alert.title), place });
}

function showLink() {
  const { live, everLive, staleSeconds: s } = link;
  const key = live ? (s ? "stale" : "live") : !everLive ? "connecting" : s > 3 ? "retryingStale" : "retrying";
  const text = t(`state.${key}`, { s });
  if ($("state").textContent !== text) $("state").textContent = text;
  $("state").dataset.state = live && !s ? "live" : everLive ? "down" : "connecting";
  const down = everLive && (!live || s > 0);
  const words = down ? t("state.banner") : problems.length ? t("state.problems", { text: problems.join("; ") }) : "";
  $("banner").textContent = words;
  $("banner").hidden = !words;
  $("banner").classList.toggle("down", down);
}

function showCounts() {
  const open = store.openAlerts();
  const alarming = open.filter(store.isAlarming);
  $("count-open").textContent = String(open.length);
  $("count-open").classList.toggle("alarming", alarming.length > 0);
  document.title = alarming.length ? `(${alarming.length} P1) ${t("app.name")}` : t("app.name");
  ring(alarming.length > 0 && stream !== null);
}

async function askHealth() {
  if (!stream) return;
  const health = await api.health();
  problems = health?.problems ?? [];
  showLink();
}

// -- views, buttons, keys ---------------------------------------------

function show(view) {
  for (const button of document.querySelectorAll("[data-view]")) {
    if (button.dataset.view === view) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  $("view-alerts").hidden = view !== "alerts";
  $("view-devices").hidden = view !== "devices";
  $("view-round").hidden = view !== "round";
  devices.render();
  if (view === "devices") devices.load();
  if (view === "round") rounds.load();
}

const openDetail = (open) => $("view-alerts").classList.toggle("reading", open);

function chosen(id, deliberate) {
  if (id !== detail.shownId()) detail.show(id);
  if (!deliberate) return;
  openDetail(true);
  $("detail").focus({ preventScroll: true });
}

function backToList() {
  openDetail(false);
  queue.focusRow();
}

function acknowledgeByKey() {
  if (!detail.shownId()) queue.move(1);
  openDetail(true);
  $("ack-reason")?.focus();
  $("ack-form")?.scrollIntoView({ block: "nearest" });
}

const KEYS = {
  ArrowDown: () => queue.move(1),
  ArrowUp: () => queue.move(-1),
  Enter: () => queue.selectedId() && queue.choose(queue.selectedId(), true),
  a: acknowledgeByKey,
  Escape: backToList,
};

function pressed(event) {
  if ($("desk").hidden || $("view-alerts").hidden || $("confirm").open) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && event.key === "Enter") return;
  const typing = event.target.matches("input:not([type=radio]), textarea, select");
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (typing && key !== "Escape") return;
  if (key === "Enter" && event.target.matches("button:not([data-alert]), input")) return;
  if (key.startsWith("Arrow") && event.target.matches("input[type=radio]")) return;
  if (!KEYS[key]) return;
  event.preventDefault();
  KEYS[key]();
}

const ACTIONS = {
  language: switchLanguage,
  theme: nextTheme,
  logout: () => { forgetToken(); showLogin(); },
};

function start() {
  translatePage();
  startLook();
  startSound();
  queue.startQueue(chosen);
  detail.startDetail(backToList);
  devices.startDevices();
  rounds.startRounds();
  store.onChange(showCounts);
  onLanguage(() => { showLink(); showCounts(); });
  api.onRefused(() => { forgetToken(); if (stream) showLogin(t("login.refused")); });
  for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => show(button.dataset.view));
  for (const button of document.querySelectorAll("[data-action]")) button.addEventListener("click", ACTIONS[button.dataset.action]);
  document.addEventListener("keydown", pressed);
  $("login-form").addEventListener("submit", (event) => {
    event.preventDefault();
    enter($("token").value.trim(), $("remember").checked);
  });
  setInterval(refreshAges, AGES_MS);
  setInterval(askHealth, HEALTH_MS);
  const linked = tokenFromLink();
  const token = linked || savedToken();
  if (token) enter(token, linked ? false : null);
  else showLogin();
}

start();
