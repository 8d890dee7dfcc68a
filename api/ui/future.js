// future: one future, its attempts, what it waits for, what it was given and what came of it.
import { change, futurePath, get, query, Refusal, send } from './daemon.js';
import { h } from './dom.js';
import { act, bar, button, confirm, empty, facts, futureLink, pre, section, state, table, when } from './parts.js';
import * as words from './words.js';

const INPUT_SHOWN = 1 << 20;
const LOG_SHOWN = 256 << 10;

// ---- the timeline --------------------------------------------------------------------------------

// What was when: waiting, then each attempt, then waiting again.
function spans(f) {
  const end = Date.parse(f.finished_at || new Date());
  const attempts = f.attempts?.length ? [...f.attempts] : [];
  const isKnown = attempts.some((a) => a.attempt === f.attempt);
  if (f.started_at && !isKnown && f.attempt) {
    attempts.push({ attempt: f.attempt, state: f.state, started_at: f.started_at, finished_at: f.finished_at, error: f.error });
  }
  const out = [];
  let at = Date.parse(f.created_at);
  for (const a of attempts) {
    if (!a.started_at) continue;
    const from = Date.parse(a.started_at);
    const to = a.finished_at ? Date.parse(a.finished_at) : end;
    if (from > at) out.push({ name: 'waits', kind: 'queued', from: at, to: from });
    out.push({ name: `attempt ${a.attempt}`, kind: a.state, from, to, error: a.error });
    at = Math.max(at, to);
  }
  if (!f.done && f.state !== 'running') out.push({ name: 'waits', kind: f.state, from: at, to: end });
  return out;
}

function timeline(f) {
  const all = spans(f);
  if (!all.length) return null;
  const from = all[0].from;
  const whole = Math.max(1, all[all.length - 1].to - from);
  const said = all.map((s) => `${s.name} ${words.seconds((s.to - s.from) / 1000)}`).join(', then ');
  return section('Timeline', h('div', { class: 'timeline', role: 'img', 'aria-label': said }, all.map((s, i) => h('span', {
    key: i, class: `span ${s.kind}`, title: `${s.name}: ${words.seconds((s.to - s.from) / 1000)}`,
    style: { left: `${((s.from - from) / whole) * 100}%`, width: `${Math.max(0.3, ((s.to - s.from) / whole) * 100)}%` },
  }, s.name))),
  h('p', { class: 'axis' }, h('span', null, when(f.created_at)), h('span', null, words.seconds(whole / 1000)),
    h('span', null, f.finished_at ? when(f.finished_at) : 'now')));
}

function attempts(f) {
  if (!f.attempts?.length) return null;
  return section('Attempts', table({
    label: 'Attempts, oldest first', none: '', head: ['#Attempt', 'State', 'Began', '#Took', 'Error'],
    rows: f.attempts.map((a) => ({
      key: `${a.attempt} ${a.started_at}`,
      cells: [a.attempt, state(a.state), when(a.started_at), words.seconds(words.between(a.started_at, a.finished_at)),
        a.error ? h('details', null, h('summary', null, words.line(`${a.error.code}: ${a.error.message || ''}`)),
          a.error.log && pre(a.error.log, `Log of attempt ${a.attempt}`)) : '–'],
    })),
  }));
}

// ---- what it says --------------------------------------------------------------------------------

function content(value, label, id) {
  if (value && typeof value === 'object' && typeof value.href === 'string' && value.content_type) {
    if (value.text !== undefined) return pre(value.text, label);
    return h('p', null, `${words.line(value.content_type)}, ${words.bytes(Math.floor(value.base64.length * 0.75))}: `,
      button('Save', () => act(() => save(`${futurePath(id)}/result`, `${id}.result`)), { scope: 'read', small: true }));
  }
  return pre(words.pretty(value), label);
}

