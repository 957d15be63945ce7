// Dark or light: the system's wish by default; a guard room can fix one, because a bright page at 3 a.m. hurts.

import { onLanguage, t } from "./i18n.js";

const STORE = "linli.theme";
const ORDER = ["auto", "dark", "light"];
const light = matchMedia("(prefers-color-scheme: light)");

let wish = ORDER.includes(localStorage.getItem(STORE)) ? localStorage.getItem(STORE) : "auto";

function apply() {
  document.documentElement.dataset.theme = wish === "auto" ? (light.matches ? "light" : "dark") : wish;
  for (const button of document.querySelectorAll("[data-action=theme]")) {
    button.title = t(`theme.${wish}`);
    button.setAttribute("aria-label", t(`theme.${wish}`));
  }
}

export function nextTheme() {
  wish = ORDER[(ORDER.indexOf(wish) + 1) % ORDER.length];
  localStorage.setItem(STORE, wish);
  apply();
}

export function startLook() {
  light.addEventListener("change", apply);
  onLanguage(apply);
  apply();
}
