// Moving a door or an arm: open -> confirm within 5 s -> watch it until the door itself has answered.

import * as api from "./api.js";
import { $, el, icon } from "./dom.js";
import { nameOf, placeOf } from "./format.js";
import { t, tFirst } from "./i18n.js";

const CONFIRM_WITHIN_S = 5;
const POLL_MS = 400;
const GIVE_UP_AFTER_MS = 20_000;
const SLOW_MS = { take_snapshot: 30_000, reboot: 200_000 }; // a device takes its time to start anew

const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const word = (prefix, type, kind) => tFirst(`${prefix}.${type}.${kind}`, `${prefix}.${type}`, prefix);

export const commandName = (type, kind) => word("command", type, kind);

/** `{status, text, final}` for a reader; `status` is the gateway's, or `sending` and `lost` for what only we know. */
export function outcome(record, kind) {
  const { status, type, reason } = record;
  const text = status === "done" ? word("run.done", type, kind) : t(`run.${status}`, { why: reason || "—" });
  return { status, text, final: !["sending", "sent", "accepted"].includes(status) };
}

/** Sends one command and calls `report(outcome)` at every step until it is final. Never sends a second one. */
export async function run(device, body, report) {
  const key = api.uuid();
  const tell = (record) => report(outcome({ type: body.type, ...record }, device.kind));
  tell({ status: "sending" });
  let record;
  try {
    record = await api.sendCommand(device.id, body, key).catch((error) => {
      if (error.status !== 0) throw error;
      return wait(800).then(() => api.sendCommand(device.id, body, key)); // the same key: still one command
    });
  } catch (error) {
    tell(error.status === 0 ? { status: "lost" } : { status: "failed", reason: error.words ?? error.message });
    return;
  }
  await follow(record, tell);
}

async function follow(first, tell) {
  const end = performance.now() + (SLOW_MS[first.type] ?? GIVE_UP_AFTER_MS);
  let record = first;
  let told = "";
  for (;;) {
    if (record.status !== told) tell(record);
    told = record.status;
    if (outcome(record, "").final) return;
    if (performance.now() > end) break;
    await wait(POLL_MS);
    try {
      record = await api.command(record.id);
    } catch (error) {
      if (error.status !== 0) break;
    }
  }
  tell({ ...record, status: "lost" });
}

/** Asks in a dialog that names the device; `go()` runs only on a confirmation within 5 s. */
export function askFirst(device, type, go) {
  const dialog = $("confirm");
  let left = CONFIRM_WITHIN_S;
  const count = el("p", { class: "countdown", role: "timer" }, t("confirm.left", { s: left }));
  const bar = el("div", { class: "fuse", "aria-hidden": "true" }, el("i"));
  const stop = el("button", { type: "button", onclick: () => dialog.close() }, t("confirm.cancel"));
  const yes = el("button", { type: "button", class: "danger", id: "confirm-yes" }, t("confirm.yes", { what: commandName(type, device.kind) }));
  const timer = setInterval(() => {
    left -= 1;
    count.textContent = t("confirm.left", { s: left });
    if (left > 0) return;
    clearInterval(timer);
    yes.remove();
    bar.remove();
    count.textContent = t("confirm.timeout");
    stop.textContent = t("confirm.close");
  }, 1000);
  const steps = el("ol", { class: "steps", "aria-live": "polite" });
  yes.addEventListener("click", () => {
    clearInterval(timer);
    count.remove();
    bar.remove();
    yes.remove();
    stop.textContent = t("confirm.close");
    go((step) => steps.append(el("li", { class: step.status }, step.text)));
  }, { once: true });
  dialog.addEventListener("close", () => clearInterval(timer), { once: true });
  dialog.replaceChildren(
    el("div", { class: "confirm-head" }, icon(device.kind), el("h2", { id: "confirm-title" }, nameOf(device))),
    el("p", { class: "muted" }, placeOf(device)),
    el("p", { class: "question" }, word("confirm", type, device.kind)),
    el("p", { class: "muted" }, t("confirm.warn")),
    count, bar, steps,
    el("div", { class: "line end" }, stop, yes));
  dialog.showModal();
  stop.focus(); // a stray Enter must not open a gate
}
