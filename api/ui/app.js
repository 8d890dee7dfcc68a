// app: the frame of the page: which page is shown, keys, the token, light and dark.
import { access, forgetToken, hasToken, learnAccess, may, onTokenNeeded } from './daemon.js';
import { draw, h } from './dom.js';
import { overview } from './overview.js';
import { ask, empty } from './parts.js';

// Name in the address, title, key behind g, the module that has it (loaded when it is first shown).
const PAGES = [
  { name: '', title: 'Overview', key: 'o', load: async () => overview },
  { name: 'futures', title: 'Futures', key: 'f', load: async () => (await import('./futures.js')).futures },
  { name: 'batches', title: 'Batches', key: 'b', load: async () => (await import('./batches.js')).batches },
  { name: 'failures', title: 'Failures', key: 'x', load: async () => (await import('./failures.js')).failures },
  { name: 'queues', title: 'Queues and limits', key: 'q', load: async () => (await import('./queues.js')).queues },
  { name: 'schedules', title: 'Schedules', key: 's', load: async () => (await import('./schedules.js')).schedules },
  { name: 'workers', title: 'Workers and handlers', key: 'w', load: async () => (await import('./workers.js')).workers },
  { name: 'batch', load: async () => (await import('./batches.js')).batch, under: 'batches' },
  { name: 'future', load: async () => (await import('./future.js')).future, under: 'futures' },
];

const main = document.getElementById('main');
let shown = null; // the page of now: {row, view, abort, timers}

// ---- the life of a page --------------------------------------------------------------------------

// What a page may use. It ends with the page.
function lifeOf(row, params, query) {
  const abort = new AbortController();
  const page = { row, params, query, abort, signal: abort.signal, view: () => empty('Loading …'), error: null };
  page.draw = () => {
    if (shown !== page) return;
    draw(main, page.error && h('p', { class: 'error', role: 'alert' }, page.error), page.view());
  };
  // Calls fn now and again every ms, one call at a time, and not while nobody looks.
  page.poll = (fn, ms) => {
    let timer = 0;
    let isRunning = false;
    const run = async () => {
      clearTimeout(timer);
      if (abort.signal.aborted || document.hidden || isRunning) return;
      isRunning = true;
      try {
        await fn();
        page.error = null;
      } catch (e) {
        if (abort.signal.aborted) return;
        page.error = e.status ? e.message : 'The daemon does not answer. Trying again …';
      } finally {
        isRunning = false;
      }
      page.draw();
      if (!abort.signal.aborted) timer = setTimeout(run, ms);
    };
    document.addEventListener('visibilitychange', run, { signal: abort.signal });
    run();
    return run; // to be called when it should be now
  };
  page.setQuery = (members) => {
    const q = new URLSearchParams(Object.entries(members).filter(([, v]) => v !== '' && v !== undefined));
    history.replaceState(null, '', `#/${row.name}${q.size ? `?${q}` : ''}`);
  };
  return page;
}

function drawFrame() {
  const now = shown?.row.under ?? shown?.row.name;
  draw(document.getElementById('nav'), PAGES.filter((p) => p.title).map((p) => h('a', {
    href: `#/${p.name}`, 'aria-current': p.name === now && 'page', title: `g ${p.key}`,
  }, p.title)));
  draw(document.getElementById('tools'),
    access.known && !may('submit') && h('span', { class: 'scope', title: 'The token is good for reading alone.' }, 'read only'),
    h('button', { type: 'button', class: 'quiet', onclick: turnTheme, title: 'Light or dark', 'aria-label': 'Light or dark' }, '◐'),
    h('button', { type: 'button', class: 'quiet', onclick: showKeys, title: 'Keys', 'aria-label': 'Keys' }, '?'),
    hasToken() && h('button', { type: 'button', class: 'quiet', onclick: leave }, 'Sign out'));
}

async function go() {
  const [path, search] = location.hash.replace(/^#\/?/, '').split('?');
  const [name, ...params] = path.split('/').map(decodeURIComponent);
  const row = PAGES.find((p) => p.name === name) || PAGES[0];
  shown?.abort.abort();
  const page = lifeOf(row, params, Object.fromEntries(new URLSearchParams(search || '')));
  shown = page;
  drawFrame();
  const begin = await row.load();
  if (shown !== page) return;
  document.title = `${row.title || params[0] || ''} · futured`;
  main.scrollTop = 0;
  page.view = begin(page);
  page.draw();
}

// ---- the token -----------------------------------------------------------------------------------

onTokenNeeded(async (wasRefused) => {
  const given = await ask({
    title: 'A token, please', yes: 'Go on', no: null,
    text: wasRefused ? 'The daemon does not know this token.'
      : 'This daemon wants a token. It stays in this tab and is forgotten when the tab is closed.',
    fields: [{ name: 'token', label: 'Token', type: 'password', autocomplete: 'off', required: true }],
  });
  queueMicrotask(() => learnAccess().then(drawFrame, () => {}));
  return given.token.trim();
});

function leave() {
  forgetToken();
  location.reload();
}

// ---- light and dark ------------------------------------------------------------------------------

function turnTheme() {
  const isDark = matchMedia('(prefers-color-scheme: dark)').matches;
  const now = document.documentElement.dataset.theme || (isDark ? 'dark' : 'light');
  document.documentElement.dataset.theme = now === 'dark' ? 'light' : 'dark';
  try {
    localStorage.setItem('futured-theme', document.documentElement.dataset.theme);
  } catch { /* then until the tab is closed */ }
}

function recallTheme() {
  try {
    const kept = localStorage.getItem('futured-theme');
    if (kept === 'dark' || kept === 'light') document.documentElement.dataset.theme = kept;
  } catch { /* as the system says */ }
}

// ---- keys ----------------------------------------------------------------------------------------

function showKeys() {
  const pages = PAGES.filter((p) => p.title).map((p) => `g ${p.key} – ${p.title}`);
  ask({
    title: 'Keys', yes: 'Close', no: null,
    text: [...pages, '/ – to the filter', 'j k – down and up in a list, Enter opens', '? – this list'],
  });
}

let behindG = false;
function onKey(event) {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (target.matches('input, select, textarea')) {
    if (key === 'Escape') target.blur();
    return;
  }
  const page = behindG && PAGES.find((p) => p.key === key);
  behindG = key === 'g';
  if (page) location.hash = `#/${page.name}`;
  else if (key === '?') showKeys();
  else if (key === '/') main.querySelector('input, select')?.focus();
  else if (key === 'j' || key === 'k') step(key === 'j' ? 1 : -1);
  else return;
  event.preventDefault();
}

// The focus goes from row to row of the first table, by their links.
function step(by) {
  const links = [...main.querySelectorAll('tbody a.id')];
  const at = links.indexOf(document.activeElement);
  links[at < 0 ? 0 : at + by]?.focus();
}

// ---- begin ---------------------------------------------------------------------------------------

recallTheme();
addEventListener('hashchange', go);
addEventListener('keydown', onKey);
go();
learnAccess().then(() => {
  drawFrame();
  shown?.draw();
}, () => {});

