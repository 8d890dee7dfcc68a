// The memory of the web page: what it keeps after a collection, while it is looked at and walked through.
//   node tests/browser/memory.mjs URL [MINUTES]
// URL: a daemon without tokens. Without MINUTES: rounds through all pages, as fast as they come. With MINUTES: the
// overview for so long, a round each minute, and 20 tasks a second meanwhile.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Browser } from './browser.mjs';

const [url, given] = process.argv.slice(2);
const minutes = Number(given || 0);
const PAGES = ['futures', 'batches', 'failures', 'queues', 'schedules', 'workers', ''];
const WARM_ROUNDS = 2;
const ROUNDS = 12;
const HEAP_GROWTH_MAX = 1 << 20; // the bytes by which a flat heap may still differ
const MORE_NODES = 300; // likewise of the document; rows come and go
const RATE = 20;

const browser = new Browser();
const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });
const mib = (bytes) => `${(bytes / 1048576).toFixed(2)} MiB`;
let failures = 0;

function check(what, ok, seen) {
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${what}${ok ? '' : `: ${JSON.stringify(seen)}`}`);
  if (!ok) failures += 1;
}

const submit = (inputs) => fetch(`${url}/v1/batches`, { method: 'POST', body: JSON.stringify({ handler: 'echo', inputs }) });

async function walk(ms) {
  for (const page of PAGES) {
    await browser.run(`async () => {
      location.hash = '#/${page}';
      const end = Date.now() + 20000;
      const isThere = () => document.title !== '' && !document.getElementById('main').innerText.startsWith('Loading')
        && (location.hash === '#/${page}');
      while (!isThere() && Date.now() < end) await new Promise((go) => { setTimeout(go, 20); });
      await new Promise((go) => { setTimeout(go, ${ms}); });
    }`);
  }
}

// Bytes of the heap and nodes of the document that are left after collections.
async function sample() {
  for (let i = 0; i < 3; i += 1) {
    await browser.command('HeapProfiler.collectGarbage', {});
    await pause(50);
  }
  const { metrics } = await browser.command('Performance.getMetrics', {});
  const value = (name) => metrics.find((m) => m.name === name).value;
  return { heap: value('JSHeapUsedSize'), nodes: value('Nodes'), listeners: value('JSEventListeners') };
}

// The least of the last samples beside the least of the first ones: what a collection has missed is gone by the next.
function judge(samples) {
  const third = Math.max(1, Math.floor(samples.length / 3));
  const of = (name, some) => Math.min(...some.map((s) => s[name]));
  for (const [name, more] of [['heap', HEAP_GROWTH_MAX], ['nodes', MORE_NODES], ['listeners', MORE_NODES]]) {
    const [first, last] = [of(name, samples.slice(0, third)), of(name, samples.slice(-third))];
    check(`${name}: ${first} first, ${last} last, of ${samples.length} samples`, last - first <= more, samples.map((s) => s[name]));
  }
}

async function rounds() {
  for (let i = 0; i < WARM_ROUNDS; i += 1) await walk(20);
  const samples = [];
  for (let i = 0; i < ROUNDS; i += 1) {
    await submit([i, i, i]);
    await walk(20);
    samples.push(await sample());
  }
  judge(samples);
}

async function hours() {
  let sent = 0;
  const timer = setInterval(() => { submit(Array.from({ length: RATE }, () => { sent += 1; return sent; })).catch(() => {}); }, 1000);
  const samples = [];
  for (let i = 0; i <= minutes; i += 1) {
    await walk(300);
    const now = await sample();
    console.log(`     minute ${i}: heap ${mib(now.heap)}, ${now.nodes} nodes, ${now.listeners} listeners`);
    if (i > 4) samples.push(now);
    if (i < minutes) await pause(50000);
  }
  clearInterval(timer);
  check(`${sent} tasks meanwhile`, sent > minutes * 30 * RATE, sent);
  judge(samples);
}

const profile = mkdtempSync(join(tmpdir(), 'futured-page-'));
try {
  await browser.start('EXCLUDE 127.0.0.1, MAP * ~NOTFOUND', profile);
  await browser.ask('POST', `${browser.session}/timeouts`, { script: 60000 });
  await browser.size(1280, 940);
  await browser.command('Performance.enable', {});
  await submit([1, 2, 3]);
  await browser.visit(`${url}/ui/`);
  await (minutes ? hours() : rounds());
} catch (e) {
  check('all of it ran', false, e.stack);
} finally {
  await browser.stop();
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(failures ? 1 : 0);
