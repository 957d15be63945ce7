// What an operator does with an alert: acknowledge it with a reason, say what it was.

import * as api from "./api.js";
import { el } from "./dom.js";
import { clock } from "./format.js";
import { t } from "./i18n.js";
import { may } from "./rights.js";

const QUICK = ["ack.q1", "ack.q2", "ack.q3", "ack.q4"];
const DISPOSITIONS = ["true", "false", "test", "duplicate", "no_action"];

/** The nodes of both forms, or what was done; `done(alert)` runs after the gateway took it. */
export function handling(alert, done) {
  const closed = alert.acknowledged && alert.disposition;
  return [
    alert.acknowledged ? acknowledgedLine(alert.acknowledged) : may("alerts:write") && acknowledgeForm(alert, done),
    alert.disposition && el("p", { class: "settled" }, t("dispose.done", { what: t(`dispose.${alert.disposition}`) })),
    !alert.disposition && may("alerts:write") && disposeForm(alert, done),
    !closed && !may("alerts:write") && el("p", { class: "muted" }, t("form.noScope")),
  ].filter(Boolean);
}

const acknowledgedLine = ({ by, at, reason }) => el("p", { class: "settled" }, t("ack.done", { by, at: clock(at), reason }));

/** A form that sends once, shows a refusal in words and stays filled in until it was accepted. */
function form(props, submit, ...children) {
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const node = el("form", props, ...children, problem);
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = node.querySelector("button[type=submit]");
    const label = button.textContent;
    problem.hidden = true;
    button.disabled = true;
    button.textContent = t("form.sending");
    try {
      await submit();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      problem.textContent = error.words ?? error.message;
      problem.hidden = false;
      button.textContent = label;
      button.disabled = false;
    }
  });
  return node;
}

function acknowledgeForm(alert, done) {
  const reason = el("input", { id: "ack-reason", maxlength: 200, placeholder: t("ack.placeholder"), "aria-label": t("ack.reason") });
  const quick = QUICK.map((key, at) => el("button", {
    type: "button", class: "chip", "data-quick": at + 1, onclick: () => { reason.value = t(key); reason.focus(); },
  }, t(key)));
  const submit = async () => {
    if (!reason.value.trim()) throw new Error(t("ack.needReason"));
    done(await api.acknowledge(alert.id, reason.value.trim()));
  };
  return form({ class: "card", id: "ack-form" }, submit,
    el("h3", {}, t("ack.title")),
    el("div", { class: "chips" }, ...quick),
    el("div", { class: "line" }, reason, el("button", { type: "submit", class: "primary" }, t("ack.submit"))));
}

function disposeForm(alert, done) {
  const choices = DISPOSITIONS.map((value) => el("label", { class: "chip" },
    el("input", { type: "radio", name: "disposition", value }), t(`dispose.${value}`)));
  const reason = el("input", { id: "dispose-reason", maxlength: 200, placeholder: t("dispose.placeholder"), "aria-label": t("dispose.placeholder") });
  const node = form({ class: "card", id: "dispose-form" }, async () => {
    const value = node.elements.disposition.value;
    if (!value || !reason.value.trim()) throw new Error(t("dispose.choose"));
    try {
      done(await api.dispose(alert.id, value, reason.value.trim()));
    } catch (error) {
      const still = error.status === 409 && value === "true" && alert.condition === "active";
      throw still ? new Error(t("dispose.still")) : error;
    }
  },
  el("h3", {}, t("dispose.title")),
  el("div", { class: "chips" }, ...choices),
  el("div", { class: "line" }, reason, el("button", { type: "submit" }, t("dispose.submit"))));
  return node;
}

/** A button that asks once more, in its place, before it does anything. `submit()` gives what is then said. */
function askOnce({ id, ask, question, fields = [], yes, submit }) {
  const place = el("div", { class: "ask-once" });
  const offer = () => place.replaceChildren(el("button", { type: "button", id, onclick: sure }, ask));
  const sure = () => {
    const cancel = el("button", { type: "button", onclick: offer }, t("form.cancel"));
    const send = async () => place.replaceChildren(el("p", { class: "settled" }, await submit()));
    place.replaceChildren(form({ class: "card" }, send,
      el("p", { class: "question" }, question), ...fields,
      el("div", { class: "line end" }, cancel, el("button", { type: "submit", class: "danger" }, yes))));
    cancel.focus();
  };
  offer();
  return place;
}

/** "Not this person": asks once more before a face is kept from being taken for `known` again. */
export function notThisPerson(known, evidence) {
  const name = known.name || known.person;
  return askOnce({
    id: "not-them", ask: t("notThem.ask"), question: t("notThem.sure", { name }), yes: t("notThem.yes"),
    submit: async () => {
      await api.notThisPerson(known.person, evidence);
      return t("notThem.done", { name });
    },
  });
}

/** "The view is as it should be": for an alert that rests on how a camera's view was learnt. */
export function acceptView(alert, done) {
  const reason = el("input", { id: "view-reason", maxlength: 200, placeholder: t("view.placeholder"), "aria-label": t("ack.reason") });
  return askOnce({
    id: "accept-view", ask: t("command.accept_view"), question: t("confirm.accept_view"), fields: [reason], yes: t("view.yes"),
    submit: async () => {
      if (!reason.value.trim()) throw new Error(t("ack.needReason"));
      const { ended } = await api.acceptView(alert.device, reason.value.trim());
      done();
      return t("view.done", { n: ended.length });
    },
  });
}
