// The live feed: server-sent events read with fetch(), because EventSource cannot send a bearer token.

import { getStream } from "./api.js";

const STALE_AFTER_MS = 25_000; // the gateway sends at least a heartbeat every 10 s
const GIVE_UP_AFTER_MS = 40_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/** Feed it text as it comes; calls `emit({event, id, data})` for each complete event. Comments are heartbeats. */
export function sseParser(emit) {
  let rest = "";
  let fields = { event: "message", id: "", data: [] };
  const line = (text) => {
    if (text === "") {
      if (fields.data.length) emit({ event: fields.event, id: fields.id, data: fields.data.join("\n") });
      fields = { event: "message", id: "", data: [] };
      return;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (name === "data") fields.data.push(value);
    else if (name === "event" || name === "id") fields[name] = value;
  };
  return (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const each of lines) line(each.replace(/\r$/, ""));
  };
}

/**
 * Keeps one connection up until `close()`. `onOpen()` runs after every (re)connection: the page then reads everything
 * afresh, so whatever was missed is there. `onState({live, everLive, staleSeconds})` runs every second and on changes.
 */
export function openStream({ onOpen, onEvent, onState, onForbidden }) {
  let lastId = "";
  let lastByte = 0;
  let live = false;
  let closed = false;
  let attempt = 0;
  let connection = null;
  let wake = () => {};

  const tell = () => {
    const silent = lastByte ? performance.now() - lastByte : 0;
    onState({ live, everLive: lastByte > 0, staleSeconds: silent > STALE_AFTER_MS || !live ? Math.round(silent / 1000) : 0 });
    if (live && silent > GIVE_UP_AFTER_MS) connection.abort();
  };
  const timer = setInterval(tell, 1000);
  const hurry = () => wake();
  window.addEventListener("online", hurry);

  const parse = sseParserFor((event) => {
    if (event.id) lastId = event.id;
    onEvent(event.event, JSON.parse(event.data));
  });

  async function connect() {
    connection = new AbortController();
    const headers = { Accept: "text/event-stream", ...(lastId ? { "Last-Event-ID": lastId } : {}) };
    const response = await getStream("/v1/stream", headers, connection.signal);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const feed = parse();
    live = true;
    attempt = 0;
    lastByte = performance.now();
    tell();
    onOpen();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      lastByte = performance.now();
      feed(value);
    }
  }

  async function run() {
    while (!closed) {
      try {
        await connect();
      } catch (error) {
        if (error.status === 401) return;
        if (error.status === 403) { onForbidden(); return; }
        if (error.status === 409 || error.status === 410) lastId = ""; // not from there: onOpen reads everything afresh
      }
      live = false;
      if (closed) return;
      tell();
      const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt++) * (0.75 + Math.random() / 2);
      await new Promise((resolve) => { wake = resolve; setTimeout(resolve, wait); });
    }
  }

  run();
  return {
    close() {
      closed = true;
      clearInterval(timer);
      window.removeEventListener("online", hurry);
      connection?.abort();
      wake();
    },
  };
}

/** A fresh parser per connection: half an event of a broken connection must not meet the next one. */
const sseParserFor = (emit) => () => sseParser(emit);
