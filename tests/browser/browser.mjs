// A real Chromium, driven by Debian's chromedriver (WebDriver).
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export class Browser {
  // The port that the system gives chromedriver for IPv4 may be another's for IPv6: then it ends.
  async startDriver() {
    this.driver = spawn('chromedriver', ['--port=0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const line of createInterface({ input: this.driver.stdout })) {
      const port = /started successfully on port (\d+)/.exec(line);
      if (port) return `http://127.0.0.1:${port[1]}`;
    }
    return null;
  }

  async start(rules, profile) {
    for (let i = 0; i < 5 && !this.base; i++) this.base = await this.startDriver();
    const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage',
      '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable', `--user-data-dir=${profile}`,
      `--host-resolver-rules=${rules}`];
    const { sessionId } = await this.ask('POST', '/session',
      { capabilities: { alwaysMatch: { browserName: 'chrome', 'goog:chromeOptions': { args },
        'goog:loggingPrefs': { browser: 'ALL' } } } });
    this.session = `/session/${sessionId}`;
  }

  async ask(method, path, body) {
    const answer = await fetch(this.base + path, { method, body: body && JSON.stringify(body) });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
    return value;
  }

  visit(url) {
    return this.ask('POST', `${this.session}/url`, { url });
  }

  // Runs an async function in the page; gives back what it returns, or "error: …".
  run(fn, ...args) {
    const script = `const done = arguments[arguments.length - 1];
      (${fn})(...[...arguments].slice(0, -1)).then(done, (e) => done('error: ' + e.message));`;
    return this.ask('POST', `${this.session}/execute/async`, { script, args });
  }

  press(...keys) {
    const actions = keys.flatMap((value) => [{ type: 'keyDown', value }, { type: 'keyUp', value }]);
    return this.ask('POST', `${this.session}/actions`, { actions: [{ type: 'key', id: 'keys', actions }] });
  }

  size(width, height) {
    return this.ask('POST', `${this.session}/window/rect`, { width, height });
  }

  // The page as PNG, in base64.
  screenshot() {
    return this.ask('GET', `${this.session}/screenshot`);
  }

  // A command of Chromium's own.
  command(cmd, params) {
    return this.ask('POST', `${this.session}/goog/cdp/execute`, { cmd, params });
  }

  logs() {
    return this.ask('POST', `${this.session}/se/log`, { type: 'browser' });
  }

  title() {
    return this.ask('GET', `${this.session}/title`);
  }

  async stop() {
    if (this.session) await this.ask('DELETE', this.session).catch(() => {});
    if (!this.driver) return;
    const gone = new Promise((done) => this.driver.once('exit', done));
    this.driver.kill();
    await gone;
  }
}
