// futures: the list, filtered by all that lists can filter, live, and of any length.
import { changeMany, get, may, query } from './daemon.js';
import { h } from './dom.js';
import { act, button, confirm, empty, futureLink, state, when } from './parts.js';
import * as words from './words.js';

const PAGE = 100;
const ROW_PX = 33;
const ROWS_MAX = 20000;
const FIELDS = [
  { name: 'handler', label: 'Handler', list: 'handlers' },
  { name: 'code', label: 'Error code' },
  { name: 'queue', label: 'Queue', list: 'queues' },
  { name: 'lane', label: 'Lane', choices: ['', 'io', 'cpu'] },
  { name: 'schedule', label: 'Schedule' },
  { name: 'batch', label: 'Batch', wide: true },
  { name: 'parent', label: 'Parent', wide: true },
  { name: 'after', label: 'Submitted after', type: 'datetime-local' },
  { name: 'before', label: 'Submitted before', type: 'datetime-local' },
  { name: 'older_than', label: 'Older than (s)', type: 'number', min: '0' },
];

// What the daemon is asked, of what the fields say: times are the reader's own there.
function filterOf(form) {
  const out = {};
  for (const [name, value] of Object.entries(form)) {
    if (!value) continue;
    const isTime = (name === 'after' || name === 'before') && !Number.isNaN(Date.parse(value));
    out[name] = isTime ? new Date(value).toISOString() : value;
  }
  return out;
}

// The rows as far as they were read, newest first, brought up to date page by page.
class List {
  constructor(filter, signal) {
    this.filter = filter;
    this.signal = signal;
    this.rows = [];
    this.pages = [{ cursor: null, from: null }]; // from: the id in front of the page
    this.hasMore = true;
    this.newer = false;
  }

  ask(cursor) {
    return get(`/v1/futures${query({ ...this.filter, limit: PAGE, cursor })}`, { signal: this.signal });
  }

  // What the store says of a range of ids takes the place of what was known of the range.
  merge(page, answer) {
    const came = answer.futures;
    const last = answer.next_cursor && came.length ? came[came.length - 1].id : null;
    const isInside = (id) => (!page.from || id < page.from) && (last === null || id >= last);
    const others = answer.next_cursor && !came.length ? this.rows : this.rows.filter((r) => !isInside(r.id));
    this.rows = [...others, ...came].sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, ROWS_MAX);
  }

  async more() {
    const page = this.pages[this.pages.length - 1];
    const answer = await this.ask(page.cursor);
    this.merge(page, answer);
    this.hasMore = answer.next_cursor !== null && this.rows.length < ROWS_MAX;
    if (answer.next_cursor) {
      const from = answer.futures.length ? answer.futures[answer.futures.length - 1].id : page.from;
      this.pages.push({ cursor: answer.next_cursor, from });
    }
  }

  // The newest: joined to what is known, or, when there is a gap, in its place.
  async refreshTop(isAtTop) {
    const answer = await this.ask(null);
    const known = this.rows[0]?.id;
    const oldest = answer.futures[answer.futures.length - 1]?.id;
    this.newer = !isAtTop && answer.futures.length > 0 && answer.futures[0].id !== known;
    if (!isAtTop) return;
    if (known && answer.next_cursor && oldest > known) {
      this.rows = [];
      this.pages = [{ cursor: null, from: null }];
    }
    this.merge({ from: null }, answer);
    if (this.pages.length === 1) {
      this.hasMore = answer.next_cursor !== null;
      if (answer.next_cursor) this.pages.push({ cursor: answer.next_cursor, from: oldest });
    }
  }

  // The page in which this row is.
  async refreshAt(row) {
    const id = this.rows[row]?.id;
    const page = this.pages.findLast((p) => p.cursor && p.from && id < p.from);
    if (page) this.merge(page, await this.ask(page.cursor));
  }
}

function chips(form, set) {
  const on = new Set((form.state || '').split(',').filter(Boolean));
  const turn = (name) => {
    if (on.has(name)) on.delete(name);
    else on.add(name);
    set({ state: words.STATES.filter((s) => on.has(s)).join(',') });
  };
  return h('fieldset', { class: 'chips' }, h('legend', { class: 'unseen' }, 'States'),
    words.STATES.map((name) => h('button', {
      type: 'button', class: `chip ${name}`, 'aria-pressed': String(on.has(name)), onclick: () => turn(name),
    }, name)));
}

function field(f, form, set, known) {
  const props = { name: f.name, value: form[f.name] || '', onchange: (e) => set({ [f.name]: e.target.value.trim() }) };
  if (f.choices) {
    return h('label', { key: f.name }, f.label,
      h('select', props, f.choices.map((c) => h('option', { value: c }, c || 'any'))));
  }
  return h('label', { key: f.name, class: f.wide && 'wide' }, f.label,
    h('input', { type: f.type || 'search', ...props, list: f.list && `known-${f.list}`, min: f.min, autocomplete: 'off', spellcheck: 'false', step: f.type === 'datetime-local' && '1' }),
    f.list && h('datalist', { id: `known-${f.list}` }, (known[f.list] || []).map((name) => h('option', { value: name }))));
}

function row(f) {
  return h('tr', { key: f.id }, h('td', null, futureLink(f.id)), h('td', null, h('span', { class: 'clip' }, words.line(f.name ? `${f.handler} (${f.name})` : f.handler))),
    h('td', null, state(f.state)), h('td', { class: 'wide' }, words.line(f.queue || 'default')), h('td', { class: 'wide' }, f.lane),
    h('td', { class: 'n wide' }, f.attempt || '–'), h('td', null, when(f.created_at)),
    h('td', { class: 'n' }, f.started_at ? words.seconds(words.between(f.started_at, f.finished_at)) : '–'),
    h('td', { class: 'what wide' }, h('span', { class: 'clip' }, f.error ? words.line(`${f.error.code}: ${f.error.message || ''}`)
      : f.waiting_for ? words.line(f.waiting_for.message || f.waiting_for.code) : '')));
}

