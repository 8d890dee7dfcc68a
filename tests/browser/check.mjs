// What web pages can do to a daemon, tried with a real Chromium that chromedriver drives.
//   node tests/browser/check.mjs OPEN_URL TOKENS_URL TOKEN
// OPEN_URL: a daemon without tokens. TOKENS_URL: one that wants TOKEN and has FUTURED_ORIGINS=http://app.example.
// Names are mapped to loopback inside the browser; nothing leaves the machine.
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Browser } from './browser.mjs';

const [open, closed, token] = process.argv.slice(2);
const bearer = { Authorization: `Bearer ${token}` };
let failures = 0;

function check(what, ok, seen) {
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${what}${ok ? '' : `: ${JSON.stringify(seen)}`}`);
  if (!ok) failures += 1;
}

// ---- the web ----------------------------------------------------------------------------------

// Every name of the web but one: an empty page, or a form that posts JSON to the daemon as text.
const form = `<form method=post enctype=text/plain action="${open}/v1/tasks">
<input name='{"handler":"echo","input":"form","x' value='":1}'></form><script>document.forms[0].submit()</script>`;
const web = http.createServer((request, response) => {
  response.setHeader('Content-Type', 'text/html');
  response.setHeader('Connection', 'close'); // so that the next request looks the name up again
  response.end(request.url === '/form' ? form : '<title>page</title>');
});

// The one name: its server answers first, then its address becomes the daemon's.
let isRebound = false;
// Where a connection goes is decided at its first byte: the browser opens some ahead of their requests.
const rebinding = net.createServer((client) => {
  client.on('error', () => client.destroy());
  client.once('readable', () => {
    const to = net.connect(isRebound ? new URL(open).port : web.address().port, '127.0.0.1');
    for (const [a, b] of [[client, to], [to, client]]) {
      a.pipe(b);
      a.on('error', () => b.destroy());
    }
  });
});

const listen = (server) => new Promise((done) => server.listen(0, '127.0.0.1', done));

// ---- what pages do ----------------------------------------------------------------------------

const submitted = async () => (await (await fetch(`${open}/v1/futures`)).json()).futures.length;

async function pagesElsewhere(browser) {
  await browser.visit('http://evil.example/');
  const sent = await browser.run(async (url) => {
    await fetch(`${url}/v1/tasks`, { method: 'POST', mode: 'no-cors', body: '{"handler":"echo"}' });
    return 'sent';
  }, open);
  check('a page elsewhere sends without asking', sent === 'sent', sent);
  check('… and submits nothing', (await submitted()) === 0, await submitted());
  const read = await browser.run(async (url) => (await fetch(`${url}/v1/handlers`)).status, open);
  check('a page elsewhere reads nothing', String(read).startsWith('error: '), read);
  const asked = await browser.run(async (url) => (await fetch(`${url}/v1/pools/io`,
    { method: 'PATCH', body: '{"capacity":3}' })).status, open);
  check('a page elsewhere changes nothing', String(asked).startsWith('error: '), asked);
  await browser.visit('http://evil.example/form');
  const shown = await browser.run(async () => {
    while (!document.body.innerText.includes('foreign_origin')) await new Promise(requestAnimationFrame);
    return document.body.innerText;
  });
  check('a form is refused', shown.includes('foreign_origin'), shown);
  check('… and submits nothing', (await submitted()) === 0, await submitted());
}

async function reboundNames(browser) {
  await browser.visit('http://rebound.example/');
  isRebound = true;
  const answers = await browser.run(async () => {
    const ask = async (path, rest) => (await fetch(path, { cache: 'no-store', ...rest })).status;
    return [await ask('/v1/futures'), await ask('/v1/tasks', { method: 'POST', body: '{"handler":"echo"}' }),
      await ask('/v1/pools/io', { method: 'PATCH', body: '{"capacity":3}' }),
      await ask('/v1/futures/x', { method: 'DELETE' })];
  });
  check('a rebound name gets 421', String(answers) === '421,421,421,421', answers);
  check('… and submits nothing', (await submitted()) === 0, await submitted());
}

async function ownPages(browser) {
  await browser.visit(`${open}/healthz`);
  const status = await browser.run(async () => (await fetch('/v1/tasks?wait=10',
    { method: 'POST', body: '{"handler":"echo","input":1}' })).status);
  check('a page of the daemon itself submits', status === 200, status);
}

async function namedPages(browser) {
  const submit = async (url, headers) => {
    const r = await fetch(`${url}/v1/tasks?wait=10`,
      { method: 'POST', headers: { ...headers, 'Content-Type': 'application/json' }, body: '{"handler":"echo"}' });
    return [r.status, (r.headers.get('Location') ?? '').slice(0, 12), (await r.json()).state];
  };
  await browser.visit('http://app.example/');
  const named = await browser.run(submit, closed, bearer);
  check('a named page submits with a token and reads the answer',
    String(named) === '200,/v1/futures/,succeeded', named);
  const none = await browser.run(async (url) => (await fetch(`${url}/v1/stats`)).status, closed);
  check('… and learns that it lacks a token', none === 401, none);
  await browser.visit('http://evil.example/');
  const other = await browser.run(submit, closed, bearer);
  check('another page does not, though it has the token', String(other).startsWith('error: '), other);
}

async function results(browser) {
  const page = '<title>before</title><script>document.title = "script ran"</script>';
  const r = await fetch(`${open}/v1/tasks/echo?wait=10`,
    { method: 'POST', headers: { 'Content-Type': 'text/html' }, body: page });
  const { id } = await r.json();
  await browser.visit(`${open}/v1/futures/${id}/result`);
  const title = await browser.title();
  check('a result runs no script', title === 'before', title);
}

// ---- all of it --------------------------------------------------------------------------------

const profile = mkdtempSync(join(tmpdir(), 'futured-browser-'));
const browser = new Browser();
try {
  await Promise.all([listen(web), listen(rebinding)]);
  await browser.start([`MAP evil.example 127.0.0.1:${web.address().port}`,
    `MAP app.example 127.0.0.1:${web.address().port}`,
    `MAP rebound.example 127.0.0.1:${rebinding.address().port}`,
    'EXCLUDE 127.0.0.1', 'MAP * ~NOTFOUND'].join(', '), profile);
  for (const part of [pagesElsewhere, reboundNames, ownPages, namedPages, results]) await part(browser);
} finally {
  await browser.stop();
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  web.closeAllConnections();
  web.close();
  rebinding.close();
}
process.exit(failures ? 1 : 0);
