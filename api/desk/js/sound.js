// The alarm for unacknowledged P1 alerts. Browsers keep audio silent until a gesture; the button says so while it is.

import { $, icon } from "./dom.js";
import { onLanguage, t } from "./i18n.js";

const EVERY_MS = 4000;
const STORE = "linli.muted";
let context = null;
let muted = sessionStorage.getItem(STORE) === "yes"; // a mute ends with the session: nobody forgets it for weeks
let ringing = false;
let stateAtGesture = "";

const running = () => context?.state === "running";

function beep() {
  if (!ringing || muted || !running()) return;
  const start = context.currentTime;
  for (const [offset, pitch] of [[0, 880], [0.22, 660], [0.44, 880]]) {
    const tone = context.createOscillator();
    const volume = context.createGain();
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0.0001, start + offset);
    volume.gain.exponentialRampToValueAtTime(0.25, start + offset + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, start + offset + 0.18);
    tone.connect(volume).connect(context.destination);
    tone.start(start + offset);
    tone.stop(start + offset + 0.2);
  }
}

function show() {
  const button = $("sound");
  const key = muted ? "off" : running() ? "on" : "blocked";
  button.dataset.state = key;
  button.setAttribute("aria-pressed", String(muted));
  button.replaceChildren(icon(key === "on" ? "sound" : "mute"), document.createTextNode(t(`sound.${key}`)));
}

async function unlock() {
  stateAtGesture = $("sound").dataset.state;
  context ??= new AudioContext();
  if (context.state === "suspended") await context.resume();
  show();
}

/** Rings (again and again) while `wanted`; the first tone comes at once. */
export function ring(wanted) {
  const begins = wanted && !ringing;
  ringing = wanted;
  if (begins) beep();
}

export function startSound() {
  for (const gesture of ["pointerdown", "keydown"]) document.addEventListener(gesture, unlock, { capture: true });
  $("sound").addEventListener("click", () => {
    if (stateAtGesture !== "blocked") muted = !muted; // the click that allows sound must not mute it
    sessionStorage.setItem(STORE, muted ? "yes" : "no");
    show();
    beep();
  });
  onLanguage(show);
  setInterval(beep, EVERY_MS);
  show();
}
