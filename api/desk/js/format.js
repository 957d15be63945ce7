// Times, places and values as an operator reads them.

import { now } from "./api.js";
import { el } from "./dom.js";
import { has, locale, t } from "./i18n.js";

const MINUTE = 60, HOUR = 3600, DAY = 86_400;

export function age(iso) {
  const seconds = Math.max(0, Math.round((now() - Date.parse(iso)) / 1000));
  if (seconds < 5) return t("age.now");
  if (seconds < MINUTE) return t("age.s", { n: seconds });
  if (seconds < HOUR) return t("age.m", { n: Math.floor(seconds / MINUTE) });
  if (seconds < DAY) return t("age.h", { n: Math.floor(seconds / HOUR) });
  return t("age.d", { n: Math.floor(seconds / DAY) });
}

/** Local wall time; the date only when it is not today. */
export function clock(iso) {
  const at = new Date(iso);
  const today = at.toDateString() === new Date(now()).toDateString();
  const day = today ? {} : { month: "2-digit", day: "2-digit" };
  return at.toLocaleString(locale(), { ...day, hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

/** A time that keeps its own age up to date (see `refreshAges`). */
export const ageNode = (iso) => el("time", { datetime: iso, class: "age", title: clock(iso) }, age(iso));

export function refreshAges() {
  for (const node of document.querySelectorAll("time.age")) {
    const text = age(node.dateTime);
    if (node.textContent !== text) node.textContent = text;
  }
}

export const placeOf = (item) => [item.community, item.grid, item.building].filter(Boolean).join(" · ");
export const nameOf = (device) => device.name || device.id;

const UNITS = { s: "s", pct: "%", deg: "°", cm: "cm", w: "W", v: "V", a: "A", h: "h", c: "°C" };

/** `level_pct: 40` -> ["亮度", "40 %"]; names nobody translated keep the gateway's spelling. */
export function fact(name, value) {
  const label = has(`fact.${name}`) ? t(`fact.${name}`) : name;
  if (has(`value.${value}`)) return [label, t(`value.${value}`)];
  if (typeof value === "number") {
    const figure = Number.isInteger(value) ? String(value) : value.toFixed(2);
    const unit = UNITS[name.split("_").at(-1)];
    return [label, unit && name.includes("_") ? `${figure} ${unit}` : figure];
  }
  return [label, typeof value === "object" ? JSON.stringify(value) : String(value)];
}
