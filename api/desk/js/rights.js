// What this desk's token may do. The gateway enforces it; the page only avoids offering what would be refused.

let scopes = new Set();

export const setScopes = (list) => { scopes = new Set(list); };
export const may = (scope) => scopes.has(scope) || scopes.has("*");
