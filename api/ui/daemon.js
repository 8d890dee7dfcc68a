// daemon: what the page asks of the daemon, and the token with which it asks.

const KEPT = 'futured-token';
let token = sessionStorage.getItem(KEPT) || '';
let askToken = null; // set by app.js: resolves to a token
let asking = null;
export const access = { tokens: false, scopes: [], known: false };

export const may = (scope) => access.scopes.includes(scope);
export const hasToken = () => token !== '';

export function onTokenNeeded(ask) {
  askToken = ask;
}

export function forgetToken() {
  token = '';
  sessionStorage.removeItem(KEPT);
}

// A refusal: the daemon's own words.
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The daemon answered ${status}.`);
    this.status = status;
    this.problem = problem;
  }
}

async function renewToken(refused) {
  if (token !== refused) return; // somebody else has asked meanwhile
  asking ??= askToken(refused !== '').then((given) => {
    token = given;
    sessionStorage.setItem(KEPT, token);
  }).finally(() => { asking = null; });
  await asking;
}

// The bare answer; throws a Refusal. Where a token is wanted it is asked for, and the request made again.
export async function send(method, path, { body, headers, signal } = {}) {
  for (;;) {
    const sent = token;
    const answer = await fetch(path, {
      method, body, signal, cache: 'no-store', redirect: 'error', credentials: 'omit',
      headers: { ...(sent ? { Authorization: `Bearer ${sent}` } : {}), ...headers },
    });
    if (answer.status === 401 && askToken) {
      await renewToken(sent);
      continue;
    }
    if (!answer.ok && answer.status !== 304) {
      const problem = await answer.json().catch(() => ({}));
      throw new Refusal(answer.status, problem);
    }
    return answer;
  }
}

export async function get(path, options) {
  return (await send('GET', path, options)).json();
}

// With a JSON body; null where the answer is empty.
export async function change(method, path, body) {
  const answer = await send(method, path, body === undefined ? {} : {
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'Content-Type': 'application/json' },
  });
  return answer.status === 204 ? null : answer.json();
}

// What the token is good for.
export async function learnAccess() {
  Object.assign(access, await get('/v1/access'), { known: true });
}

// "?a=b" of the members that say something.
export function query(members) {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(members)) {
    if (value !== '' && value !== null && value !== undefined) q.set(name, value);
  }
  const text = q.toString();
  return text && `?${text}`;
}

export const futurePath = (id) => `/v1/futures/${encodeURIComponent(id)}`;

// An operation on all futures that a filter means, waited for; ends with how it stands then.
export async function changeMany(operation, filter, dryRun) {
  let o = await change('POST', `/v1/futures/${operation}?wait=20`, { ...filter, ...(dryRun ? { dry_run: true } : {}) });
  while (!o.done) o = await get(`/v1/operations/${encodeURIComponent(o.id)}?wait=20`);
  return o;
}
