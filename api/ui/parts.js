// parts: pieces that several pages are made of, and dialogs.
import { may, Refusal } from './daemon.js';
import { draw, h } from './dom.js';
import * as words from './words.js';

export const state = (name) => h('span', { class: `state ${name}` }, name);

export const futureLink = (id, text) => h('a', { class: 'id', href: `#/future/${id}`, title: id }, text || words.shortId(id));

export const when = (text) => h('time', { datetime: text || '', title: text || '' }, words.time(text));

export const empty = (text) => h('p', { class: 'empty' }, text);

// A table with a head; rows are arrays of cells, or {key, cells, …props}.
export function table({ head, rows, label, none, classes }) {
  if (!rows.length) return empty(none);
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label },
    h('table', { class: classes },
      h('thead', null, h('tr', null, head.map((t) => h('th', { scope: 'col', class: t.startsWith('#') && 'n' },
        t.replace(/^#/, '') || h('span', { class: 'unseen' }, 'Actions'))))),
      h('tbody', null, rows.map(({ key, cells, ...rest }) => h('tr', { key, ...rest },
        cells.map((cell, i) => h('td', { class: head[i]?.startsWith('#') && 'n' }, cell)))))));
}

export function section(title, ...content) {
  return h('section', { class: 'card' }, h('h2', null, title), content);
}

export const facts = (pairs) => h('dl', { class: 'facts' }, pairs.filter(([, v]) => v !== null && v !== undefined && v !== false)
  .map(([name, value]) => h('div', { key: name }, h('dt', null, name), h('dd', null, value))));

export function bar(part, label, kind) {
  const width = `${Math.max(0, Math.min(1, part || 0)) * 100}%`;
  return h('span', {
    class: `bar ${kind || ''}`, role: 'progressbar', 'aria-label': label, 'aria-valuemin': '0', 'aria-valuemax': '100',
    'aria-valuenow': String(Math.round((part || 0) * 100)),
  }, h('i', { style: { width } }));
}

// A button of what needs a scope: whoever lacks the scope sees that it is so.
export function button(text, onclick, { scope = 'submit', danger, title, disabled, small } = {}) {
  const allowed = may(scope);
  return h('button', {
    type: 'button', class: [danger && 'danger', small && 'small'].filter(Boolean).join(' '), onclick,
    disabled: disabled || !allowed, title: allowed ? title : `This needs a token with the scope “${scope}”.`,
  }, text);
}

export const pre = (text, label) => h('pre', { tabindex: '0', 'aria-label': label }, words.tame(text));

// ---- messages ------------------------------------------------------------------------------------

const toasts = [];
const showToasts = () => draw(document.getElementById('toasts'), toasts.map((t) => h('p', { key: t.key, class: t.kind }, t.text)));

export function say(text, kind = 'done') {
  const toast = { text: words.line(text, 400), kind, key: Math.random() };
  toasts.push(toast);
  if (toasts.length > 4) toasts.shift();
  showToasts();
  setTimeout(() => {
    if (toasts.includes(toast)) toasts.splice(toasts.indexOf(toast), 1);
    showToasts();
  }, kind === 'failed' ? 9000 : 4000);
}

// Runs what a button does, and says how it went.
export async function act(what, done) {
  try {
    const result = await what();
    if (done) say(typeof done === 'function' ? done(result) : done);
    return result;
  } catch (e) {
    say(e instanceof Refusal || e instanceof Error ? e.message : String(e), 'failed');
    return undefined;
  }
}

// ---- dialogs -------------------------------------------------------------------------------------

// Shows fields and two buttons; resolves to the values, or to null. fields: [{name, label, type, …}].
export function ask({ title, text, fields = [], yes, danger, no = 'Cancel' }) {
  const host = document.createElement('dialog');
  document.getElementById('dialogs').append(host);
  return new Promise((resolve) => {
    const close = (value) => {
      host.close();
      host.remove();
      resolve(value);
    };
    const submit = (event) => {
      event.preventDefault();
      close(Object.fromEntries([...new FormData(event.target)].map(([k, v]) => [k, v])));
    };
    const field = ({ name, label, tag = 'input', ...props }) => h('label', { key: name }, label, h(tag, { name, ...props }));
    host.setAttribute('aria-labelledby', 'dialog-title');
    draw(host, h('form', { onsubmit: submit }, h('h2', { id: 'dialog-title' }, title),
      (Array.isArray(text) ? text : [text]).filter(Boolean).map((t) => h('p', null, t)), fields.map(field),
      h('div', { class: 'buttons' }, no && h('button', { type: 'button', onclick: () => close(null) }, no),
        h('button', { type: 'submit', class: danger ? 'danger primary' : 'primary' }, yes))));
    host.addEventListener('cancel', (event) => {
      event.preventDefault();
      if (no) close(null);
    });
    host.showModal();
    (host.querySelector('input, textarea') || host.querySelector('button[type=submit]')).focus();
  });
}

export const confirm = (title, text, yes, danger = true) => ask({ title, text, yes, danger, no: 'Not now' });
