// batches: the list of them, and one batch with its graph.
import { change, get, query, Refusal } from './daemon.js';
import { h } from './dom.js';
import { graph } from './graph.js';
import { act, bar, button, confirm, empty, facts, futureLink, section, state, table, when } from './parts.js';
import * as words from './words.js';

const SHOWN = 50;
const MOST = 1000;
const GRAPH_MAX = 200; // nodes that are drawn

const batchLink = (id) => h('a', { class: 'id', href: `#/batch/${id}`, title: id }, words.shortId(id));
const path = (id) => `/v1/batches/${encodeURIComponent(id)}`;

// Succeeded, failed and so on as parts of one bar.
function parts(b) {
  const said = words.STATES.filter((s) => b.counts[s]).map((s) => `${b.counts[s]} ${s}`).join(', ');
  return h('span', { class: 'parts', role: 'img', 'aria-label': said, title: said },
    ['succeeded', 'failed', 'cancelled', 'running'].map((s) => h('i', {
      class: s, style: { width: `${(b.counts[s] / Math.max(1, b.total)) * 100}%` },
    })));
}

const eta = (b) => (b.done ? 'done' : b.eta === null ? '–' : words.seconds(b.eta));

function row(b) {
  return {
    key: b.id,
    cells: [batchLink(b.id), parts(b), words.number(b.finished), words.number(b.total), words.number(b.counts.failed),
      b.done ? '–' : `${words.rate(b.rate)}/s`, eta(b), when(b.created_at)],
  };
}

export function batches(page) {
  let list = null;
  let cursor = null; // of the page behind what is shown; null: there is none
  let wanted = SHOWN;
  let which = page.query.done || '';
  const again = page.poll(async () => {
    const answer = await get(`/v1/batches${query({ limit: wanted, done: which })}`, { signal: page.signal });
    list = answer.batches;
    cursor = answer.next_cursor;
  }, 5000);
  const choose = (event) => {
    which = event.target.value;
    page.setQuery({ done: which });
    again();
  };
  const more = () => {
    wanted = Math.min(MOST, wanted * 4);
    again();
  };
  const open = (event) => {
    event.preventDefault();
    const id = event.target.elements.batch.value.trim();
    if (id) location.hash = `#/batch/${encodeURIComponent(id)}`;
  };
  return () => h('div', { class: 'stack' }, h('div', { class: 'headline' }, h('h1', null, 'Batches'),
    h('form', { class: 'inline', onsubmit: open }, h('label', null, 'Open by id', h('input', { name: 'batch', type: 'search', autocomplete: 'off' })),
      h('label', null, 'Show', h('select', { name: 'done', value: which, onchange: choose },
        h('option', { value: '' }, 'all'), h('option', { value: 'false' }, 'unfinished'), h('option', { value: 'true' }, 'done'))),
      h('button', { type: 'submit' }, 'Open'))),
  section('Batches, newest first', list ? table({
    label: 'Batches, newest first', none: 'There is no batch.',
    head: ['Batch', 'Progress', '#Ended', '#Of', '#Failed', '#Rate', '#Left', 'Submitted'], rows: list.map(row),
  }) : empty('Loading …'), cursor && wanted < MOST && button('Show more', more, { scope: 'read' })));
}

function members(id, list) {
  return section('Latest members', table({
    label: 'Members', none: 'None is kept.', head: ['Future', 'Name', 'Handler', 'State', '#Ran', 'Error'],
    rows: list.map((f) => ({
      key: f.id,
      cells: [futureLink(f.id), words.line(f.name || ''), words.line(f.handler), state(f.state),
        f.started_at ? words.seconds(words.between(f.started_at, f.finished_at)) : '–',
        h('span', { class: 'clip' }, f.error ? words.line(`${f.error.code}: ${f.error.message || ''}`) : '')],
    })),
  }), h('p', null, h('a', { href: `#/futures?batch=${id}` }, 'All of them')));
}

function drawn(shape) {
  if (!shape) return null;
  if (!shape.edges.length) return null;
  if (shape.nodes.length > GRAPH_MAX) {
    return section('Graph', empty(`It has ${words.number(shape.nodes.length)} tasks; up to ${GRAPH_MAX} are drawn. For Graphviz: ?format=dot.`));
  }
  return section('Graph', graph(shape));
}

export function batch(page) {
  const id = page.params[0] || '';
  let b = null;
  let list = [];
  let shape = null;
  let gone = '';
  const again = page.poll(async () => {
    try {
      if (b?.done && shape) {
        const now = await get(path(id), { signal: page.signal });
        if (now.done && now.finished_at === b.finished_at) return;
      }
      b = await get(path(id), { signal: page.signal });
      list = (await get(`/v1/futures?batch=${encodeURIComponent(id)}&limit=20`, { signal: page.signal })).futures;
      if (b.total <= GRAPH_MAX || !shape) shape = await get(`${path(id)}/graph`, { signal: page.signal });
      gone = '';
    } catch (e) {
      if (!(e instanceof Refusal) || e.status !== 404) throw e;
      gone = e.message;
    }
  }, 2000);
  const cancel = async () => {
    const left = b.total - b.finished;
    if (!await confirm(`Cancel ${words.number(left)}?`, 'All that is unfinished of this batch is cancelled.', `Cancel ${words.number(left)}`)) return;
    await act(() => change('POST', `${path(id)}/cancel`), 'It is being cancelled.');
    again();
  };
  return () => {
    if (gone) return section('Not here', h('p', null, gone));
    if (!b) return empty('Loading …');
    return h('div', { class: 'stack' },
      h('div', { class: 'headline' }, h('h1', null, 'Batch ', h('span', { class: 'id' }, words.shortId(b.id)), ' ',
        b.cancelling && h('span', { class: 'note' }, 'is being cancelled')),
      h('div', { class: 'buttons' }, !b.done && button('Cancel the rest', cancel, { danger: true }))),
      section('Progress', bar(b.progress, 'Progress of the batch', b.done ? 'good' : ''), facts([
        ['Ended', `${words.number(b.finished)} of ${words.number(b.total)}, ${words.percent(b.progress)}`],
        ['Left', eta(b)], ['Rate', `${words.rate(b.rate)}/s`],
        ...words.STATES.filter((s) => b.counts[s]).map((s) => [s, h('a', { href: `#/futures?${new URLSearchParams({ batch: b.id, state: s })}` }, words.number(b.counts[s]))]),
        ['Submitted', when(b.created_at)], ['Finished', b.finished_at && when(b.finished_at)], ['Fail fast', b.fail_fast ? 'yes' : null],
        ['Then', b.then && [futureLink(b.then.id), ' ', state(b.then.state)]],
        ['Callback', b.callback && [words.line(b.callback.url), ' ', state(b.callback.state)]]])),
      drawn(shape), members(b.id, list));
  };
}
