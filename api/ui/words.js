// words: numbers, times and names as people read them. Pure.

const locale = 'en';
const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const day = new Intl.DateTimeFormat(locale, { month: 'short', day: 'numeric' });

export const STATES = ['scheduled', 'queued', 'running', 'succeeded', 'failed', 'cancelled'];

export const number = (n) => (n === null || n === undefined ? '–' : whole.format(n));

export function rate(n) {
  if (n === null || n === undefined) return '–';
  return n >= 100 ? whole.format(n) : n >= 10 ? n.toFixed(1) : n > 0 ? n.toFixed(2) : '0';
}

export function seconds(s) {
  if (s === null || s === undefined || Number.isNaN(s)) return '–';
  if (s < 0.001) return s === 0 ? '0 s' : `${Math.round(s * 1e6)} µs`;
  if (s < 1) return `${s < 0.01 ? (s * 1000).toFixed(1) : Math.round(s * 1000)} ms`;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.floor(s)} s`;
  const two = (big, unit, small, other) => (small ? `${big} ${unit} ${small} ${other}` : `${big} ${unit}`);
  if (s < 3600) return two(Math.floor(s / 60), 'min', Math.floor(s % 60), 's');
  if (s < 86400) return two(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min');
  return two(Math.floor(s / 86400), 'd', Math.floor((s % 86400) / 3600), 'h');
}

export function bytes(n) {
  if (n === null || n === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  let value = n;
  while (value >= 1024 && i < units.length - 1) {
    value /= 1024;
    i += 1;
  }
  return `${i === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[i]}`;
}

export const percent = (part) => `${Math.round(part * 100)} %`;

// The time of the day, with the date when it is another day's.
export function time(text) {
  if (!text) return '–';
  const at = new Date(text);
  const said = clock.format(at);
  return at.toDateString() === new Date().toDateString() ? said : `${day.format(at)} ${said}`;
}

export const since = (text) => (text ? (Date.now() - Date.parse(text)) / 1000 : null);

export function ago(text) {
  const s = since(text);
  if (s === null) return '–';
  if (s < -1) return `in ${seconds(-s)}`;
  return s < 1 ? 'now' : `${seconds(s)} ago`;
}

export const between = (from, to) => (from ? (Date.parse(to || new Date()) - Date.parse(from)) / 1000 : null);

// The random end of an id tells futures of one time apart; the whole is in the title.
export const shortId = (id) => `…${id.slice(-8)}`;

// Control characters are shown, not obeyed; the start of what is very long.
export function tame(text, max = 200000) {
  const cut = text.length > max ? `${text.slice(0, max)}\n… ${whole.format(text.length - max)} more characters` : text;
  // eslint-disable-next-line no-control-regex
  return cut.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u202a-\u202e\u2066-\u2069]/g, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? '\u2421' : '\ufffd';
  }).replace(/\r\n?/g, '\n');
}

// One line of a text for a table.
export const line = (text, max = 200) => tame(String(text ?? ''), max).replace(/\s+/g, ' ');

export function pretty(value) {
  return typeof value === 'string' ? JSON.stringify(value) : JSON.stringify(value, null, 2);
}
