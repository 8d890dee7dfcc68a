// When the web page is first painted: visits with an empty cache, one after the other.
//   node tests/browser/paint.mjs URL [VISITS]
// URL: a daemon without tokens. Prints least, median and most of first-contentful-paint in milliseconds.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Browser } from './browser.mjs';

const [url, given] = process.argv.slice(2);
const visits = Number(given || 20);
const browser = new Browser();
const painted = async () => {
  const end = Date.now() + 10000;
  for (;;) {
    const found = performance.getEntriesByName('first-contentful-paint')[0];
    if (found || Date.now() > end) return found?.startTime;
    await new Promise((go) => { setTimeout(go, 20); });
  }
};

const profile = mkdtempSync(join(tmpdir(), 'futured-page-'));
try {
  await browser.start('EXCLUDE 127.0.0.1, MAP * ~NOTFOUND', profile);
  await browser.size(1280, 940);
  await browser.command('Network.enable', {});
  const times = [];
  for (let i = 0; i < visits; i += 1) {
    await browser.command('Network.clearBrowserCache', {});
    await browser.visit('about:blank');
    await browser.visit(`${url}/ui/`);
    times.push(await browser.run(painted));
  }
  times.sort((a, b) => a - b);
  const [least, median, most] = [times[0], times[times.length >> 1], times[times.length - 1]].map(Math.round);
  console.log(`first contentful paint, ${visits} visits: ${least} ms at least, ${median} median, ${most} at most`);
} finally {
  await browser.stop();
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
