// queues: queues and limits, their pauses, weights and numbers, and who waits for what.
import { change, get, may } from './daemon.js';
import { h } from './dom.js';
import { act, ask, button, confirm, empty, futureLink, section, table, when } from './parts.js';
import * as words from './words.js';

const WAITING = 200; // queued futures whose reasons are counted

const queuePath = (name) => `/v1/queues/${encodeURIComponent(name)}`;
const limitPath = (name) => `/v1/limits/${encodeURIComponent(name)}`;
const rateOf = (r) => (r ? `${words.number(r.tasks)} per ${words.seconds(r.per)}${r.burst > 1 ? `, ${r.burst} at once` : ''}` : '–');
const most = (x) => x.max_running ?? '–';

// ---- who waits for what --------------------------------------------------------------------------

// Futures that wait, by what they wait for.
function groupsOf(list) {
  const groups = new Map();
  for (const f of list) {
    const w = f.waiting_for || { code: f.state === 'queued' ? 'its turn' : f.state };
    const what = w.limit ? `limit ${w.limit}${w.key ? `:${w.key}` : ''}` : w.queue ? `queue ${w.queue}` : w.handler ? `handler ${w.handler}` : '';
    const key = `${w.code} ${what} ${f.queue || 'default'}`;
    const group = groups.get(key) || { key, code: w.code, what, queue: f.queue || 'default', n: 0, oldest: f, message: w.message };
    group.n += 1;
    if (f.created_at < group.oldest.created_at) group.oldest = f;
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => b.n - a.n);
}

function waiting(list) {
  return section(`Who waits for what${list.length === WAITING ? `: the latest ${WAITING}` : ''}`, table({
    label: 'What futures wait for', none: 'Nothing waits.', head: ['Reason', 'What', 'Queue', '#Futures', 'Waits longest', 'Since'],
    rows: groupsOf(list).map((g) => ({
      key: g.key,
      cells: [h('span', { title: words.line(g.message || '') }, g.code.replace(/_/g, ' ')), words.line(g.what || '–'), words.line(g.queue), words.number(g.n), futureLink(g.oldest.id), when(g.oldest.created_at)],
    })),
  }));
}

// ---- queues --------------------------------------------------------------------------------------

async function pause(path, name, isPaused, again) {
  if (isPaused) {
    await act(() => change('PATCH', path, { paused: false }), `${name} goes on.`);
  } else {
    const given = await ask({
      title: `Pause ${name}?`, text: 'What runs goes on; nothing else of it starts.', yes: 'Pause', danger: true,
      fields: [{ name: 'reason', label: 'Reason, for whoever wonders', maxlength: '200' }],
    });
    if (!given) return;
    await act(() => change('PATCH', path, { paused: true, ...(given.reason ? { reason: given.reason } : {}) }), `${name} is paused.`);
  }
  again();
}

const numberOrNull = (text) => (text === '' ? null : Number(text));

function rateFields(rate) {
  return [{ name: 'tasks', label: 'Starts in a time (empty: no rate)', type: 'number', min: '1', value: rate?.tasks ?? '' },
    { name: 'per', label: '… of so many seconds', type: 'number', min: '0.001', step: 'any', value: rate?.per ?? 60 },
    { name: 'burst', label: '… of these at once', type: 'number', min: '1', value: rate?.burst ?? 1 }];
}

const rateFrom = (given) => (given.tasks === '' ? null : { tasks: Number(given.tasks), per: Number(given.per), burst: Number(given.burst || 1) });

async function changeQueue(q, again) {
  const given = await ask({
    title: `Queue ${words.line(q.name)}`, yes: 'Change', text: 'It holds at once, also for what waits.',
    fields: [{ name: 'weight', label: 'Weight: its share of the slots', type: 'number', min: '0.001', max: '1000', step: 'any', value: q.weight, required: true },
      { name: 'max_running', label: 'Running at once, at most (empty: any number)', type: 'number', min: '1', value: q.max_running ?? '' },
      { name: 'age_after', label: 'Seconds of waiting for a point of priority (empty: strict)', type: 'number', min: '0.001', step: 'any', value: q.age_after ?? '' },
      ...rateFields(q.rate)],
  });
  if (!given) return;
  await act(() => change('PATCH', queuePath(q.name), {
    weight: Number(given.weight), max_running: numberOrNull(given.max_running), age_after: numberOrNull(given.age_after), rate: rateFrom(given),
  }), `The queue ${q.name} is changed.`);
  again();
}

async function purge(q, again) {
  const counted = await act(() => change('POST', `${queuePath(q.name)}/purge?dry_run=true&wait=20`));
  if (!counted) return;
  const n = words.number(counted.matched);
  if (!await confirm(`Cancel ${n}?`, `Cancel ${n} futures that wait in the queue ${words.line(q.name)}. This cannot be undone.`, `Cancel ${n}`)) return;
  await act(() => change('POST', `${queuePath(q.name)}/purge?wait=20`), (o) => `${words.number(o.changed)} cancelled.`);
  again();
}

const paused = (x) => x.paused && h('span', { class: 'note', title: x.paused_at || '' }, ` paused${x.reason ? `: ${words.line(x.reason)}` : ''}`);
// Closed until a time, or full until one of those that run has ended.
const closed = (x) => x.closed && h('span', { class: 'note' }, x.opens_at ? [' closed until ', when(x.opens_at)] : ' full');

