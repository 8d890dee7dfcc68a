// overview: how it does now, and during the last hour.
import { chart } from './charts.js';
import { change, get, query } from './daemon.js';
import { h } from './dom.js';
import { act, ask, bar, button, futureLink, section, state, table, when } from './parts.js';
import * as words from './words.js';

const POINTS = 360;
const LANES = ['io', 'cpu'];

// Adds the points of `more` that are behind the last one of `all`.
function append(all, more) {
  if (!all) return more;
  const from = more.at.findIndex((t) => t > all.at[all.at.length - 1]);
  if (from < 0) return all;
  const join = (a, b) => [...a, ...b.slice(from)].slice(-POINTS);
  return {
    step: more.step, at: join(all.at, more.at),
    series: Object.fromEntries(Object.keys(more.series).map((k) => [k, join(all.series[k], more.series[k])])),
  };
}

async function readHistory(before) {
  const points = before && Date.now() / 1000 - before.at[before.at.length - 1] < 50 ? 5 : POINTS;
  const came = await get(`/v1/history?points=${points}`);
  const isNext = before && before.at.length && points < POINTS;
  return append(isNext ? before : null, { ...came, at: came.at.map((t) => Date.parse(t) / 1000) });
}

// Per second between two looks at a counter.
const speed = (now, then, read) => (then ? Math.max(0, read(now.stats) - read(then.stats)) / ((now.at - then.at) / 1000) : null);

const ended = (s) => s.tasks.succeeded + s.tasks.failed + s.tasks.cancelled;
const inLanes = (s, name) => LANES.reduce((n, lane) => n + (s.tasks[lane][name] || 0), 0);
const lastOf = (all, name) => all?.series[name].findLast((v) => v !== null) ?? null;

function tile(name, value, more, href) {
  const content = [h('span', { class: 'name' }, name), h('b', null, value), h('span', { class: 'more' }, more || '\u00a0')];
  return href ? h('a', { class: 'tile', href }, content) : h('div', { class: 'tile' }, content);
}

function tiles(now, then, past) {
  const s = now.stats;
  const pair = (name) => `p95 ${words.seconds(lastOf(past, `${name}_p95`))}`;
  return h('div', { class: 'tiles' },
    tile('In', `${words.rate(speed(now, then, (x) => x.tasks.submitted))}/s`, `${words.number(s.tasks.submitted)} since the start`),
    tile('Out', `${words.rate(speed(now, then, ended))}/s`, `${words.number(ended(s))} ended`),
    tile('Queued', words.number(inLanes(s, 'queued')), `${words.number(inLanes(s, 'scheduled'))} scheduled`, '#/futures?state=queued'),
    tile('Running', words.number(inLanes(s, 'running')),
      `of ${words.number(LANES.reduce((n, l) => n + (s.pools?.[l].capacity || 0), 0))} slots`, '#/futures?state=running'),
    tile('Wait', words.seconds(lastOf(past, 'wait_p50')), pair('wait')),
    tile('Run', words.seconds(lastOf(past, 'run_p50')), pair('run')),
    tile('Failed', words.number(s.tasks.failed), 'since the start', '#/futures?state=failed'),
    tile('Disk', words.bytes(s.store.file_bytes), `log ${words.bytes(s.store.log_bytes)}`));
}

function charts(past, point, onPoint) {
  if (!past?.at.length) return h('p', { class: 'empty' }, 'The charts begin with the first ten seconds.');
  const line = (name, key, color) => ({ name, values: past.series[key], color });
  const one = (title, say, ...lines) => chart({ title, at: past.at, lines, say, point, onPoint });
  const slots = (v) => (v === null ? '–' : String(v));
  return h('div', { class: 'charts' },
    one('Rates per second', words.rate, line('in', 'submitted_per_s', 1), line('out', 'succeeded_per_s', 2),
      line('failed', 'failed_per_s', 4)),
    one('Waiting', words.number, line('queued', 'queued', 3), line('scheduled', 'scheduled', 5)),
    one('Busy slots', slots, line('io', 'busy_io', 1), line('cpu', 'busy_cpu', 2), line('workers', 'workers', 5)),
    one('Wait', words.seconds, line('p50', 'wait_p50', 1), line('p95', 'wait_p95', 3)),
    one('Run', words.seconds, line('p50', 'run_p50', 1), line('p95', 'run_p95', 3)),
    one('Disk', words.bytes, line('database', 'file_bytes', 1), line('log', 'log_bytes', 3)));
}

