// The page: the list, who acts, whether anything is missing; kept fresh by one request that waits for news.

import * as api from "./api.js";
import * as detail from "./detail.js";
import { $, el } from "./dom.js";
import { otherLanguage, pick, t, time, translate } from "./words.js";

const AGAIN_MS = 2000;
const ME = "linli.backend.me";
let data = { version: 0, cases: [], people: [], account: { have: 0 }, waiting: 0, trouble: "", anybody: "" };
let which = "open";
let asking = null;

const me = () => $("me").value || data.anybody;
const context = () => ({ people: data.people, me: me() });

function people() {
  const known = data.people.length ? data.people : [{ id: data.anybody, name: "" }];
  const wanted = $("me").value || localStorage.getItem(ME);
  const ids = known.map((person) => person.id).join();
  if ($("me").dataset.ids === ids) return;
  $("me").dataset.ids = ids;
  $("me").replaceChildren(...known.map((person) => el("option", { value: person.id }, `${person.id} ${person.name}`)));
  if (known.some((person) => person.id === wanted)) $("me").value = wanted;
}

function row(one) {
  const place = [one.community, one.grid, one.building].filter(Boolean).join(" / ");
  const words = [place, t(`work.${one.work}`), one.assignee, time(one.raised_at)].filter(Boolean).join(" · ");
  return el("li", {}, el("button", {
    type: "button", "data-alert": one.alert, "aria-current": one.alert === detail.shownId(), onclick: () => choose(one.alert),
  }, el("span", { class: `sev s${one.severity}` }, `P${one.severity}`), el("span", {}, pick(one.title)), el("span", { class: "line" }, words)));
}

function render() {
  translate();
  people();
  const focused = document.activeElement?.dataset?.alert;
  const shown = data.cases.filter((one) => which !== "mine" || one.assignee === me());
  $("list").replaceChildren(...(shown.length ? shown.map(row) : [el("li", { class: "nothing" }, t("list.empty"))]));
  if (focused) document.querySelector(`[data-alert="${CSS.escape(focused)}"]`)?.focus();
  for (const button of document.querySelectorAll("[data-which]")) button.setAttribute("aria-pressed", String(button.dataset.which === which));
  const words = data.trouble ? t("state.trouble", { why: data.trouble }) : t("state.ok");
  $("state").textContent = data.waiting ? `${words} · ${t("state.waiting", { n: data.waiting })}` : words;
  const { have, missing } = data.account;
  const whole = !missing?.length;
  $("account").classList.toggle("gap", !whole);
  $("account").textContent = !have ? t("account.none") : t(whole ? "account.whole" : "account.gap", { ...data.account, missing: missing?.[0] });
}

async function choose(alert) {
  await detail.show(alert, context(), { focus: true });
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

async function follow() {
  let since = 0;
  for (;;) {
    try {
      await fetchOnce(since);
      since = data.version;
    } catch (error) {
      since = 0;
      if (error.name === "AbortError") continue;
      $("banner").textContent = t("state.lost");
      $("banner").hidden = false;
      await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS); });
    }
  }
}

$("me").addEventListener("change", () => { localStorage.setItem(ME, me()); render(); detail.show(detail.shownId(), context()); });
$("language").addEventListener("click", () => { otherLanguage(); render(); detail.show(detail.shownId(), context()); });
for (const button of document.querySelectorAll("[data-which]")) {
  button.addEventListener("click", () => { which = button.dataset.which; asking?.abort(); });
}
translate();
detail.show("", context());
follow();