// Bytes go to a file, never into the page.
async function save(path, name) {
  const url = URL.createObjectURL(new Blob([await (await send('GET', path)).arrayBuffer()], { type: 'application/octet-stream' }));
  const link = Object.assign(document.createElement('a'), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function errorOf(f) {
  const e = f.error;
  if (!e) return null;
  return section('Error', h('p', { class: 'problem' }, h('b', null, e.type ? `${words.line(e.type)} (${words.line(e.code)})` : words.line(e.code)),
    ' ', words.line(e.message || '', 2000)),
  facts([['Exit code', e.exit_code], ['Signal', e.signal], ['Peak memory', e.max_rss && words.bytes(e.max_rss)],
    ['CPU', e.cpu_seconds !== undefined ? words.seconds(e.cpu_seconds) : null],
    ['Killed for memory', e.killed_for_memory === undefined ? null : e.killed_for_memory ? 'yes' : 'no']]),
  e.log && [h('h3', null, 'Traceback and the end of its log'), pre(e.log, 'The end of the log of the last attempt')]);
}

function waits(f) {
  const w = f.waiting_for;
  if (!w) return null;
  const more = Object.entries(w).filter(([k]) => !['code', 'message', 'last_words'].includes(k));
  return section('Why it does not run', h('p', { class: 'why' }, words.line(w.message || w.code, 1000)),
    facts([['Reason', w.code], ...more.map(([k, v]) => [k.replace(/_/g, ' '), k === 'until' || k.endsWith('_at') ? [when(v), ` (${words.ago(v)})`]
      : k === 'id' ? futureLink(v) : words.line(typeof v === 'object' ? JSON.stringify(v) : v)])]),
    w.last_words && [h('h3', null, 'Its last words'), pre(w.last_words, 'The last words of the program')]);
}

const named = (l) => (typeof l === 'string' ? l : `${l.name}:${l.key}`);

function about(f) {
  const queueLink = h('a', { href: `#/futures?${new URLSearchParams({ queue: f.queue || 'default' })}` }, words.line(f.queue || 'default'));
  return section('About', facts([
    ['Id', h('code', null, f.id)], ['Name', f.name && words.line(f.name)], ['Lane', f.lane], ['Queue', queueLink],
    ['Priority', f.priority], ['Fairness key', f.fair_key && words.line(f.fair_key)],
    ['Limits', f.limits?.length ? words.line(f.limits.map(named).join(', ')) : null],
    ['Unique key', f.unique && words.line(f.unique)], ['Schedule', f.schedule && h('a', { href: `#/schedules?name=${encodeURIComponent(f.schedule)}` }, words.line(f.schedule))],
    ['Batch', f.batch && h('a', { class: 'id', href: `#/batch/${f.batch}` }, words.shortId(f.batch))],
    ['Parent', f.parent && futureLink(f.parent)],
    ['Submitted', when(f.created_at)], ['Due', f.due_at && when(f.due_at)], ['Began', f.started_at && when(f.started_at)],
    ['Ended', f.finished_at && when(f.finished_at)],
    ['Waited', f.started_at && words.seconds(words.between(f.created_at, f.started_at))],
    ['Ran', f.started_at && words.seconds(words.between(f.started_at, f.finished_at))],
    ['Attempts', f.attempt || null], ['Delay', f.delay && words.seconds(f.delay)], ['Expires in', f.expires_in && words.seconds(f.expires_in)],
    ['Deadline', f.deadline && words.seconds(f.deadline)], ['Checkpoint', f.checkpoint && `${words.bytes(f.checkpoint.size)}, of attempt ${f.checkpoint.attempt}`],
    ['Trace', f.traceparent && h('code', null, words.line(f.traceparent))],
    ['Callback', f.callback && [words.line(f.callback.url), ' ', state(f.callback.state), ' ', futureLink(f.callback.id),
      f.callback.error && ` ${words.line(f.callback.error.message || f.callback.error.code)}`]],
  ]));
}

function childrenOf(list) {
  if (!list?.length) return null;
  return section('Tasks that it has submitted', table({
    label: 'Children', none: '', head: ['Future', 'Handler', 'State', 'Submitted'],
    rows: list.map((c) => ({ key: c.id, cells: [futureLink(c.id), words.line(c.handler), state(c.state), when(c.created_at)] })),
  }), list.length === 100 && h('p', null, h('a', { href: `#/futures?parent=${list[0].parent}` }, 'All of them')));
}

// ---- what can be done ----------------------------------------------------------------------------

const CARRIED = ['priority', 'queue', 'fair_key', 'limits', 'expires_in', 'deadline', 'lane'];

// The same input as a new task. JSON stays as it was written; other bytes are the body.
async function runAgain(f) {
  const answer = await send('GET', `${futurePath(f.id)}/input`);
  const type = answer.headers.get('Content-Type') || 'application/octet-stream';
  const input = await answer.arrayBuffer();
  const handlers = (await get('/v1/handlers')).handlers;
  const options = Object.fromEntries(CARRIED.filter((k) => f[k] !== undefined).map((k) => [k, f[k]]));
  if (!handlers.find((x) => x.name === f.handler)?.any_lane) delete options.lane;
  if (!type.startsWith('application/json') || !input.byteLength) {
    delete options.limits; // has no place in a query
    const made = await send('POST', `/v1/tasks/${encodeURIComponent(f.handler)}${query(options)}`, { body: input, headers: { 'Content-Type': type } });
    return made.json();
  }
  const head = JSON.stringify({ handler: f.handler, ...options });
  return change('POST', '/v1/tasks', `${head.slice(0, -1)},"input":${new TextDecoder().decode(input)}}`);
}

function actions(f, again) {
  const post = (what, said) => act(() => change('POST', `${futurePath(f.id)}/${what}`), said).then(again);
  const remove = async () => {
    if (!await confirm('Delete this future?', 'Its result and its log go with it.', 'Delete')) return;
    const done = await act(async () => { await change('DELETE', futurePath(f.id)); return true; }, 'It is deleted.');
    if (done) location.hash = '#/futures';
  };
  const rerun = async () => {
    const made = await act(() => runAgain(f), 'Submitted again.');
    if (made) location.hash = `#/future/${made.id}`;
  };
  const isPromise = f.handler === 'promise';
  return h('div', { class: 'buttons' },
    !f.done && button('Cancel', () => post('cancel', 'It is cancelled.'), { danger: true }),
    !f.done && button('Cancel with its children', () => post('cancel?tree=true', 'It is cancelled, with all that it has submitted.'), { danger: true }),
    f.done && f.state !== 'succeeded' && button('Retry', () => post('retry', 'It is queued again.')),
    f.done && !isPromise && button('Run again with the same input', rerun),
    f.done && button('Delete', remove, { scope: 'admin', danger: true }));
}

// ---- reading it ----------------------------------------------------------------------------------

// Its input does not change: read once. Text that is too long is cut, bytes are not shown.
async function readInput(id, signal) {
  const answer = await send('GET', `${futurePath(id)}/input`, { signal });
  const type = answer.headers.get('Content-Type') || '';
  const all = await answer.arrayBuffer();
  const text = new TextDecoder('utf-8', { fatal: false }).decode(all.slice(0, INPUT_SHOWN));
  const isText = /^(text\/|application\/json)/.test(type) || (!text.includes('\ufffd') && !text.includes('\0'));
  return { type, size: all.byteLength, text: isText ? text : null };
}

// Follows the log with waits, as it grows.
async function followLog(page, id, log) {
  while (!page.signal.aborted) {
    if (document.hidden) {
      await new Promise((go) => { document.addEventListener('visibilitychange', go, { once: true, signal: page.signal }); });
      continue;
    }
    const answer = await send('GET', `${futurePath(id)}/log?from=${log.next}&wait=10`, { signal: page.signal });
    const text = await answer.text();
    const begin = Number(answer.headers.get('Futured-Log-Begin'));
    if (begin > log.next && log.next > 0) log.text += '\n… (text between was not read in time)\n';
    log.next = Number(answer.headers.get('Futured-Log-Next'));
    log.state = answer.headers.get('Futured-State');
    log.text = (log.text + text).slice(-LOG_SHOWN);
    page.draw();
    const isDone = ['succeeded', 'failed', 'cancelled'].includes(log.state);
    if (isDone && !text) return;
    if (!isDone && log.state !== 'running' && !text) await new Promise((go) => { setTimeout(go, 1500); });
  }
}

function inputOf(f, input) {
  if (!input) return null;
  if (!input.size) return section('Input', empty('None: 0 bytes.'));
  return section('Input', h('p', { class: 'note' }, `${words.line(input.type)}, ${words.bytes(input.size)} `,
    button('Save', () => act(() => save(`${futurePath(f.id)}/input`, `${f.id}.input`)), { scope: 'read', small: true })),
  input.text !== null && pre(input.text, 'Input'));
}

export function future(page) {
  const id = page.params[0];
  const log = { next: 0, text: '', state: '' };
  let f = null;
  let etag = '';
  let input = null;
  let children = null;
  let gone = '';
  let following = null;
  const follow = () => {
    following ??= followLog(page, id, log).catch(() => {}).then(() => { following = null; });
  };
  let rounds = 0;
  const again = page.poll(async () => {
    rounds += 1;
    if (f?.done && etag && rounds % 5) return; // it changes no more, unless somebody retries it
    try {
      const wait = f && !f.done ? '?wait=10' : '';
      const answer = await send('GET', futurePath(id) + wait, { signal: page.signal, headers: etag ? { 'If-None-Match': etag } : {} });
      if (answer.status !== 304) {
        f = await answer.json();
        etag = answer.headers.get('ETag') || '';
      }
      gone = '';
    } catch (e) {
      if (!(e instanceof Refusal) || e.status !== 404) throw e;
      gone = e.message;
      return;
    }
    document.title = `${words.line(f.handler)} ${f.state} · futured`;
    page.draw();
    if (!f.done || log.state !== f.state) follow();
    input ??= await readInput(id, page.signal);
    children = (await get(`/v1/futures?parent=${id}&limit=100`, { signal: page.signal })).futures;
  }, 1000);
  return () => {
    if (gone) return section('Not here', h('p', null, gone));
    if (!f) return empty('Loading …');
    return h('div', { class: 'future' },
      h('div', { class: 'headline' }, h('h1', null, words.line(f.handler), ' ', state(f.state)), actions(f, () => { etag = ''; again(); })),
      f.progress && !f.done && section('Progress', f.progress.fraction !== undefined && bar(f.progress.fraction, 'Progress'),
        h('p', null, f.progress.fraction !== undefined && words.percent(f.progress.fraction), ' ', words.line(f.progress.message || '', 500))),
      waits(f), errorOf(f),
      f.result !== undefined && section('Result', content(f.result, 'Result', f.id)),
      timeline(f), attempts(f),
      h('div', { class: 'columns' }, about(f), inputOf(f, input)),
      log.text && section(f.done ? 'Log' : 'Log, live', pre(log.text, 'Log')), childrenOf(children));
  };
}
