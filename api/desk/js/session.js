// Where the token lives: the tab's memory by default, this machine's only when the operator says so.

const KEY = "linli.token";

/** `#token=...` in a printed link. It is taken out of the address bar and the history at once. */
export function tokenFromLink() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  if (found) history.replaceState(null, "", location.pathname + location.search);
  return found.trim();
}

export const savedToken = () => sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY) ?? "";

export function saveToken(token, remember) {
  forgetToken();
  (remember ? localStorage : sessionStorage).setItem(KEY, token);
}

export function forgetToken() {
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(KEY);
}
