// The web page in a real Chromium: every page, every action, hostile texts, a token that may read alone.
//   node tests/browser/page.mjs OPEN_URL TOKENS_URL TOOLS SCREENSHOTS [PART…]
// OPEN_URL: a daemon without tokens and with the handlers of tests/system/test_page. TOKENS_URL: one that knows the
// tokens below. TOOLS has node_modules with axe-core. SCREENSHOTS: a folder, made when it is not there.
// The part `walk` mends a handler: $HOME/handlers.json of the daemon $DAEMON_PID, with ./future.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Browser } from './browser.mjs';

const [open, closed, tools, shots, ...wanted] = process.argv.slice(2);
const ADMIN = 'admin-0123456789abcdef';
const READER = 'reader-0123456789abcdef';
const HOSTILE = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>';
const axe = readFileSync(join(tools, 'node_modules/axe-core/axe.min.js'), 'utf8');
let failures = 0;

function check(what, ok, seen) {
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${what}${ok ? '' : `: ${JSON.stringify(seen)}`}`);
  if (!ok) failures += 1;
}

async function api(method, path, body) {
  const answer = await fetch(open + path, { method, body: body && JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}
const submit = (task, wait) => api('POST', `/v1/tasks${wait ? `?wait=${wait}` : ''}`, task);

// ---- what a reader does --------------------------------------------------------------------------

const browser = new Browser();

// Waits until the page says so; fails with what it says instead.
async function until(what, fn, ...args) {
  const seen = await browser.run(`async (given) => {
    const test = ${fn};
    const end = Date.now() + 20000;
    while (Date.now() < end) {
      const value = test(...given);
      if (value) return { value };
      await new Promise((go) => { setTimeout(go, 50); });
    }
    return { text: document.body.innerText.slice(0, 1500) };
  }`, args);
  check(what, seen.value !== undefined, seen.text ?? seen);
  return seen.value;
}

const says = (what, text) => until(what, (t) => document.getElementById('main').innerText.includes(t), text);
const toast = (what, text) => until(what, (t) => document.getElementById('toasts').innerText.includes(t), text);

// Clicks what has this text (or this label) inside of `where`.
const click = (text, where = '#main') => until(`… ${text}`, (t, w) => {
  const all = [...document.querySelectorAll(`${w} button, ${w} a, ${w} summary`)];
  const found = all.find((e) => (e.innerText.trim() === t || e.getAttribute('aria-label') === t) && !e.disabled);
  found?.click();
  return Boolean(found);
}, text, where);

const fill = (name, value) => until(`… ${name}: ${value}`, (n, v) => {
  const found = document.querySelector(`dialog [name="${n}"], #main [name="${n}"]`);
  if (!found) return false;
  found.value = v;
  found.dispatchEvent(new Event('change', { bubbles: true }));
  return true;
}, name, value);

const dialogSays = (what, text) => until(what, (t) => document.querySelector('dialog')?.innerText.includes(t), text);

async function go(hash, base = open) {
  await browser.visit('about:blank');
  await browser.visit(`${base}/ui/#/${hash}`);
}

async function shot(name) {
  writeFileSync(join(shots, `${name}.png`), Buffer.from(await browser.screenshot(), 'base64'));
}

async function isNotWide(name) {
  const over = await browser.run(async () => document.documentElement.scrollWidth - window.innerWidth);
  check(`${name}: no wider than the window`, over <= 0, over);
}

// What axe-core calls serious or critical; and that the page is no wider than its window.
async function look(name) {
  await shot(name);
  await isNotWide(name);
  await browser.ask('POST', `${browser.session}/execute/sync`, { script: axe, args: [] });
  const found = await browser.run(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations
    .filter((v) => v.impact === 'serious' || v.impact === 'critical')
    .map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.html} ${n.any[0]?.message ?? ''}`).join(' | ')}`));
  check(`${name}: axe-core finds nothing serious`, Array.isArray(found) && found.length === 0, found);
}

