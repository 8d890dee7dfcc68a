// schedules: when tasks are due, what became of the latest, run now, pause.
import { change, get } from './daemon.js';
import { h } from './dom.js';
import { act, button, confirm, empty, facts, futureLink, pre, section, state, table, when } from './parts.js';
import * as words from './words.js';

const path = (name) => `/v1/schedules/${encodeURIComponent(name)}`;
const ruleOf = (d) => (d.cron ? `cron ${d.cron}` : d.every ? `every ${words.seconds(d.every)}` : d.rrule || '');

// A time as the schedule's zone has it, with its offset.
const inItsZone = (t) => words.line(t.replace(/T(\d\d:\d\d:\d\d)(\.\d+)?/, ' $1 '));

async function runNow(s, again) {
  const made = await act(() => change('POST', `${path(s.name)}/run`), `${s.name} runs now.`);
  if (made) again();
  return made;
}

async function pause(s, again) {
  await act(() => change('PATCH', path(s.name), { paused: !s.paused }), `${s.name} ${s.paused ? 'goes on' : 'is paused'}.`);
  again();
}

async function remove(s, again) {
  if (!await confirm(`Remove ${words.line(s.name)}?`, 'Its futures stay.', 'Remove')) return;
  await act(() => change('DELETE', path(s.name)), `${s.name} is removed.`);
  again();
}

function row(s, chosen, choose, again) {
  const d = s.definition;
  return {
    key: s.name, class: s.name === chosen && 'chosen',
    cells: [h('button', { type: 'button', class: 'link', 'aria-expanded': String(s.name === chosen), onclick: () => choose(s.name) }, words.line(s.name)),
      words.line(ruleOf(d)), words.line(d.timezone || 'UTC'), words.line(d.task?.handler),
      s.paused ? h('span', { class: 'note' }, 'paused') : s.next_at ? [when(s.next_at), ` (${words.ago(s.next_at)})`] : '–', s.source,
      h('div', { class: 'buttons' }, button('Run now', () => runNow(s, again), { small: true }),
        button(s.paused ? 'Go on' : 'Pause', () => pause(s, again), { small: true }),
        s.source === 'api' && button('Remove', () => remove(s, again), { small: true, danger: true }))],
  };
}

function one(s) {
  return section(words.line(s.name), facts([['Rule', words.line(ruleOf(s.definition))], ['Overlap', s.definition.overlap], ['Catches up', s.definition.catch_up && words.line(JSON.stringify(s.definition.catch_up))],
    ['Next', s.next?.length ? s.next.map((t) => h('div', { key: t }, inItsZone(t))) : '–']]),
  h('h3', null, 'Latest runs'), table({
    label: 'Latest runs', none: 'It was not due yet.', head: ['At', 'Outcome', 'Future', 'State'],
    rows: (s.runs || []).map((r) => ({
      key: `${r.at} ${r.future || r.outcome}`,
      cells: [when(r.at), `${r.outcome}${r.manual ? ', by hand' : ''}${r.reason ? `: ${r.reason}` : ''}`, r.future ? futureLink(r.future) : '–', r.state ? state(r.state) : '–'],
    })),
  }), h('h3', null, 'Definition'), pre(words.pretty(s.definition), 'Definition'),
  h('p', null, h('a', { href: `#/futures?${new URLSearchParams({ schedule: s.name })}` }, 'All its futures')));
}

export function schedules(page) {
  let list = null;
  let chosen = page.query.name || '';
  let detail = null;
  const again = page.poll(async () => {
    const answer = await get('/v1/schedules?limit=500', { signal: page.signal });
    list = answer.schedules;
    if (chosen && !list.some((s) => s.name === chosen)) chosen = '';
    detail = chosen ? await get(path(chosen), { signal: page.signal }) : null;
  }, 3000);
  const choose = (name) => {
    chosen = name === chosen ? '' : name;
    detail = null;
    page.setQuery({ name: chosen });
    again();
    page.draw();
  };
  return () => (list ? h('div', { class: 'stack' }, h('div', { class: 'headline' }, h('h1', null, 'Schedules')),
    section('Schedules', table({
      label: 'Schedules by name', none: 'There is no schedule: PUT /v1/schedules/NAME makes one.',
      head: ['Name', 'Rule', 'Zone', 'Handler', 'Next', 'From', ''], rows: list.map((s) => row(s, chosen, choose, again)),
    })), detail && one(detail)) : empty('Loading …'));
}
