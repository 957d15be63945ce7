// The page: the list, who acts, whether anything is missing; kept fresh by one request that waits for news.

import * as api from "./api.js";
import * as detail from "./detail.js";
import { $, el } from "./dom.js";
import { otherLanguage, pick, refusal, t, time, translate } from "./words.js";

const AGAIN_MS = 2000;
const nothing = { version: 0, me: "", cases: [], people: [], account: { have: 0 }, waiting: 0, trouble: null, anew: null, anybody: "" };
let data = nothing;
let which = "open";
let asking = null;
let signedIn = null; // resolves when somebody has signed in

const me = () => data.me;
const context = () => ({ people: data.people, me: me() });

function row(one) {
  const place = [one.community, one.grid, one.building].filter(Boolean).join(" / ");
  const words = [place, t(`work.${one.work}`), one.assignee, one.unknown ? t("unknown") : "", time(one.raised_at)].filter(Boolean).join(" · ");
  return el("li", {}, el("button", {
    type: "button", "data-alert": one.alert, "aria-current": one.alert === detail.shownId(), onclick: () => choose(one.alert),
  }, el("span", { class: `sev s${one.severity}` }, `P${one.severity}`), el("span", {}, pick(one.title)), el("span", { class: "line" }, words)));
}

function render() {
  translate();
  const known = data.people.find((person) => person.id === data.me);
  $("me").textContent = data.me ? t("me.is", { who: [data.me, known?.name].filter(Boolean).join(" ") }) : "";
  $("sign-out").hidden = !data.me;
  $("work").hidden = !data.me;
  $("sign-in").hidden = Boolean(data.me);
  const focused = document.activeElement?.dataset?.alert;
  const shown = data.cases.filter((one) => which !== "mine" || one.assignee === me());
  $("list").replaceChildren(...(shown.length ? shown.map(row) : [el("li", { class: "nothing" }, t("list.empty"))]));
  if (focused) document.querySelector(`[data-alert="${CSS.escape(focused)}"]`)?.focus();
  for (const button of document.querySelectorAll("[data-which]")) button.setAttribute("aria-pressed", String(button.dataset.which === which));
  const words = data.trouble ? t("state.trouble", { why: refusal(data.trouble) }) : t("state.ok");
  $("state").textContent = !data.me ? "" : data.waiting ? `${words} · ${t("state.waiting", { n: data.waiting })}` : words;
  $("anew").hidden = !data.me || !data.anew;
  $("anew").textContent = data.anew ? t(`anew.${data.anew.code}`, { ...data.anew, at: time(data.anew.at) }) : "";
  const { have, missing } = data.account;
  const whole = !missing?.length;
  $("account").classList.toggle("gap", !whole);
  $("account").textContent = !data.me ? "" : !have ? t("account.none") : t(whole ? "account.whole" : "account.gap", { ...data.account, missing: missing?.[0] });
}

async function choose(alert) {
  try {
    await detail.show(alert, context(), { focus: true });
  } catch {
    asking?.abort(); // the next request says what is wrong: signed out, or the backend is gone
  }
  render();
}

async function fetchOnce(since) {
  asking?.abort();
  asking = new AbortController();
  data = await api.cases(since, which === "all", asking.signal);
  $("banner").hidden = true;
  render();
  if (detail.shownId()) await detail.show(detail.shownId(), context());
}

async function askToSignIn(said) {
  data = nothing;
  await detail.show("", context());
  render();
  sayIn(said);
  await new Promise((resolve) => { signedIn = resolve; });
}

function sayIn(said) {
  $("in-said").textContent = said;
  $("in-said").hidden = !said;
}

async function signIn() {
  try {
    await api.signIn($("name").value.trim(), $("password").value);
    sayIn("");
    signedIn?.();
  } catch (error) {
    if (!(error instanceof api.Refused)) sayIn(t("state.lost"));
    else if (error.status === 429) sayIn(t("in.locked", { n: Math.max(1, Math.ceil(error.body.wait_s / 60)) }));
    else sayIn(t("in.wrong"));
  }
  $("password").value = "";
}

async function follow() {
  let since = 0;
  for (;;) {
    try {
      await fetchOnce(since);
      since = data.version;
    } catch (error) {
      since = 0;
      if (error.name === "AbortError") continue;
      if (error.status === 401) {
        await askToSignIn(error.body.operators === 0 ? t("in.nobody") : "");
        continue;
      }
      $("banner").textContent = t("state.lost");
      $("banner").hidden = false;
      await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS); });
    }
  }
}

$("sign-in").addEventListener("submit", (event) => { event.preventDefault(); signIn(); });
$("sign-out").addEventListener("click", async () => { await api.signOut().catch(() => null); asking?.abort(); });
$("language").addEventListener("click", () => { otherLanguage(); render(); detail.show(detail.shownId(), context()); });
for (const button of document.querySelectorAll("[data-which]")) {
  button.addEventListener("click", () => { which = button.dataset.which; asking?.abort(); });
}
translate();
detail.show("", context());
follow();