const HEAD = [['Future'], ['Handler'], ['State'], ['Queue', 'wide'], ['Lane', 'wide'], ['Attempt', 'n wide'], ['Submitted'], ['Ran', 'n'], ['Why', 'what wide']];

// The rows in view, between two spaces as high as the others.
function rowsInView(list, view, onscroll) {
  const first = Math.max(0, Math.floor(view.top / ROW_PX) - 10);
  const end = Math.min(list.rows.length, first + Math.ceil(view.height / ROW_PX) + 20);
  const space = (n, key) => h('tr', { key, class: 'space', 'aria-hidden': 'true', style: { height: `${n * ROW_PX}px` } });
  return h('div', { class: 'scroll long', tabindex: '0', role: 'region', 'aria-label': 'Futures, newest first', onscroll,
    mounted: (e) => { view.element = e; } },
  h('table', { 'aria-rowcount': String(list.hasMore ? -1 : list.rows.length) },
    h('thead', null, h('tr', null, HEAD.map(([t, c]) => h('th', { scope: 'col', class: c }, t)))),
    h('tbody', null, space(first, 'above'), list.rows.slice(first, end).map(row), space(list.rows.length - end, 'below'))));
}

const NAMES = { cancel: 'Cancel', retry: 'Retry', delete: 'Delete' };

// Counts, asks, does.
export async function changeAll(operation, filter, what) {
  const meant = Object.keys(filter).length ? filter : { all: true };
  const counted = await act(() => changeMany(operation, meant, true));
  if (!counted) return;
  if (!counted.matched) {
    await confirm('Nothing to do', `None of ${what} can be changed in this way.`, 'All right', false);
    return;
  }
  const n = words.number(counted.matched);
  if (!await confirm(`${NAMES[operation]} ${n}?`, `${NAMES[operation]} ${n} of ${what}. This cannot be undone.`, `${NAMES[operation]} ${n}`)) return;
  await act(() => changeMany(operation, meant, false), (o) => `${words.number(o.changed)} changed.`);
}

export function futures(page) {
  let form = { ...page.query };
  let list = new List(filterOf(form), page.signal);
  let isOpen = FIELDS.slice(4).some((f) => form[f.name]);
  let isReading = false;
  const view = { top: 0, height: 600, element: null };
  const known = {};
  get('/v1/handlers').then((a) => { known.handlers = a.handlers.map((x) => x.name); page.draw(); }, () => {});
  get('/v1/queues?limit=100').then((a) => { known.queues = a.queues.map((x) => x.name); page.draw(); }, () => {});

  const isAtTop = () => view.top < ROW_PX * 3;
  const again = page.poll(async () => {
    const asked = list;
    await asked.refreshTop(isAtTop());
    if (!isAtTop()) await asked.refreshAt(Math.floor(view.top / ROW_PX) + 5);
  }, 2000);
  const set = (members) => {
    form = { ...form, ...members };
    page.setQuery(form);
    list = new List(filterOf(form), page.signal);
    view.top = 0;
    if (view.element) view.element.scrollTop = 0;
    again();
  };
  const readMore = async () => {
    if (isReading || !list.hasMore || !list.rows.length) return;
    isReading = true;
    await act(() => list.more());
    isReading = false;
    page.draw();
  };
  const onscroll = (event) => {
    view.top = event.target.scrollTop;
    view.height = event.target.clientHeight;
    if (view.top + view.height * 3 > list.rows.length * ROW_PX) readMore();
    page.draw();
  };
  const toTop = () => {
    view.top = 0;
    view.element.scrollTop = 0;
    again();
  };
  const many = (operation) => changeAll(operation, filterOf(form), 'what the filter means').then(again);
  return () => h('div', { class: 'futures' }, h('h1', { class: 'unseen' }, 'Futures'),
    h('form', { class: 'filters', role: 'search', onsubmit: (e) => e.preventDefault() },
      chips(form, set), h('div', { class: 'fields' }, FIELDS.slice(0, isOpen ? FIELDS.length : 4).map((f) => field(f, form, set, known)),
        h('button', { type: 'button', class: 'quiet', 'aria-expanded': String(isOpen), onclick: () => { isOpen = !isOpen; page.draw(); } }, isOpen ? 'Fewer' : 'More filters'),
        Object.keys(form).length > 0 && h('button', { type: 'button', class: 'quiet', onclick: () => { form = {}; set({}); } }, 'Clear'),
        h('span', { class: 'right' }, button('Cancel all …', () => many('cancel'), { small: true }),
          button('Retry all …', () => many('retry'), { small: true }),
          button('Delete all …', () => many('delete'), { scope: 'admin', danger: true, small: true })))),
    h('p', { class: 'count', 'aria-live': 'off' }, `${words.number(list.rows.length)}${list.hasMore ? '+' : ''} ${list.rows.length === 1 && !list.hasMore ? 'future' : 'futures'}`,
      list.newer && h('button', { type: 'button', class: 'small', onclick: toTop }, 'Newer ones have come: to the top'),
      list.rows.length >= ROWS_MAX && ` – that is all this page shows; filter for older ones`,
      !may('submit') && ' – read only'),
    list.rows.length ? rowsInView(list, view, onscroll) : empty(list.hasMore ? 'Loading …' : 'No future is like that.'));
}
