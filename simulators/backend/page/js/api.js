// What the page asks of its backend.

/** A refusal: `status`, the words of whoever refused, why (`refusal`: code, who, stands), and the case as it stands. */
export class Refused extends Error {
  constructor(status, body) {
    super(body?.detail || String(status));
    this.status = status;
    this.body = body ?? {};
    this.refusal = body?.refusal ?? null;
    this.case = body?.case ?? null;
  }
}

async function call(path, request = {}) {
  const response = await fetch(path, { cache: "no-store", ...request });
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, body);
  return { status: response.status, body };
}

/** Answers when there is something newer than version `since`; 0: at once. */
export const cases = async (since, all, signal) => (await call(`api/cases?since=${since}&all=${all ? 1 : 0}`, { signal })).body;

export const one = async (alert) => (await call(`api/cases/${encodeURIComponent(alert)}`)).body;

const post = (path, body) => call(path, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
});

/** Status 202: the gateway is away, and is told when it is back. `person`: whom to send. */
export const step = (alert, work, person, reason) => post(`api/cases/${encodeURIComponent(alert)}/steps`, { work, person, reason });

export const signIn = (name, password) => post("api/sign-in", { name, password });
export const signOut = () => post("api/sign-out", {});
