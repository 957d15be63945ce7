// One case: what it is, what may be done with it, and what happened.

import * as api from "./api.js";
import { $, el } from "./dom.js";
import { has, pick, refusal, t, time } from "./words.js";

const NEEDS_REASON = new Set(["resolved", "rejected", "verified"]);
let shown = "";
let note = null; // what became of the last action, until another case is chosen

export const shownId = () => shown;

/** Shows a case; `people` can be sent, `me` acts, `done()` runs after an action. */
export async function show(alert, context, { focus = false } = {}) {
  if (alert !== shown) note = null;
  shown = alert;
  if (!alert) {
    $("detail").replaceChildren(el("p", { class: "nothing" }, t("detail.none")));
    return;
  }
  const found = await api.one(alert);
  if (alert !== shown) return;
  const typed = document.getElementById("reason")?.value ?? "";
  const focused = document.activeElement?.id;
  $("detail").replaceChildren(...nodes(found, context).filter(Boolean));
  if ($("reason")) $("reason").value = typed;
  if (focus) $("detail").focus();
  else if (focused && document.activeElement === document.body) document.getElementById(focused)?.focus();
}

function nodes(found, context) {
  const who = context.people.find((person) => person.id === found.assignee);
  const facts = [
    ["field.work", [t(`work.${found.work}`), found.acknowledged && t("acknowledged")].filter(Boolean).join(" · ")],
    ["field.assignee", [found.assignee, who?.name].filter(Boolean).join(" ")],
    ["field.contact", who?.contact],
    ["field.place", [found.community, found.grid, found.building].filter(Boolean).join(" / ")],
    ["field.device", found.device],
    ["field.raised", time(found.raised_at)],
    ["field.condition", t(`condition.${found.condition}`)],
  ];
  return [
    el("h2", {}, el("span", { class: `sev s${found.severity}` }, `P${found.severity} `), pick(found.title)),
    found.unknown && el("p", { class: "told", role: "alert" }, t("unknown.why")),
    found.refusal.code && el("p", { class: "told", role: "alert" }, refusal(found.refusal)),
    note && el("p", { class: note.bad ? "told" : "muted", role: note.bad ? "alert" : "status" }, note.text),
    el("ol", { class: "steps" }, ...(pick(found.steps) || []).map((step) => el("li", {}, step))),
    el("dl", {}, ...facts.filter(([, value]) => value).flatMap(([key, value]) => [el("dt", {}, t(key)), el("dd", { "data-field": key }, value)])),
    found.next.length > 0 && actions(found, context),
    found.barred_by && el("p", { class: "muted", id: "barred" }, t("act.barred", { done: t(`work.${found.barred_by}`) })),
    el("h3", {}, t("history.title")),
    el("ol", { class: "history" }, ...found.history.map(line)),
  ];
}

const line = ({ at, what, who, words }) =>
  el("li", {}, [time(at), [`change.${what}`, `work.${what}`].filter(has).map((key) => t(key))[0] ?? what, who, words].filter(Boolean).join(" · "));

function actions(found, context) {
  const reason = el("input", { id: "reason", maxlength: 200, autocomplete: "off" });
  const others = context.people.filter((person) => person.id !== found.assignee);
  const to = el("select", { id: "to" }, ...others.map((person) => el("option", { value: person.id }, `${person.id} ${person.name}`)));
  const button = (work) => el("button", {
    type: "button", id: `do-${work}`, class: work === found.next[0] ? "primary" : null,
    onclick: () => act(found, work, work === "assigned" ? to.value : "", reason, context),
  }, t(`do.${work}`));
  const possible = found.next.filter((work) => work !== "assigned" || others.length);
  return el("form", { onsubmit: (event) => event.preventDefault() },
    el("h3", {}, t("act.title")),
    el("label", {}, `${t("act.reason")} `, reason),
    possible.includes("assigned") && el("label", {}, `${t("act.to")} `, to),
    el("div", { class: "actions" }, ...possible.map(button)));
}

async function act(found, work, person, reason, context) {
  if (NEEDS_REASON.has(work) && !reason.value.trim()) {
    note = { bad: true, text: t("act.need") };
  } else {
    try {
      const { status } = await api.step(found.alert, work, person, reason.value.trim());
      note = { bad: false, text: status === 202 ? t("act.later") : t("act.done", { what: t(`do.${work}`) }) };
      reason.value = "";
    } catch (error) {
      const told = error instanceof api.Refused ? error.refusal ?? { code: String(error.status), text: error.message } : null;
      note = { bad: true, text: told ? refusal(told) : t("state.lost") };
    }
  }
  $("say").textContent = note.text;
  await show(found.alert, context).catch(() => null); // what is wrong then, the request for news says
}