// As it is, dark, and as wide as a phone.
async function lookAll(name) {
  await look(name);
  await browser.command('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: 'dark' }] });
  await look(`${name}-dark`);
  await browser.command('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: 'light' }] });
  await browser.command('Emulation.setDeviceMetricsOverride', { width: 390, height: 844, deviceScaleFactor: 1, mobile: true });
  await shot(`${name}-phone`);
  await isNotWide(`${name}-phone`);
  await browser.command('Emulation.clearDeviceMetricsOverride', {});
}

// ---- the pages -----------------------------------------------------------------------------------

const parts = {
  async weight() {
    const html = await (await fetch(`${open}/ui/`)).text();
    const names = new Set(['index.html']);
    const add = (text, from) => {
      for (const [, name] of text.matchAll(from)) names.add(name);
    };
    add(html, /(?:src|href)="([a-z_]+\.(?:js|css|svg))"/g);
    for (const name of names) {
      if (name.endsWith('.js')) add(await (await fetch(`${open}/ui/${name}`)).text(), /'\.\/([a-z_]+\.js)'/g);
    }
    let bytes = 0;
    for (const name of names) {
      const answer = await fetch(`${open}/ui/${name}`);
      check(`${name} is there`, answer.ok, answer.status);
      bytes += (await answer.arrayBuffer()).byteLength;
    }
    check(`all ${names.size} files weigh under 200 KiB: ${bytes} bytes`, bytes < 200 << 10, bytes);
  },

  async overview() {
    await api('POST', '/v1/batches', { handler: 'sha256', inputs: Array.from({ length: 50 }, (_, i) => i) });
    await submit({ handler: 'flaky' }, 20);
    await browser.visit(`${open}/`);
    check('a browser is led to the page', (await browser.ask('GET', `${browser.session}/url`)) === `${open}/ui/`);
    await says('the tiles are there', 'since the start');
    await says('the charts are there', 'Rates per second');
    await says('the failures are there', 'flaky');
    await says('the worker processes are there', 'MiB');
    await click('Pause');
    await fill('reason', `the other side ${HOSTILE}`);
    await click('Pause', 'dialog');
    await toast('a lane is paused', 'paused');
    await says('… and says why', '<img src=x');
    await lookAll('overview');
    await click('Go on');
    await toast('the lane goes on', 'goes on');
    const pools = await api('GET', '/v1/pools');
    check('… in the daemon too', !pools.pools[0].paused, pools);
    const paint = await browser.run(async () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
    console.log(`     first contentful paint: ${Math.round(paint)} ms`);
  },

  async futures() {
    await api('POST', '/v1/batches', { handler: 'echo', queue: 'many', inputs: Array.from({ length: 3000 }, (_, i) => i) });
    await go('futures?queue=many');
    await says('the list is there', 'echo');
    await until('it grows as it is scrolled', () => {
      const list = document.querySelector('.long');
      list.scrollTop = list.scrollHeight;
      return document.querySelector('.count').innerText.startsWith('3,000 futures');
    });
    const rows = await browser.run(async () => document.querySelectorAll('tbody tr').length);
    check('few of its rows are in the document', rows < 100, rows);
    await go('futures?queue=live');
    await says('an empty list says so', 'No future is like that.');
    const task = await submit({ handler: 'sleep', input: { seconds: 600 }, queue: 'live' });
    await says('a new future comes by itself', task.id.slice(-8));
    await says('… and its state', 'running');
    await click('cancelled');
    await says('a filter by state', 'No future is like that.');
    await api('POST', `/v1/futures/${task.id}/cancel`);
    await says('… is live as well', task.id.slice(-8));
    await click('Retry all …');
    await dialogSays('the count is asked first', 'Retry 1?');
    await click('Not now', 'dialog');
    check('… and nothing is done without a yes', (await api('GET', `/v1/futures/${task.id}`)).state === 'cancelled');
    await click('Delete all …');
    await click('Delete 1', 'dialog');
    await toast('all that the filter means are deleted', '1 changed');
    await go('futures');
    await fill('handler', 'flaky');
    await until('a filter is in the address', () => location.hash.includes('handler=flaky'));
    await says('the error is in the list', 'exit:');
    await lookAll('futures');
    await click('More filters');
    await fill('older_than', '86400');
    await says('a filter by age', 'No future is like that.');
    await browser.press('\ue00c', 'g', 'o');
    await until('a key leads to the overview', () => document.title.startsWith('Overview'));
  },

  async future() {
    const failed = await submit({ handler: 'flaky', input: { a: [1, HOSTILE] } }, 20);
    await go(`future/${failed.id}`);
    await says('the traceback is there', 'ValueError: <b>no</b> such thing');
    await says('the attempts are there', 'Attempts');
    await says('the input is there', '<img src=x onerror=');
    await lookAll('future-failed');
    await click('Retry');
    await toast('it is retried', 'queued again');
    await until('… and fails again', () => document.querySelectorAll('section table tbody tr').length === 4);
    await click('Run again with the same input');
    await until('it is run again', (id) => location.hash.startsWith('#/future/') && !location.hash.endsWith(id), failed.id);
    const copy = (await browser.run(async () => location.hash)).slice(9);
    const input = await (await fetch(`${open}/v1/futures/${copy}/input`)).text();
    check('… with the same input', input === JSON.stringify({ a: [1, HOSTILE] }), input);
    await until('… and fails', () => document.querySelector('h1 .failed'));
    await click('Delete');
    await click('Delete', 'dialog');
    await until('it is deleted', () => location.hash === '#/futures');
    const gone = await fetch(`${open}/v1/futures/${copy}`);
    check('… in the daemon too', gone.status === 404, gone.status);

    const text = await (await fetch(`${open}/v1/tasks/echo?wait=20&priority=7`, { method: 'POST', body: 'as bytes', headers: { 'Content-Type': 'text/csv' } })).json();
    await go(`future/${text.id}`);
    await says('a result that is text is there', 'as bytes');
    await click('Run again with the same input');
    await until('it is run again', (id) => location.hash.startsWith('#/future/') && !location.hash.endsWith(id), text.id);
    const again = await api('GET', `/v1/futures/${(await browser.run(async () => location.hash)).slice(9)}?wait=20`);
    check('… with its type and its options', again.result.content_type === 'text/csv' && again.priority === 7, again);

    const writer = await submit({ handler: 'writes' });
    await go(`future/${writer.id}`);
    await says('the log is live', 'step 3');
    await says('… and goes on', 'step 9');
    await look('future-live');
    await click('Cancel');
    await toast('it is cancelled', 'cancelled');
    await until('… and says so', () => document.querySelector('h1 .cancelled'));

    const stuck = await submit({ handler: 'broken' });
    await go(`future/${stuck.id}`);
    await says('why it waits', 'Why it does not run');
    await says('… with the last words of its program', 'cannot import nlp');
    await look('future-waits');
  },

  async batches() {
    const many = await api('POST', '/v1/batches', { handler: 'sleep', inputs: Array.from({ length: 40 }, () => ({ ms: 100 })) });
    const tree = await api('POST', '/v1/batches', { tasks: [
      { name: 'extract', handler: 'echo', input: 1 }, { name: 'clean', handler: 'sleep', input: { ms: 500 }, after: ['extract'] },
      { name: 'train', handler: 'sleep', input: { seconds: 600 }, after: ['clean'] },
      { name: 'stats', handler: 'flaky', after: ['clean'] }, { name: 'mail', handler: 'echo', after: [{ id: 'stats', on: 'failure' }] },
      { name: 'report', handler: 'echo', after: ['train', 'stats'] }] });
    await go('batches');
    await says('the batches are there', many.id.slice(-8));
    await says('… and how far they are', 'done');
    await lookAll('batches');
    await go(`batch/${tree.id}`);
    await until('the graph is drawn', () => document.querySelectorAll('.graph .node').length === 6 && document.querySelectorAll('.graph .edge').length === 6);
    await until('… and live', () => document.querySelector('.graph .node.running') && document.querySelector('.graph .node.cancelled'));
    const names = await browser.run(async () => [...document.querySelectorAll('.graph .node')].map((n) => n.getAttribute('aria-label')).sort());
    check('… with names and states', names.join() === 'clean: succeeded,extract: succeeded,mail: succeeded,report: cancelled,stats: failed,train: running', names);
    await lookAll('batch');
    await click('Cancel the rest');
    await click('Cancel 1', 'dialog');
    await until('the rest is cancelled', () => document.querySelector('.graph .node[aria-label="train: cancelled"]'));
    const gone = await api('GET', `/v1/batches/${tree.id}`);
    check('… in the daemon too', gone.done && gone.counts.cancelled === 2, gone);
  },

  async failures() {
    for (let i = 0; i < 3; i += 1) await submit({ handler: 'sleep', input: `bad ${i}` }, 20);
    const kept = await submit({ handler: 'flaky' }, 20);
    await go('failures?handler=sleep');
    await says('the group is there', 'bad_input');
    await lookAll('failures');
    await click('Retry all …');
    await dialogSays('the count is asked first', 'Retry 3?');
    await click('Retry 3', 'dialog');
    await toast('all are retried', '3 changed');
    const list = async () => (await api('GET', '/v1/futures?handler=sleep&code=bad_input&state=failed')).futures;
    for (let i = 0; i < 200 && (await list()).filter((f) => f.attempt === 2).length < 3; i += 1) await new Promise((done) => { setTimeout(done, 50); });
    check('… once each', (await list()).filter((f) => f.attempt === 2).length === 3, await list());
    await click('Delete all …');
    await dialogSays('the count is asked again', 'Delete 3?');
    await click('Delete 3', 'dialog');
    await says('the group is gone', 'Nothing that is kept has failed.'); // "3 changed" may still stand there from the retry
    const rest = [await list(), (await api('GET', `/v1/futures/${kept.id}`)).state];
    check('… and no others', rest[0].length === 0 && rest[1] === 'failed', rest);
  },

  async queues() {
    await go('queues');
    await click('New limit …');
    await fill('name', 'github');
    await fill('max_running', '1');
    await click('Define', 'dialog');
    await toast('a limit is defined', 'is defined');
    for (let i = 0; i < 3; i += 1) await submit({ handler: 'sleep', input: { seconds: 600 }, limits: ['github'], queue: 'mail' });
    await says('it is seen who waits for what', 'limit github');
    const row = (name, text) => until(`… ${text} of ${name}`, (n, t) => {
      const found = [...document.querySelectorAll('tbody tr')].find((r) => r.cells[0].innerText.startsWith(n));
      const one = [...(found?.querySelectorAll('button') ?? [])].find((b) => b.innerText === t && !b.disabled);
      one?.click();
      return Boolean(one);
    }, name, text);
    await row('mail', 'Pause');
    await fill('reason', 'the relay is down');
    await click('Pause', 'dialog');
    await says('a queue is paused', 'paused: the relay is down');
    await lookAll('queues');
    await row('mail', 'Go on');
    await toast('it goes on', 'goes on');
    await row('mail', 'Change …');
    await fill('weight', '2.5');
    await fill('max_running', '7');
    await click('Change', 'dialog');
    await toast('it is changed', 'queue mail is changed');
    const q = await api('GET', '/v1/queues/mail');
    check('… in the daemon too', q.weight === 2.5 && q.max_running === 7 && !q.paused, q);
    await row('mail', 'Purge …');
    await dialogSays('the count is asked first', 'Cancel 2?');
    await click('Cancel 2', 'dialog');
    await toast('what waits is cancelled', '2 cancelled');
    await row('github', 'Close …');
    await fill('seconds', '300');
    await click('Close', 'dialog');
    await says('a limit is closed', 'closed until');
    await row('github', 'Open');
    await toast('it is open', 'is open');
    await row('github', 'Change …');
    await fill('tasks', '50');
    await fill('per', '60');
    await click('Change', 'dialog');
    await toast('a limit is changed', 'limit github is changed');
    check('… in the daemon too', (await api('GET', '/v1/limits/github')).rate.tasks === 50);
    await row('github', 'Remove');
    await click('Remove', 'dialog');
    await says('a limit is removed', 'No limit is defined.');
    for (const f of (await api('GET', '/v1/futures?queue=mail&state=running')).futures) await api('POST', `/v1/futures/${f.id}/cancel`);
  },

  async schedules() {
    await api('PUT', '/v1/schedules/nightly', { cron: '30 2 * * *', timezone: 'Europe/Berlin', task: { handler: 'echo', input: HOSTILE } });
    await go('schedules');
    await says('the schedule is there', 'cron 30 2 * * *');
    await click('Run now');
    await toast('it runs now', 'runs now');
    await click('nightly');
    await says('its runs are there', 'fired, by hand');
    await says('… and its next times', '02:30:00 +0');
    await lookAll('schedules');
    await click('Pause');
    await toast('it is paused', 'is paused');
    check('… in the daemon too', (await api('GET', '/v1/schedules/nightly')).paused);
    await click('Go on');
    await toast('it goes on', 'goes on');
    await click('Remove');
    await click('Remove', 'dialog');
    await says('it is removed', 'There is no schedule');
  },

  async workers() {
    await submit({ handler: 'broken' });
    await go('workers');
    await says('the processes are there', 'futured');
    await says('a broken program, with its last words', 'cannot import nlp');
    await lookAll('workers');
    const row = (name, text) => until(`… ${text} of ${name}`, (n, t) => {
      const found = [...document.querySelectorAll('tbody tr')].find((r) => r.cells[0].innerText.startsWith(n));
      const one = [...(found?.querySelectorAll('button') ?? [])].find((b) => b.innerText === t && !b.disabled);
      one?.click();
      return Boolean(one);
    }, name, text);
    await row('sleep', 'Pause');
    await click('Pause', 'dialog');
    await toast('a handler is paused', 'is paused');
    await row('sleep', 'Go on');
    await toast('it goes on', 'goes on');
    await click('Change …');
    await fill('capacity', '5');
    await click('Change', 'dialog');
    await toast('a lane has other slots', 'other slots');
    check('… in the daemon too', (await api('GET', '/v1/pools')).pools[0].capacity === 5);
    await api('PATCH', '/v1/pools/io', { capacity: null });
    await row('echo', 'Submit …');
    await fill('input', '{ "n": 1.0 }');
    await fill('queue', 'forms');
    await click('Submit', 'dialog');
    await until('a task is submitted from the form', () => location.hash.startsWith('#/future/'));
    const made = await api('GET', `/v1/futures/${(await browser.run(async () => location.hash)).slice(9)}?wait=20`);
    check('… with its input and its options', made.queue === 'forms' && made.result.n === 1, made);
  },

  // A new user: a handler that fails is found, looked at, mended, and run again from the page and the command line.
  async walk() {
    const future = (...args) => {
      const done = spawnSync('./future', args, { env: { ...process.env, FUTURED_URL: open }, encoding: 'utf8' });
      return { status: done.status, out: done.stdout.trim(), err: done.stderr };
    };
    const hello = future('run', 'sha256', 'hello', '--wait');
    check('a task is run from the command line', hello.status === 0 && JSON.parse(hello.out).bytes === 5, hello);
    const first = future('submit', 'totals').out;
    const second = future('run', 'totals', '--wait');
    check('one that fails says why', second.status === 1 && second.err.includes('rates.txt: no such file'), second);
    check('… and is waited for', future('wait', first).out === first, first);
    await browser.visit(`${open}/`);
    await says('the overview shows what fails', 'totals');
    await click('Failures', '#nav');
    await until('the group is found, with an example', () => {
      const row = [...document.querySelectorAll('tbody tr')].find((r) => r.cells[0].innerText === 'totals');
      const example = row?.querySelector('a[href^="#/future/"]');
      if (row?.cells[2].innerText !== '2' || !example) return false;
      example.click();
      return true;
    });
    await says('the example shows the error', 'the program exited with 1');
    await says('… and the end of the log', 'rates.txt: no such file');
    const id = (await browser.run(async () => location.hash)).slice(9);
    const seen = [future('get', id, '--json').out, future('logs', id).out];
    check('… as does the command line', JSON.parse(seen[0]).error.code === 'exit' && seen[1].includes('rates.txt'), seen);

    const file = join(process.env.HOME, 'handlers.json');
    const handlers = JSON.parse(readFileSync(file, 'utf8'));
    handlers.totals = { exec: ['echo', '42'], description: 'mended' };
    writeFileSync(file, JSON.stringify(handlers));
    process.kill(Number(process.env.DAEMON_PID), 'SIGHUP');
    const end = Date.now() + 20000;
    while (!future('handlers', '--json').out.includes('"mended"') && Date.now() < end);
    check('the handler is mended without a restart', future('handlers', '--json').out.includes('"mended"'));

    await click('Retry');
    await until('the page runs it again', () => document.querySelector('h1 .succeeded'));
    await says('… and shows its result', '42');
    const rest = future('failures').out.split('\n').filter((line) => line.startsWith('totals\t'));
    check('one is left', rest.length === 1 && rest[0].split('\t')[2] === '1', rest);
    const again = future('failures', 'retry', 'totals', 'exit', '--yes');
    check('the command line runs the rest again', again.status === 0 && again.out === '1', again);
    const other = rest[0].split('\t')[5];
    check('… which succeeds', future('wait', other).status === 0 && future('result', other).out === '42', other);
    check('… and is another one', other !== id, other);
    await go('failures?handler=totals');
    await says('nothing of it fails any more', 'Nothing that is kept has failed.');
  },

  async hostile() {
    const name = 'x'.repeat(200);
    const promise = await api('POST', '/v1/promises', {});
    await api('POST', `/v1/futures/${promise.id}/complete`, { error: { code: 'odd', message: `\u202e${HOSTILE}\u0001\u001b[31m` } });
    const long = await submit({ handler: 'long_line', fair_key: HOSTILE.slice(0, 120), input: { [HOSTILE]: name.repeat(5000) } }, 20);
    const result = await submit({ handler: 'echo', input: { html: HOSTILE, long: 'y'.repeat(900000) } }, 20);
    await go(`future/${promise.id}`);
    await says('a hostile error is text', '<img src=x onerror=');
    await says('… and control characters are shown', '\u2401\u241b[31m');
    await look('hostile-error');
    await go(`future/${long.id}`);
    await says('a hostile log is text', '<script>document.title=1</script>');
    await look('hostile-log');
    await go(`future/${result.id}`);
    await says('a hostile result is text', '<script>document.title=');
    await go('futures');
    await says('… in the list, too', '<img src=x onerror=');
    const title = await browser.title();
    check('no script ran', !/owned|^1$/.test(title), title);
    const images = await browser.run(async () => document.querySelectorAll('main img, main script').length);
    check('nothing became an element', images === 0, images);
  },

  async tokens() {
    await go('futures', closed);
    await dialogSays('a token is asked for', 'A token, please');
    await fill('token', 'wrong-0123456789abcdef');
    await click('Go on', 'dialog');
    await dialogSays('one that is not known is asked for again', 'does not know this token');
    await look('token');
    await fill('token', READER);
    await click('Go on', 'dialog');
    await says('… and then it reads', 'No future is like that.');
    await until('it says that it may read alone', () => document.getElementById('tools').innerText.includes('read only'));
    const closedButtons = await browser.run(async () => [...document.querySelectorAll('.fields .right button')].every((b) => b.disabled));
    check('nothing can be pressed that it may not', closedButtons, closedButtons);
    const kept = await browser.run(async () => [Object.values(sessionStorage).length, Object.values(localStorage).join().includes('reader'), document.cookie, location.href]);
    check('the token is kept in this tab alone', kept[0] === 1 && !kept[1] && !kept[2] && !kept[3].includes('reader'), kept);
    await click('Sign out', '#tools');
    await dialogSays('it is forgotten', 'A token, please');
    await fill('token', ADMIN);
    await click('Go on', 'dialog');
    await until('an admin may press all', () => [...document.querySelectorAll('.fields .right button')].every((b) => !b.disabled));
  },
};

// ---- all of it -----------------------------------------------------------------------------------

const profile = mkdtempSync(join(tmpdir(), 'futured-page-'));
mkdirSync(shots, { recursive: true });
try {
  await browser.start('EXCLUDE 127.0.0.1, MAP * ~NOTFOUND', profile);
  await browser.ask('POST', `${browser.session}/timeouts`, { script: 60000 });
  await browser.size(1280, 940);
  for (const [name, part] of Object.entries(parts)) {
    if (wanted.length && !wanted.includes(name)) continue;
    console.log(`---- ${name}`);
    await part();
  }
  const said = (await browser.logs()).filter((l) => l.level === 'SEVERE' && !/status of 4\d\d/.test(l.message));
  check('the console has no errors', said.length === 0, said);
} catch (e) {
  check('all of it ran', false, e.stack);
} finally {
  await browser.stop();
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(failures ? 1 : 0);
