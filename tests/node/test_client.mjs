#!/usr/bin/env node
/* client/node against a real daemon: each verb and each error, lost connections, kill -9 of the daemon, a token, a unix
 * socket, and what the types say. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";

import { CancelledError, Client, NotDone, Problem, Task, TaskFailed, Unreachable } from "../../client/node/futured.mjs";
import { BUILD, close, Daemon, main, ROOT, WAIT_S } from "./support.mjs";

const HANDLERS = {
  fail: { exec: ["sh", "-c", "echo oops >&2; exit 3"], retries: 0 },
  bytes: { exec: ["cat"], content_type: "application/octet-stream" },
  says: { exec: ["sh", "-c", "echo one >&2; echo two >&2; echo out"] },
};
const NEVER = { seconds: 3600 };
const daemon = await new Daemon(HANDLERS, { MAX_WORKERS: "4" }).start();
const client = new Client(daemon.url);
const left = { timeout: WAIT_S };

async function all(iterable) {
  const found = [];
  for await (const each of iterable) found.push(each);
  return found;
}

/* Waits until a future is in a state. */
async function until(task, state) {
  while ((await client.get(task)).state !== state);
}

/* A proxy in front of the daemon. `onAnswer(number, client, data)` may swallow an answer: true. */
async function proxy(onAnswer) {
  const at = new URL(daemon.url);
  let answers = 0;
  const server = net.createServer((near) => {
    const far = net.connect(Number(at.port), at.hostname);
    near.on("data", (data) => far.write(data)).on("error", () => far.destroy()).on("close", () => far.destroy());
    far.on("data", (data) => { if (!onAnswer((answers += 1), near, data)) near.write(data); });
    far.on("error", () => near.destroy()).on("close", () => near.destroy());
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return { url: `http://127.0.0.1:${server.address().port}`, server };
}

const tests = {
  async submitsValues() {
    for (const value of ["text with ünïcode", { a: [1, null, "x"] }, 17, null, "", [], false])
      assert.deepEqual(await (await client.submit("echo", value)).result(left), value);
    const bytes = Buffer.from([0, 255, 10, 13, 0x80]);
    assert.deepEqual(await (await client.submit("echo", bytes)).result(left), bytes);
    assert.deepEqual(await (await client.submit("echo", new Uint8Array(bytes))).result(left), bytes);
    assert.equal(await (await client.submit("echo", bytes, { contentType: "text/plain" })).result(left) !== undefined, true);
    assert.equal((await (await client.submit("echo")).result(left)).length, 0);
  },

  async takesOptions() {
    const at = new Date(Date.now() + 3600e3);
    const task = await client.submit("echo", 1, { run_at: at, priority: 7, queue: "later", retries: undefined });
    assert.equal(Date.parse(task.info.due_at), at.getTime());
    assert.deepEqual([task.info.state, task.info.priority, task.info.queue], ["scheduled", 7, "later"]);
    assert.equal(await task.done(), false);
    assert.equal(await task.cancel(), true);
    const raw = await client.submit("echo", Buffer.from("x"), { priority: 3, delay: 3600 });
    assert.equal(raw.info.priority, 3);
    await raw.cancel();
    await assert.rejects(client.submit("echo", Buffer.from("x"), { after: ["x"] }), TypeError);
    await assert.rejects(client.submit("echo", "x", { contentType: "text/plain" }), TypeError);
  },

  async mapsInOrder() {
    assert.deepEqual(await all(client.map("echo", Array.from({ length: 500 }, (_, n) => n), left)),
      Array.from({ length: 500 }, (_, n) => n));
    assert.deepEqual(await all(client.map("echo", [])), []);
    assert.deepEqual(await all(client.map("bytes", ["a", "b"], left)), [Buffer.from("a"), Buffer.from("b")]);
    await assert.rejects(all(client.map("fail", [1], left)), (e) => e instanceof TaskFailed && e.code === "exit");
    await assert.rejects(all(client.map("echo", Array(10001).fill(0))), RangeError);
    const slow = client.map("sleep", [NEVER], { timeout: 0.2 });
    await assert.rejects(slow.next(), NotDone);
    for await (const { id } of client.list({ handler: "sleep", state: ["queued", "running"] })) await client.cancel(id);
  },

  async batchesAsTheyAreDone() {
    const batch = await client.batch([{ handler: "sleep", input: NEVER, name: "long" }, { handler: "echo", input: 1 },
      { handler: "echo", input: 2 }]);
    assert.equal(batch.length, 3);
    assert.deepEqual([...batch].map((task) => task.id), batch.ids);
    const done = batch.asCompleted(left);
    const first = [(await done.next()).value, (await done.next()).value];
    assert.deepEqual(first.map((future) => future.result).sort(), [1, 2]);
    assert.equal((await batch.refresh()).total, 3);
    await batch.cancel();
    const { value: last } = await done.next();
    assert.deepEqual([last.id, last.state], [batch.ids[0], "cancelled"]);
    assert.equal((await done.next()).done, true);
    assert.deepEqual((await all(batch.results(left))).map((future) => future.id), batch.ids);
    const values = batch.values(left);
    await assert.rejects(values.next(), CancelledError);
    const named = [batch.ids[2], new Task(client, batch.ids[1]), batch.ids[2]];
    assert.deepEqual((await all(client.results(named, left))).map((future) => future.result), [2, 1, 2]);
    const events = await all(batch.events(left));
    assert.deepEqual(events.map(({ event }) => event), ["done", "done", "done", "end"]);
    assert.deepEqual((await all(batch.events({ ...left, last: events[0].id }))).map(({ event }) => event), ["done", "done", "end"]);
    assert.deepEqual(await all(client.events([])), []);
    for (const tell of [(kinds) => batch.events({ ...left, kinds }), (kinds) => client.events(batch.ids, { ...left, kinds })]) {
      assert.deepEqual((await all(tell(["log", "done"]))).map(({ event }) => event), ["done", "done", "done", "end"]);
      assert.deepEqual((await all(tell(["started", "waiting"]))).map(({ event }) => event), ["end"]);
      await assert.rejects(all(tell(["ended"])), { code: "invalid_parameter" });
    }
  },

  async failsFast() {
    const batch = await client.batch([{ handler: "sleep", input: NEVER }, { handler: "fail" }], { failFast: true });
    assert.deepEqual((await all(batch.results(left))).map((future) => future.state), ["cancelled", "failed"]);
  },

  async waits() {
    const never = await client.submit("sleep", NEVER), done = await client.submit("echo", 1), bad = await client.submit("fail");
    assert.deepEqual(await client.wait([never, done], { returnWhen: "FIRST_COMPLETED", ...left }), { done: [done.id], notDone: [never.id] });
    assert.deepEqual((await client.wait([never, bad], { returnWhen: "FIRST_EXCEPTION", ...left })).done, [bad.id]);
    assert.deepEqual(await client.wait([never], { timeout: 0.1 }), { done: [], notDone: [never.id] });
    assert.deepEqual(await client.wait([]), { done: [], notDone: [] });
    await assert.rejects(never.result({ timeout: 0.1 }), NotDone);
    await never.cancel();
    assert.deepEqual((await client.wait([never, done, bad], left)).notDone, []);
  },

  async cancels() {
    const runs = await client.submit("sleep", NEVER);
    await until(runs, "running");
    assert.equal(await runs.cancel({ running: false }), false);
    assert.equal(await runs.cancel(), true);
    await assert.rejects(runs.result(left), CancelledError);
    const done = await client.submit("echo", 1);
    await done.result(left);
    assert.equal(await done.cancel(), false);
    await done.delete();
    await done.delete();
    await assert.rejects(done.refresh(), (e) => e instanceof Problem && e.status === 404 && e.code === "unknown_future");
  },

  async tellsErrors() {
    const failed = await client.submit("fail");
    await assert.rejects(failed.result(left), (e) => e instanceof TaskFailed && e.code === "exit" && /oops/.test(e.log));
    assert.equal((await failed.retry()).done, false);
    await assert.rejects(failed.result(left), TaskFailed);
    await assert.rejects(client.submit("nobody", 1), (e) => e instanceof Problem && e.code === "unknown_handler");
    await assert.rejects(client.batch([{ handler: "echo" }, { handler: "echo", priority: 1000 }]),
      (e) => e instanceof Problem && e.info.line === 2);
    await assert.rejects(client.submit("echo", 1, { priority: 1000 }), (e) => e.field === "priority");
    await assert.rejects(new Client("http://127.0.0.1:1", { patience: 0.3 }).submit("echo", 1), Unreachable);
    for (const url of ["ftp://x", "127.0.0.1:80", "http://x/path"]) assert.throws(() => new Client(url), TypeError);
  },

  async readsLogs() {
    const task = await client.submit("says");
    assert.equal(await task.result(left), "out\n");
    assert.equal(await task.log(), "one\ntwo\n");
    assert.equal((await all(task.followLog())).join(""), "one\ntwo\n");
  },

  async lists() {
    const batch = await client.batch(Array.from({ length: 1203 }, () => ({ handler: "echo", input: 1 })));
    await batch.wait(left);
    const found = await all(client.list({ batch: batch.id }));
    assert.deepEqual(new Set(found.map(({ id }) => id)), new Set(batch.ids));
    assert.equal((await all(client.list({ batch: batch.id, limit: 1001 }))).length, 1001);
    assert.deepEqual(await all(client.list({ batch: batch.id, before: new Date(0) })), []);
  },

  async showsTheDaemon() {
    assert.ok((await client.handlers()).some(({ name }) => name === "echo"));
    assert.deepEqual((await client.pools()).map(({ lane }) => lane).sort(), ["cpu", "io"]);
    assert.ok((await client.workers()).length > 0);
    assert.ok((await client.stats()) instanceof Object);
    await client.request("PUT", "/v1/limits/mine", { max_running: 2 });
    assert.equal((await client.request("GET", "/v1/limits/mine")).max_running, 2);
    assert.equal(await client.request("DELETE", "/v1/limits/mine"), undefined);
  },

  async ends_a_wait_by_a_signal() {
    const task = await client.submit("sleep", NEVER);
    for (const wait of [(signal) => task.result({ signal }), (signal) => all(client.events([task], { signal })),
      (signal) => client.wait([task], { signal })]) {
      const stop = new AbortController();
      const waiting = wait(stop.signal);
      setTimeout(() => stop.abort(new Error("enough")), 50);
      await assert.rejects(waiting, (e) => e.message === "enough" || e.name === "AbortError");
    }
    assert.equal((await task.refresh()).done, false);
    await task.cancel();
  },

  /* The answer to a submission is lost: it is sent again, and makes one task. */
  async submits_once_over_a_lost_answer() {
    const { url, server } = await proxy((number, near) => number === 1 && (near.destroy(), true));
    const through = new Client(url);
    const task = await through.submit("echo", "once", { queue: "once" });
    assert.equal(await task.result(left), "once");
    assert.equal((await all(client.list({ queue: "once" }))).length, 1);
    through.close();
    server.close();
  },

  /* Each stream is cut several times: each end is told once. */
  async streams_go_on_where_they_broke() {
    let cuts = 0;
    const { url, server } = await proxy((number, near, data) => {
      if (cuts >= 6 || number < 2 || !/"event":"done"/.test(data.toString("latin1"))) return false;
      cuts += 1;
      near.write(data.subarray(0, data.length - 7));
      near.destroy();
      return true;
    });
    const through = new Client(url);
    const batch = await client.batch(Array.from({ length: 300 }, (_, n) => ({ handler: "sleep", input: { seconds: n < 4 ? 0.2 * n : 0 } })));
    for (const tasks of [through.asCompleted(batch.ids, left), through.asCompleted((await through.batch(
      Array.from({ length: 300 }, (_, n) => ({ handler: "echo", input: n })))), left)])
      assert.equal(new Set((await all(tasks)).map(({ id }) => id)).size, 300);
    assert.ok(cuts >= 2, `${cuts} cuts`);
    through.close();
    server.close();
  },

  async survives_kill_9_of_the_daemon() {
    const batch = await client.batch(Array.from({ length: 2000 }, (_, n) => ({ handler: "echo", input: n })));
    const ids = [];
    for await (const { id } of batch.asCompleted(left)) {
      ids.push(id);
      if (ids.length === 100 || ids.length === 1500) await daemon.restart("SIGKILL");
    }
    assert.deepEqual([...ids].sort(), [...batch.ids].sort());
    assert.equal((await all(client.list({ batch: batch.id, state: "succeeded" }))).length, 2000);
  },

  async needs_a_token() {
    const guarded = new Daemon(undefined, { FUTURED_TOKENS: join(daemon.directory, "tokens") });
    writeFileSync(guarded.settings.FUTURED_TOKENS, `${"t".repeat(32)} submit,read\n`);
    await guarded.start();
    await assert.rejects(new Client(guarded.url, { token: "wrong" }).submit("echo", 1), (e) => e.status === 401);
    assert.deepEqual(await all(new Client(guarded.url, { token: "t".repeat(32) }).map("echo", [1, 2], left)), [1, 2]);
    await guarded.stop();
  },

  async speaks_over_a_unix_socket() {
    const near = await new Daemon(undefined, { FUTURED_LISTEN: `unix:${join(daemon.directory, "socket")}` }).start();
    const local = new Client(near.url);
    assert.match(local.url, /^unix:/);
    assert.deepEqual(await all(local.map("echo", ["a", "b"], left)), ["a", "b"]);
    await near.stop();
  },

  /* An idle connection holds no program up. */
  async a_program_ends_by_itself() {
    const program = `import { Client } from ${JSON.stringify(join(ROOT, "client/node/futured.mjs"))};
      const task = await new Client().submit("echo", 5);
      console.log(await task.result());`;
    const done = spawnSync(process.execPath, ["--input-type=module", "-e", program],
      { env: { PATH: process.env.PATH, FUTURED_URL: daemon.url }, timeout: WAIT_S * 1000, encoding: "utf8" });
    assert.deepEqual([done.status, done.stdout], [0, "5\n"], done.stderr);
  },

  async the_program_of_the_readme_runs() {
    const readme = readFileSync(join(ROOT, "client/node/README.md"), "utf8");
    const [, text] = /```js\n([^]*?)```/.exec(readme);
    const program = text.replace('"futured"', JSON.stringify(join(ROOT, "client/node/futured.mjs")));
    const done = spawnSync(process.execPath, ["--input-type=module", "-e", program],
      { env: { PATH: process.env.PATH, FUTURED_URL: daemon.url }, timeout: WAIT_S * 1000, encoding: "utf8" });
    assert.equal(done.status, 0, done.stderr);
    const lines = done.stdout.trim().split("\n");
    assert.match(lines[0], /^[0-9a-f-]{36} 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824$/);
    assert.deepEqual(lines.slice(1, 4), ["1", "2", "3"]);
    assert.equal(lines.slice(4, 6).every((line) => line.endsWith(" succeeded")), true);
    assert.equal(lines[6], "bad_input");
  },

  /* tsc reads the types, a program that uses them, and finds the errors of one that misuses them. */
  async types_are_right() {
    const compiler = join(BUILD, "../openapi-tools/node_modules/.bin/tsc");
    assert.ok(existsSync(compiler), "run tests/deps.sh test: no npm tools in build/");
    const run = (file) => spawnSync(compiler, ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext",
      "--lib", "es2022,dom", "--skipLibCheck", "false", join(ROOT, "tests/node", file)], { encoding: "utf8" });
    const good = run("types_good.mts");
    assert.equal(good.status, 0, good.stdout);
    const bad = run("types_bad.mts");
    const lines = bad.stdout.split("\n").filter((line) => /error TS/.test(line)).map((line) => Number(/\((\d+),/.exec(line)?.[1]));
    assert.deepEqual(lines, [4, 5, 6, 7, 8, 9], bad.stdout);
  },

  /* What the module has, the types have, and the other way round. */
  async types_are_complete() {
    const types = readFileSync(join(ROOT, "client/node/futured.d.mts"), "utf8");
    const module = await import("../../client/node/futured.mjs");
    const declared = [...types.matchAll(/export class (\w+)/g)].map((found) => found[1]);
    assert.deepEqual(Object.keys(module).sort(), declared.sort());
    for (const name of ["Client", "Task", "Batch"]) {
      const text = new RegExp(`export class ${name} [^]*?\n}`).exec(types)[0];
      for (const method of Object.getOwnPropertyNames(module[name].prototype))
        assert.match(text, new RegExp(`^  (readonly )?${method}[(:]`, "m"), `${name}.${method}`);
      for (const [, method] of text.matchAll(/^  (\w+)\(/gm))
        if (method !== "constructor") assert.equal(typeof module[name].prototype[method], "function", `${name}.${method}`);
    }
  },
};

const result = await main(tests);
client.close();
await daemon.stop();
close(result);
