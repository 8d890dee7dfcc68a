/* What the tests of client/node share: a daemon of their own, and a runner that counts as libcheck does. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
export const BUILD = resolve(process.env.FUT_BUILD ?? join(ROOT, "build/debug"));
export const WAIT_S = 60 * Number(process.env.CK_TIMEOUT_MULTIPLIER ?? 1); // after which a test gives up

/* A futured in a directory of its own, on a port that the kernel chose. `handlers`: its handlers file. */
export class Daemon {
  constructor(handlers, settings = {}) {
    this.directory = mkdtempSync(join(tmpdir(), "futured-node-"));
    this.settings = { ...settings };
    if (handlers) {
      this.settings.FUTURED_HANDLERS = join(this.directory, "handlers.json");
      writeFileSync(this.settings.FUTURED_HANDLERS, JSON.stringify(handlers));
    }
  }

  /* Starts it, again at the address that it had. */
  async start() {
    const env = { HOME: this.directory, FUTURED_DB: join(this.directory, "futured.db") };
    for (const [name, value] of Object.entries(process.env))
      if (["PATH", "LANG"].includes(name) || name.endsWith("SAN_OPTIONS")) env[name] = value;
    Object.assign(env, { FUTURED_LISTEN: this.url?.replace("http://", "") ?? "127.0.0.1:0" }, this.settings);
    this.process = spawn(join(BUILD, "futured"), [], { cwd: this.directory, env, stdio: ["ignore", "ignore", "pipe"] });
    this.exited = new Promise((done) => this.process.once("exit", (code) => done(code)));
    const said = [];
    for await (const line of createInterface({ input: this.process.stderr })) {
      said.push(line);
      const found = /\baddress=(\S+)/.exec(line);
      if (!found) continue;
      this.process.stderr.resume();
      this.url = found[1].startsWith("/") || found[1].startsWith("unix:") ? `unix:${found[1].replace("unix:", "")}` : `http://${found[1]}`;
      return this;
    }
    throw new Error(`the daemon did not start:\n${said.join("\n")}`);
  }

  async end(signal = "SIGTERM") {
    this.process.kill(signal);
    return this.exited;
  }

  async restart(signal = "SIGKILL") {
    await this.end(signal);
    await this.start();
  }

  /* Ends it; it must exit with 0. */
  async stop() {
    const code = await this.end();
    rmSync(this.directory, { recursive: true, force: true });
    if (code !== 0) throw new Error(`the daemon ended with ${code}`);
  }
}

/* Runs the tests one after the other; the closing line is what tests/run.sh adds up. FUT_VERBOSE names each. */
export async function main(tests) {
  const wanted = process.argv.slice(2);
  let bad = 0, checks = 0;
  for (const [name, test] of Object.entries(tests)) {
    if (wanted.length && !wanted.includes(name)) continue;
    checks += 1;
    let timer;
    const late = new Promise((_, no) => { timer = setTimeout(() => no(new Error(`not done in ${2 * WAIT_S} s`)), 2000 * WAIT_S); });
    try {
      await Promise.race([test(), late]);
      if (process.env.FUT_VERBOSE) console.log("ok   ", name);
    } catch (error) {
      bad += 1;
      console.log(`FAIL: ${name}\n${error.stack ?? error}`);
    }
    clearTimeout(timer);
  }
  return { checks, bad };
}

export function close({ checks, bad }) {
  console.log(`${Math.floor((100 * (checks - bad)) / Math.max(1, checks))}%: Checks: ${checks}, Failures: ${bad}, Errors: 0`);
  process.exit(bad ? 1 : 0);
}
