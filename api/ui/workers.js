// workers: the processes, the handlers, those whose program does not start; and a form that submits a task.
import { change, get } from './daemon.js';
import { h } from './dom.js';
import { act, ask, button, empty, facts, futureLink, pre, section, table, when } from './parts.js';
import * as words from './words.js';

function processes(all) {
  const sum = all.reduce((n, w) => n + (w.rss_bytes || 0), 0);
  return section(`Worker processes: ${all.length}, ${words.bytes(sum)}`, table({
    label: 'Worker processes', none: 'No worker process runs.', head: ['#Pid', 'Program', 'Lane', 'State', '#Memory', '#CPU', '#Done', 'Started', 'Task'],
    rows: all.map((w, i) => ({
      key: w.pid || i,
      cells: [w.pid || '–', words.line(w.program), w.lane, w.state, words.bytes(w.rss_bytes), words.seconds(w.cpu), words.number(w.tasks_done), when(w.started_at), w.task ? futureLink(w.task) : '–'],
    })),
  }));
}

function broken(list) {
  if (!list.length) return null;
  return section('Programs that do not start', list.map((x) => h('div', { key: x.name, class: 'broken' },
    h('p', null, h('b', { class: 'failed' }, words.line(x.name)), ' since ', when(x.broken_at), '. It is tried again by itself; its tasks keep their places.'),
    pre(x.last_words || '', `The last words of ${x.name}`))));
}

// ---- handlers ------------------------------------------------------------------------------------

async function pause(x, again) {
  const path = `/v1/handlers/${encodeURIComponent(x.name)}`;
  if (x.paused) {
    await act(() => change('PATCH', path, { paused: false }), `${x.name} goes on.`);
  } else {
    const given = await ask({ title: `Pause ${words.line(x.name)}?`, text: 'What runs goes on; nothing else of it starts.', yes: 'Pause', danger: true,
      fields: [{ name: 'reason', label: 'Reason, for whoever wonders', maxlength: '200' }] });
    if (!given) return;
    await act(() => change('PATCH', path, { paused: true, ...(given.reason ? { reason: given.reason } : {}) }), `${x.name} is paused.`);
  }
  again();
}

// What is typed is JSON where it reads as JSON, else text.
async function submit(x) {
  const given = await ask({
    title: `Submit to ${words.line(x.name)}`, text: words.line(x.description || '', 500), yes: 'Submit',
    fields: [{ name: 'input', label: 'Input: JSON, else text; empty: none', tag: 'textarea', rows: '6', spellcheck: 'false' },
      { name: 'queue', label: 'Queue', placeholder: x.queue }, { name: 'priority', label: 'Priority', type: 'number', min: '-100', max: '100' },
      { name: 'delay', label: 'Delay in seconds', type: 'number', min: '0', step: 'any' }],
  });
  if (!given) return;
  let input = '';
  if (given.input !== '') {
    try {
      JSON.parse(given.input);
      input = `,"input":${given.input}`;
    } catch {
      input = `,"input":${JSON.stringify(given.input)}`;
    }
  }
  const options = { handler: x.name };
  if (given.queue) options.queue = given.queue;
  if (given.priority) options.priority = Number(given.priority);
  if (given.delay) options.delay = Number(given.delay);
  const made = await act(() => change('POST', '/v1/tasks', `${JSON.stringify(options).slice(0, -1)}${input}}`), 'It is submitted.');
  if (made) location.hash = `#/future/${made.id}`;
}

const limitsOf = (l) => Object.entries(l).map(([k, v]) => `${k} ${k === 'memory' || k === 'output' ? words.bytes(v) : k === 'cpu' ? words.seconds(v) : v}`).join(', ');

function handlerRow(x, again) {
  return {
    key: x.name,
    cells: [[h('a', { href: `#/futures?${new URLSearchParams({ handler: x.name })}` }, words.line(x.name)), x.paused && h('span', { class: 'note' }, ` paused${x.reason ? `: ${words.line(x.reason)}` : ''}`), x.broken_at && h('span', { class: 'failed' }, ' does not start')],
      x.kind, x.lane, words.seconds(x.timeout), x.retries, limitsOf(x.limits) || '–', h('span', { class: 'clip', title: words.line(x.description, 500) }, words.line(x.description)),
      h('div', { class: 'buttons' }, button('Submit …', () => submit(x), { small: true, scope: x.scope || 'submit' }),
        button(x.paused ? 'Go on' : 'Pause', () => pause(x, again), { scope: 'admin', small: true }))],
  };
}

// ---- slots ---------------------------------------------------------------------------------------

async function resize(p, again) {
  const given = await ask({ title: `Slots of the lane ${p.lane}`, text: 'For the moment: a restart brings back what is configured.', yes: 'Change',
    fields: [{ name: 'capacity', label: `Slots, 1 to ${p.max}; empty: as configured (${p.configured})`, type: 'number', min: '1', max: String(p.max), value: p.capacity }] });
  if (!given) return;
  await act(() => change('PATCH', `/v1/pools/${p.lane}`, { capacity: given.capacity === '' ? null : Number(given.capacity) }), `The lane ${p.lane} has other slots.`);
  again();
}

function slots(pools, again) {
  return section('Slots', facts(pools.map((p) => [p.lane, [`${p.busy} of ${p.capacity} busy${p.lent ? `, ${p.lent} lent` : ''}${p.unsaved ? `, ${p.unsaved} cannot be saved` : ''} `,
    button('Change …', () => resize(p, again), { scope: 'admin', small: true })]])));
}

export function workers(page) {
  let all = null;
  const again = page.poll(async () => {
    const [w, x, p] = await Promise.all([get('/v1/workers'), get('/v1/handlers'), get('/v1/pools')]);
    all = { workers: w.workers, handlers: x.handlers, pools: p.pools };
  }, 3000);
  return () => (all ? h('div', { class: 'stack' }, h('div', { class: 'headline' }, h('h1', null, 'Workers and handlers')),
    broken(all.handlers.filter((x) => x.broken_at)), slots(all.pools, again), processes(all.workers),
    section('Handlers', table({
      label: 'Handlers', none: '', head: ['Handler', 'Kind', 'Lane', '#Timeout', '#Retries', 'Limits', 'What it does', ''], rows: all.handlers.map((x) => handlerRow(x, again)),
    }))) : empty('Loading …'));
}