// Where it runs on more than one node: also on which.
function running(q) {
  const nodes = q.nodes || [];
  return nodes.length > 1 ? `${words.number(q.running)} (${nodes.map((n) => `${words.line(n.name)} ${words.number(n.running)}`).join(', ')})` : words.number(q.running);
}

function queueRow(q, again) {
  return {
    key: q.name,
    cells: [[h('a', { href: `#/futures?${new URLSearchParams({ queue: q.name })}` }, words.line(q.name)), paused(q), closed(q)],
      words.number(q.queued), running(q), words.number(q.scheduled), q.weight, most(q), rateOf(q.rate), `${words.rate(q.started_per_s)}/s`,
      q.wait ? `${words.seconds(q.wait.p50)} / ${words.seconds(q.wait.p95)}` : '–',
      h('div', { class: 'buttons' }, button(q.paused ? 'Go on' : 'Pause', () => pause(queuePath(q.name), `The queue ${q.name}`, q.paused, again), { scope: 'admin', small: true }),
        button('Change …', () => changeQueue(q, again), { scope: 'admin', small: true }),
        button('Purge …', () => purge(q, again), { scope: 'admin', small: true, danger: true, disabled: !(q.queued + q.scheduled) }))],
  };
}

// ---- limits --------------------------------------------------------------------------------------

async function changeLimit(l, again) {
  const given = await ask({
    title: l ? `Limit ${words.line(l.name)}` : 'A new limit', yes: l ? 'Change' : 'Define',
    fields: [...(l ? [] : [{ name: 'name', label: 'Name', required: true, maxlength: '64', pattern: '[A-Za-z0-9._:\\-]+' }]),
      { name: 'max_running', label: 'Running at once, at most (empty: any number)', type: 'number', min: '1', value: l?.max_running ?? '' },
      ...rateFields(l?.rate)],
  });
  if (!given) return;
  const body = { max_running: numberOrNull(given.max_running), rate: rateFrom(given) };
  const name = l ? l.name : given.name;
  await act(() => change(l ? 'PATCH' : 'PUT', limitPath(name), body), `The limit ${name} ${l ? 'is changed' : 'is defined'}.`);
  again();
}

async function close(l, again) {
  if (l.opens_at) {
    await act(() => change('POST', `${limitPath(l.name)}/close`, { seconds: 0 }), `The limit ${l.name} is open.`);
  } else {
    const given = await ask({ title: `Close ${words.line(l.name)}?`, text: 'None of its tasks starts until then.', yes: 'Close', danger: true,
      fields: [{ name: 'seconds', label: 'For so many seconds', type: 'number', min: '1', max: '86400', value: 60, required: true }] });
    if (!given) return;
    await act(() => change('POST', `${limitPath(l.name)}/close`, { seconds: Number(given.seconds) }), `The limit ${l.name} is closed.`);
  }
  again();
}

async function removeLimit(l, again) {
  if (!await confirm(`Remove ${words.line(l.name)}?`, 'Nothing keeps its tasks then.', 'Remove')) return;
  await act(() => change('DELETE', limitPath(l.name)), `The limit ${l.name} is removed.`);
  again();
}

function limitRow(l, again) {
  return {
    key: l.name,
    cells: [[words.line(l.name), closed(l)], words.number(l.running), words.number(l.waiting), most(l), rateOf(l.rate), l.per_key ? `${words.number(l.keys_in_use)} keys` : '–',
      h('div', { class: 'buttons' }, button(l.opens_at ? 'Open' : 'Close …', () => close(l, again), { small: true }),
        button('Change …', () => changeLimit(l, again), { scope: 'admin', small: true }),
        button('Remove', () => removeLimit(l, again), { scope: 'admin', small: true, danger: true }))],
  };
}

export function queues(page) {
  let all = null;
  const again = page.poll(async () => {
    const [q, l, w] = await Promise.all([get('/v1/queues?limit=500'), get('/v1/limits'), get(`/v1/futures?state=queued,scheduled&limit=${WAITING}`)]);
    all = { queues: q.queues, more: q.next_cursor, limits: l.limits, waiting: w.futures };
  }, 3000);
  return () => (all ? h('div', { class: 'stack' }, h('div', { class: 'headline' }, h('h1', null, 'Queues and limits')),
    section('Queues', table({
      label: 'Queues', none: 'No queue has tasks, and nothing is said of one.',
      head: ['Queue', '#Queued', '#Running', '#Scheduled', '#Weight', '#At once', 'Rate', '#Starts', '#Wait p50 / p95', ''], rows: all.queues.map((q) => queueRow(q, again)),
    }), all.more && h('p', { class: 'note' }, 'The first 500, by name.')),
    section('Limits', table({
      label: 'Limits', none: 'No limit is defined.', head: ['Limit', '#Running', '#Waiting', '#At once', 'Rate', 'By key', ''], rows: all.limits.map((l) => limitRow(l, again)),
    }), may('admin') && h('p', null, button('New limit …', () => changeLimit(null, again), { scope: 'admin', small: true }))),
    waiting(all.waiting)) : empty('Loading …'));
}