async function pause(pool, again) {
  if (pool.paused) {
    await act(() => change('PATCH', `/v1/pools/${pool.lane}`, { paused: false }), `The lane ${pool.lane} goes on.`);
  } else {
    const given = await ask({
      title: `Pause the lane ${pool.lane}?`, text: 'What runs goes on; nothing else starts.', yes: 'Pause', danger: true,
      fields: [{ name: 'reason', label: 'Reason, for whoever wonders', maxlength: '200' }],
    });
    if (!given) return;
    const body = given.reason ? { paused: true, reason: given.reason } : { paused: true };
    await act(() => change('PATCH', `/v1/pools/${pool.lane}`, body), `The lane ${pool.lane} is paused.`);
  }
  again();
}

function lanes(pools, again) {
  return section('Slots', table({
    label: 'Slots by lane', none: 'This daemon runs nothing itself.', head: ['Lane', 'Slots', '#Busy', '#Queued', '#Started', ''],
    rows: pools.map((p) => ({
      key: p.lane,
      cells: [p.lane, bar(p.busy / p.capacity, `Busy slots of ${p.lane}`, p.paused ? 'off' : ''), `${p.busy} / ${p.capacity}`,
        words.number(p.queued), words.number(p.started),
        [p.paused && h('span', { class: 'note' }, `paused${p.reason ? `: ${words.line(p.reason)}` : ''} `),
          button(p.paused ? 'Go on' : 'Pause', () => pause(p, again), { scope: 'admin', small: true })]],
    })),
  }));
}

function workers(all) {
  const sorted = [...all].sort((a, b) => (b.rss_bytes || 0) - (a.rss_bytes || 0));
  const sum = all.reduce((n, w) => n + (w.rss_bytes || 0), 0);
  return section(`Workers: ${all.length}, ${words.bytes(sum)}`, table({
    label: 'Worker processes by memory', none: 'No worker process runs.', head: ['Program', 'State', '#Memory', '#CPU', '#Done', 'Task'],
    rows: sorted.slice(0, 8).map((w) => ({
      key: w.pid,
      cells: [words.line(w.program), w.state, words.bytes(w.rss_bytes), words.seconds(w.cpu), words.number(w.tasks_done),
        w.task ? futureLink(w.task) : '–'],
    })),
  }));
}

function failures(groups) {
  return section('Failures of the last hour', table({
    label: 'Failures by handler and code', none: 'Nothing that was submitted in the last hour has failed.',
    head: ['Handler', 'Code', '#Count', 'Latest', 'Message'],
    rows: groups.slice(0, 6).map((g) => ({
      key: `${g.handler} ${g.code}`,
      cells: [words.line(g.handler), h('a', { href: `#/futures?${new URLSearchParams({ state: 'failed', handler: g.handler, code: g.code })}` }, words.line(g.code)),
        words.number(g.count), when(g.last_at), h('span', { class: 'clip' }, words.line(g.message))],
    })),
  }));
}

function latest(list) {
  return section('Latest', table({
    label: 'The latest futures', none: 'Nothing was submitted yet.', head: ['Future', 'Handler', 'State', 'Submitted'],
    rows: list.map((f) => ({
      key: f.id, cells: [futureLink(f.id), words.line(f.handler), state(f.state), when(f.created_at)],
    })),
  }));
}

export function overview(page) {
  let now = null;
  let then = null;
  let past = null;
  let rest = null;
  let failed = null;
  let point = null;
  page.poll(async () => {
    const stats = await get('/v1/stats', { signal: page.signal });
    if (!now || Date.now() - now.at > 1000) then = now;
    now = { at: Date.now(), stats };
  }, 2000);
  const again = page.poll(async () => {
    const [pools, processes, list] = await Promise.all([get('/v1/pools'), get('/v1/workers'), get('/v1/futures?limit=6')]);
    rest = { pools: pools.pools, workers: processes.workers, latest: list.futures };
  }, 5000);
  page.poll(async () => { // counting them is the daemon's work: only when there are others
    const count = now?.stats.tasks.failed;
    if (failed && count === failed.count) return;
    const after = new Date(Date.now() - 3600000).toISOString();
    failed = { count, groups: (await get(`/v1/failures${query({ limit: 6, after })}`)).failures };
  }, 20000);
  page.poll(async () => { past = await readHistory(past); }, 10000);
  const onPoint = (i) => {
    point = i;
    page.draw();
  };
  return () => h('div', { class: 'overview' }, h('h1', { class: 'unseen' }, 'Overview'),
    now?.stats.store.health !== undefined && now.stats.store.health !== 'ok'
      && h('p', { class: 'error', role: 'alert' }, `The store fails: ${now.stats.store.health}. Nothing can be submitted.`),
    now ? tiles(now, then, past) : h('div', { class: 'tiles' }), charts(past, point, onPoint),
    rest && h('div', { class: 'columns' }, lanes(rest.pools, again), workers(rest.workers), failures(failed?.groups || []), latest(rest.latest)));
}
