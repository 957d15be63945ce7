// The alerts this page knows, and which of them the operator wants to see in which order.

import * as api from "./api.js";

const PAGE = 200;
const PAGES_AT_MOST = 10;

const alerts = new Map();
const listeners = new Set();
let fresh = new Set(); // ids the stream changed while a list was being read: what the list says of them is older

export const filters = { open: true, severities: new Set(), hidden: false };
export const loading = { state: "loading", error: null };

export const onChange = (listener) => listeners.add(listener);
const changed = () => { for (const listener of listeners) listener(); };

export const get = (id) => alerts.get(id);
export const severityOf = (alert) => Number(String(alert.severity).replace("P", ""));
export const isOpen = (alert) => alert.open ?? (alert.condition === "active" || !alert.acknowledged || !alert.disposition);
export const isHidden = (alert) =>
  Boolean(alert.suppressed_by) || (alert.shelved_until !== null && Date.parse(alert.shelved_until) > api.now());
export const isAlarming = (alert) =>
  severityOf(alert) === 1 && isOpen(alert) && !isHidden(alert) && !alert.acknowledged;

const bySeverityThenNewest = (a, b) =>
  severityOf(a) - severityOf(b) || Date.parse(b.raised_at) - Date.parse(a.raised_at) || (a.id < b.id ? 1 : -1);

export function visible() {
  const wanted = (alert) =>
    (!filters.open || isOpen(alert)) &&
    (!filters.severities.size || filters.severities.has(severityOf(alert))) &&
    (!filters.open || filters.hidden || !isHidden(alert));
  return [...alerts.values()].filter(wanted).sort(bySeverityThenNewest);
}

export const openAlerts = () => [...alerts.values()].filter((alert) => isOpen(alert) && !isHidden(alert));
export const hiddenCount = () => [...alerts.values()].filter((alert) => isOpen(alert) && isHidden(alert)).length;

/** One change from the stream or an answer; gives the alert as it was before. */
export function put(alert) {
  const before = alerts.get(alert.id);
  fresh.add(alert.id);
  alerts.set(alert.id, alert);
  changed();
  return before;
}

/** Reads every open alert, and the newest closed ones when "all" is wanted. What the gateway no longer lists goes. */
export async function load() {
  fresh = new Set();
  const since = fresh;
  try {
    const read = await readPages({ open: true });
    if (!filters.open) for (const alert of await readPages({ open: false, pages: 2 })) read.push(alert);
    if (since !== fresh) return; // a later load overtook this one
    const listed = new Set(read.map((alert) => alert.id));
    for (const id of alerts.keys()) if (!listed.has(id) && !fresh.has(id)) alerts.delete(id);
    for (const alert of read) if (!fresh.has(alert.id)) alerts.set(alert.id, alert);
    Object.assign(loading, { state: "done", error: null });
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    if (since === fresh) Object.assign(loading, { state: "failed", error });
  }
  changed();
}

async function readPages({ open, pages = PAGES_AT_MOST }) {
  const read = [];
  let before = "";
  for (let page = 0; page < pages; page += 1) {
    const { items, next } = await api.alerts({ open, before, limit: PAGE });
    read.push(...items);
    if (next === null || next === undefined || !items.length) break;
    before = String(next);
  }
  return read;
}

export function setFilter(change) {
  Object.assign(filters, change);
  changed();
}

export function clear() {
  alerts.clear();
  Object.assign(loading, { state: "loading", error: null });
}
