// The gateway's HTTP API. The bearer token goes to paths under /v1/ of this origin and nowhere else.

import { t, has } from "./i18n.js";

let token = "";
let refused = () => {};
let ahead = 0;

export const setToken = (value) => { token = value; };
export const onRefused = (listener) => { refused = listener; };

/** The gateway's time, in ms: a guard room's PC may have a wrong clock, and ages must still be right. */
export const now = () => Date.now() + ahead;

/** A refusal of the gateway (`status`, RFC 9457 `detail`), or no answer at all (`status` 0). */
export class ApiError extends Error {
  constructor(status, detail = "") {
    super(detail || String(status));
    this.status = status;
    this.detail = detail;
  }

  /** For the operator, in the page's language; the gateway's own words follow where they add something. */
  get words() {
    if (this.status === 0) return t("error.network");
    const key = this.status >= 500 ? "error.5" : `error.${this.status}`;
    const plain = has(key) ? t(key) : "";
    if (plain && this.status !== 403) return plain;
    return [plain, this.detail].filter(Boolean).join(" · ") || String(this.status);
  }
}

async function call(path, { method = "GET", body, headers = {}, signal } = {}) {
  if (!path.startsWith("/v1/")) throw new ApiError(404, path);
  const request = { method, signal, cache: "no-store", headers: { Authorization: `Bearer ${token}`, ...headers } };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0);
  }
  learnTime(response);
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401) refused();
  throw new ApiError(response.status, typeof problem.detail === "string" ? problem.detail : problem.title);
}

function learnTime(response) {
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (Number.isNaN(date)) return;
  const difference = date - Date.now();
  ahead = Math.abs(difference) > 3000 ? difference : 0; // the header counts whole seconds; small differences are noise
}

export const getJson = async (path, options) => (await call(path, options)).json();
export const postJson = async (path, body, headers) => (await call(path, { method: "POST", body, headers })).json();
export const getBlob = async (path, signal) => (await call(path, { signal })).blob();
export const getStream = (path, headers, signal) => call(path, { headers, signal });

export const me = () => getJson("/v1/me");
export const alert = (id, signal) => getJson(`/v1/alerts/${encodeURIComponent(id)}`, { signal });
export const devices = () => getJson("/v1/devices");
export const deviceList = (id) => getJson(`/v1/devices/${encodeURIComponent(id)}/list`);
export const inside = () => getJson("/v1/vehicles/inside");
export const markInside = (key, here, entered) =>
  postJson(`/v1/vehicles/inside/${encodeURIComponent(key)}`, { here, entered_at: entered });
export const command = (id) => getJson(`/v1/commands/${encodeURIComponent(id)}`);
export const acknowledge = (id, reason) => postJson(`/v1/alerts/${encodeURIComponent(id)}/acknowledge`, { reason });
export const notThisPerson = (person, evidence) =>
  postJson(`/v1/people/${encodeURIComponent(person)}/not-this-person`, { evidence });
export const acceptView = (device, reason) => postJson(`/v1/devices/${encodeURIComponent(device)}/scene/accept`, { reason });
export const dispose = (id, disposition, reason) =>
  postJson(`/v1/alerts/${encodeURIComponent(id)}/dispose`, { disposition, reason });

/** Newest first; `next` is the cursor of the following page, null at the end. */
export function alerts({ open = false, before = "", limit = 200 } = {}) {
  const query = new URLSearchParams({ limit });
  if (open) query.set("open", "true");
  if (before) query.set("before", before);
  return getJson(`/v1/alerts?${query}`);
}

/** The same `key` is the same command: sending it again never opens a door twice. */
export const sendCommand = (device, body, key) =>
  postJson(`/v1/devices/${encodeURIComponent(device)}/commands`, body, { "Idempotency-Key": key });

/** What the gateway says of itself; needs no token, and answers 503 with the same body when something is wrong. */
export async function health() {
  try {
    return await (await fetch("/health", { cache: "no-store" })).json();
  } catch {
    return null;
  }
}

/** A random id. `crypto.randomUUID` exists only on https and localhost; a desk on the LAN often has plain http. */
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const hex = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0"));
  return hex.join("").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
