// failures: failed futures in groups, and what to do with a group.
import { get, query } from './daemon.js';
import { h } from './dom.js';
import { changeAll } from './futures.js';
import { button, empty, futureLink, section, table, when } from './parts.js';
import * as words from './words.js';

export function failures(page) {
  let answer = null;
  let handler = page.query.handler || '';
  const again = page.poll(async () => {
    answer = await get(`/v1/failures${query({ handler, limit: 200 })}`, { signal: page.signal });
  }, 10000);
  const filterOf = (g) => ({ state: ['failed'], handler: g.handler, code: g.code });
  const link = (g) => `#/futures?${new URLSearchParams({ state: 'failed', handler: g.handler, code: g.code })}`;
  const many = (operation, g) => changeAll(operation, filterOf(g), `the failures “${words.line(g.code)}” of ${words.line(g.handler)}`).then(again);
  const narrow = (event) => {
    handler = event.target.value.trim();
    page.setQuery({ handler });
    again();
  };
  const row = (g) => ({
    key: `${g.handler} ${g.code}`,
    cells: [words.line(g.handler), h('a', { href: link(g) }, words.line(g.code)), words.number(g.count), when(g.first_at), when(g.last_at),
      [futureLink(g.example), ' ', h('span', { class: 'clip' }, words.line(g.message))],
      h('div', { class: 'buttons' }, button('Retry all …', () => many('retry', g), { small: true }),
        button('Delete all …', () => many('delete', g), { scope: 'admin', danger: true, small: true }))],
  });
  return () => h('div', { class: 'stack' }, h('div', { class: 'headline' }, h('h1', null, 'Failures'),
    h('label', null, 'Handler', h('input', { type: 'search', name: 'handler', value: handler, onchange: narrow, autocomplete: 'off' }))),
  section(answer ? answer.groups === 1 ? 'One group' : `${words.number(answer.groups)} groups` : 'Groups', answer ? table({
    label: 'Failures by handler and code', none: 'Nothing that is kept has failed.',
    head: ['Handler', 'Code', '#Count', 'First', 'Latest', 'Example', ''], rows: answer.failures.map(row),
  }) : empty('Loading …'), answer && !answer.complete && h('p', { class: 'note' }, 'There are more: the newest 100,000 futures that failed or were cancelled were counted.')));
}
