// SPDX-License-Identifier: Apache-2.0
/* futured for Node 18 or later: durable futures on a futured daemon. One module, no dependency.
 *
 *     import { Client } from "futured";
 *     const client = new Client();                              // $FUTURED_URL, else http://127.0.0.1:8420
 *     const task = await client.submit("sha256", "hello");      // on disk once this is fulfilled
 *     console.log(task.id, await task.result());
 *     for await (const digest of client.map("sha256", ["a", "b", "c"])) console.log(digest);
 *
 * futured.d.mts has the types, and what each method does and rejects with. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { setTimeout as sleep } from "node:timers/promises";

const LONG_POLL_S = 50; // the daemon cuts a longer ?wait to this
const ANSWER_MS = 60000; // without a byte for so long, beside a wait that was asked for, a connection is lost
const FIRST_PAUSE_MS = 50;
const LAST_PAUSE_MS = 2000;
const FULL_PAUSE_MS = 5000; // a full queue is tried again after that at most
const MAP_MAX = 10000; // tasks of a batch
const JSON_TYPE = "application/json";
const NDJSON_TYPE = "application/x-ndjson";
const SUBMISSIONS = /^\/v1\/(tasks(\/[^/?]+)?|batches|promises)([?]|$)/;

// ---- errors -------------------------------------------------------------------------------------------------

export class FuturedError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

export class Unreachable extends FuturedError {}

export class NotDone extends FuturedError {}

export class CancelledError extends FuturedError {}

export class Problem extends FuturedError {
  constructor(status, info) {
    super(`${status} ${info.code ?? "without a code"}: ${info.detail ?? info.title ?? ""}`);
    this.status = status;
    this.code = info.code ?? "";
    this.detail = info.detail ?? info.title ?? "";
    this.field = info.field;
    this.info = info;
  }
}

export class TaskFailed extends FuturedError {
  constructor(error) {
    super(`${error.code ?? "failed"}: ${error.message ?? ""}`);
    this.code = error.code ?? "";
    this.type = error.type;
    this.log = error.log ?? "";
    this.error = error;
  }
}

/* What a future that is done ended with; null: it succeeded. */
function failureOf(future) {
  if (future.state === "succeeded") return null;
  const error = future.error ?? {};
  return future.state === "cancelled" ? new CancelledError(error.message ?? "cancelled") : new TaskFailed(error);
}

// ---- values -------------------------------------------------------------------------------------------------

const isBytes = (value) => value instanceof Uint8Array || value instanceof ArrayBuffer;
const idOf = (task) => (typeof task === "string" ? task : task.id);

/* An option as JSON has it: a Date as RFC 3339 writes it. */
const member = (value) => (value instanceof Date ? value.toISOString() : value);

function members(options) {
  const found = {};
  for (const [name, value] of Object.entries(options)) if (value != null) found[name] = member(value);
  return found;
}

function target(path, query = {}) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value != null) found.set(name, String(member(value)));
  const text = found.toString();
  return text ? `${path}?${text}` : path;
}

/* The result of a future that is done, as the API shows it: JSON and text as they are, anything else as bytes. */
function valueOf(future) {
  const failure = failureOf(future);
  if (failure) throw failure;
  const found = future.result;
  if (found && typeof found === "object" && "href" in found && "content_type" in found && Object.keys(found).length === 3)
    return "base64" in found ? Buffer.from(found.base64, "base64") : (found.text ?? found);
  return found;
}

function decode(body, type = "application/octet-stream") {
  const base = type.split(";")[0].trim().toLowerCase();
  if (base === JSON_TYPE) return JSON.parse(body.toString("utf8"));
  return base.startsWith("text/") ? body.toString("utf8") : body;
}

function parsed(body) {
  try {
    const found = JSON.parse(body.toString("utf8"));
    return found && typeof found === "object" ? found : {};
  } catch {
    return {};
  }
}

// ---- requests -----------------------------------------------------------------------------------------------

/* The milliseconds that a caller has; Infinity without a `timeout` (seconds). */
class Deadline {
  constructor(timeout) {
    this.until = timeout == null ? Infinity : performance.now() + timeout * 1000;
  }
  ms() {
    return Math.max(0, this.until - performance.now());
  }
  poll() {
    return Math.min(LONG_POLL_S, this.ms() / 1000);
  }
  hasPassed() {
    return this.ms() === 0;
  }
}

/* How long to pause after each try of a request; the time of a daemon's restart is bridged. */
class Tries {
  constructor(call, patience) {
    this.call = call;
    this.deadline = new Deadline(patience);
    this.pause = FIRST_PAUSE_MS;
    this.failures = 0;
  }
  /* The connection failed: milliseconds to pause; throws Unreachable. */
  failed(error) {
    this.failures += 1;
    if (!this.call.again || this.deadline.hasPassed())
      throw new Unreachable(`${this.call.method} ${this.call.path}: ${error.message || error.code}`, { cause: error });
    const pause = this.pause * (0.8 + 0.4 * Math.random());
    this.pause = Math.min(this.pause * 2, LAST_PAUSE_MS);
    return this.failures === 1 ? 0 : pause;
  }
  /* An answer came: null when it counts, else the milliseconds to pause (503 with Retry-After). */
  answered(status, headers, body) {
    const after = headers["retry-after"];
    if (status !== 503 || !this.call.again || !/^\d+$/.test(after ?? "")) return null;
    if (this.call.isSubmission && parsed(body).code === "queue_full") return Math.min(after * 1000, FULL_PAUSE_MS);
    return this.deadline.hasPassed() ? null : Math.min(after * 1000, this.deadline.ms());
  }
}

function addressOf(url) {
  const unix = /^unix:(?:\/\/)?(\/.*)$/.exec(url);
  if (unix) return { secure: false, options: { socketPath: unix[1], host: "localhost" } };
  const found = /^https?:\/\//.test(url) ? new URL(url) : null;
  if (!found || !["", "/"].includes(found.pathname) || found.search || found.username)
    throw new TypeError(`not an address of a daemon: ${url}; http://HOST:PORT, https://HOST:PORT or unix:/PATH`);
  const secure = found.protocol === "https:";
  const host = found.hostname.replace(/^\[|\]$/g, "");
  return { secure, options: { host, port: found.port || (secure ? 443 : 80) } };
}

function defaultToken() {
  const { FUTURED_TOKEN: token, FUTURED_TOKEN_FILE: file } = process.env;
  return token || (file ? readFileSync(file, "utf8").trim() : undefined);
}

async function wholeBody(response) {
  const parts = [];
  for await (const part of response) parts.push(part);
  return Buffer.concat(parts);
}

/* Sends requests over connections that are kept. */
class Transport {
  constructor(url, { token, ca, patience }) {
    const address = addressOf(url);
    this.url = url;
    this.patience = patience;
    this.token = token ?? defaultToken();
    this.module = address.secure ? https : http;
    this.agent = new this.module.Agent({ keepAlive: true });
    this.options = { ...address.options, ...(ca ? { ca: readFileSync(ca) } : {}) };
  }

  /* One try: fulfilled with the response once its head is there. */
  send(call) {
    const headers = { ...call.headers };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (call.body !== undefined) headers["Content-Length"] = Buffer.byteLength(call.body);
    return new Promise((resolve, reject) => {
      const { method, path, signal } = call;
      const agent = call.again ? this.agent : new this.module.Agent(); // a kept connection may be closed already
      const request = this.module.request({ ...this.options, method, path, headers, agent, signal });
      request.setTimeout(ANSWER_MS + call.wait * 1000, () => request.destroy(new Error("nothing came for a minute")));
      request.on("response", resolve).on("error", reject);
      request.end(call.body);
    });
  }

  /* Sends until an answer counts: { status, headers, body }. */
  async exchange(call) {
    const tries = new Tries(call, this.patience);
    for (;;) {
      let pause;
      try {
        const response = await this.send(call);
        const body = await wholeBody(response);
        pause = tries.answered(response.statusCode, response.headers, body);
        if (pause === null) return { status: response.statusCode, headers: response.headers, body };
      } catch (error) {
        call.signal?.throwIfAborted();
        pause = tries.failed(error);
      }
      await sleep(pause, undefined, { signal: call.signal });
    }
  }

  /* The events of a batch ({ batch }) or of named futures ({ ids }) behind the event `last`, to `end`. A stream that
   * breaks, or that a daemon ends because it stops, goes on where it was. */
  async *follow(what, { last, kinds, signal }, deadline) {
    let tries = null;
    for (;;) {
      const call = streamCall(what, last, kinds, signal);
      tries ??= new Tries(call, this.patience);
      let pause = FIRST_PAUSE_MS; // it ended without `end`: the daemon is about to stop
      try {
        for await (const line of this.lines(call, tries, deadline)) {
          const event = JSON.parse(line);
          if (event.event === "keep-alive") continue;
          tries = new Tries(call, this.patience);
          if (event.id != null) last = Number(event.id);
          yield { event: event.event, id: event.id == null ? null : Number(event.id), data: event.data ?? {} };
          if (event.event === "end") return;
        }
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof FuturedError || error instanceof SyntaxError) throw error;
        pause = tries.failed(error);
      }
      await sleep(Math.min(pause, deadline.ms()), undefined, { signal });
    }
  }

  /* The lines of a stream; throws Problem when the answer is none, NotDone at the end of the caller's time. */
  async *lines(call, tries, deadline) {
    const stop = new AbortController();
    const timer = deadline.until === Infinity ? null : setTimeout(() => stop.abort(), deadline.ms());
    const abort = () => stop.abort();
    call.signal?.addEventListener("abort", abort);
    try {
      const response = await this.send({ ...call, signal: stop.signal });
      if (response.statusCode !== 200) {
        const body = await wholeBody(response);
        const pause = tries.answered(response.statusCode, response.headers, body);
        if (pause === null) throw new Problem(response.statusCode, parsed(body));
        await sleep(pause, undefined, { signal: stop.signal });
        return;
      }
      let rest = "";
      for await (const part of response.setEncoding("utf8")) {
        const found = (rest + part).split("\n");
        rest = found.pop();
        yield* found.filter((line) => line.trim());
      }
    } catch (error) {
      if (stop.signal.aborted && deadline.hasPassed()) throw new NotDone("not all of the tasks are done");
      throw error;
    } finally {
      clearTimeout(timer);
      call.signal?.removeEventListener("abort", abort);
      stop.abort();
    }
  }
}

/* A request. `again`: the daemon does it once however often it is sent; `wait`: seconds that it may take on purpose. */
function callOf(method, path, { value, body, type, again = true, wait = 0, signal } = {}) {
  const isSubmission = method === "POST" && SUBMISSIONS.test(path);
  const headers = {};
  if (value !== undefined) [body, type] = [JSON.stringify(value), JSON_TYPE];
  if (type) headers["Content-Type"] = type;
  if (method === "POST") headers["Idempotency-Key"] = `"${randomUUID()}"`;
  return { method, path, headers, body, again, wait, signal, isSubmission };
}

function streamCall({ ids, batch }, last, kinds, signal) {
  const query = kinds ? `?events=${encodeURIComponent(Array.from(kinds).join(","))}` : "";
  const call = batch
    ? callOf("GET", `/v1/batches/${encodeURIComponent(batch)}/events${query}`, { signal })
    : callOf("POST", `/v1/as_completed${query}`, { value: { ids }, signal });
  call.headers.Accept = NDJSON_TYPE;
  if (last != null) call.headers["Last-Event-ID"] = String(last);
  return call;
}

/* The ids, or the batch, that a caller names. */
function many(tasks) {
  return tasks instanceof Batch ? { batch: tasks.id } : { ids: Array.from(tasks, idOf) };
}

// ---- the client ---------------------------------------------------------------------------------------------

export class Client {
  #transport;

  constructor(url, { token, ca, patience = 30 } = {}) {
    this.#transport = new Transport(url ?? process.env.FUTURED_URL ?? "http://127.0.0.1:8420", { token, ca, patience });
  }

  get url() {
    return this.#transport.url;
  }

  close() {
    this.#transport.agent.destroy();
  }

  async #json(call) {
    const { status, body } = await this.#transport.exchange(call);
    if (status < 200 || status >= 300) throw new Problem(status, parsed(body));
    return body.length ? JSON.parse(body.toString("utf8")) : undefined;
  }

  #future(task, rest = "") {
    return `/v1/futures/${encodeURIComponent(idOf(task))}${rest}`;
  }

  async submit(handler, input, { signal, contentType, ...options } = {}) {
    const given = members(options);
    if (!isBytes(input)) {
      if (contentType) throw new TypeError("contentType is for an input of bytes");
      const value = input === undefined ? { ...given, handler } : { ...given, handler, input };
      return new Task(this, await this.#json(callOf("POST", "/v1/tasks", { value, signal })));
    }
    for (const [name, value] of Object.entries(given))
      if (typeof value === "object") throw new TypeError(`${name} cannot stand beside an input of bytes`);
    const path = target(`/v1/tasks/${encodeURIComponent(handler)}`, given);
    const type = contentType ?? "application/octet-stream";
    return new Task(this, await this.#json(callOf("POST", path, { body: Buffer.from(input), type, signal })));
  }

  async batch(tasks, { failFast, callback, signal } = {}) {
    const lines = Array.from(tasks, (task) => JSON.stringify(members(task)));
    const path = target("/v1/batches", { fail_fast: failFast || undefined, callback });
    return new Batch(this, await this.#json(callOf("POST", path, { body: lines.join("\n"), type: NDJSON_TYPE, signal })));
  }

  async *map(handler, inputs, { timeout, signal, ...options } = {}) {
    const deadline = new Deadline(timeout);
    const tasks = Array.from(inputs, (input) => ({ ...options, handler, input }));
    if (tasks.length > MAP_MAX) throw new RangeError(`a map has ${MAP_MAX} inputs at most, not ${tasks.length}`);
    if (tasks.length === 0) return;
    const batch = await this.batch(tasks, { signal });
    yield* batch.values({ timeout: deadline.until === Infinity ? undefined : deadline.ms() / 1000, signal });
  }

  get(task, { wait, signal } = {}) {
    return this.#json(callOf("GET", target(this.#future(task), { wait }), { wait, signal }));
  }

  async result(task, { timeout, signal } = {}) {
    const deadline = new Deadline(timeout);
    for (;;) {
      const wait = deadline.poll();
      const call = callOf("GET", target(this.#future(task, "/result"), { wait }), { wait, signal });
      const { status, headers, body } = await this.#transport.exchange(call);
      if (status === 200) return decode(body, headers["content-type"]);
      const info = parsed(body);
      if (info.code === "task_failed") throw new TaskFailed(info.error ?? info);
      if (info.code === "task_cancelled") throw new CancelledError(info.detail ?? "cancelled");
      if (info.code !== "not_done") throw new Problem(status, info);
      if (deadline.hasPassed()) throw new NotDone(`task ${idOf(task)} is not done`);
    }
  }

  async cancel(task, { running = true, signal } = {}) {
    const path = target(this.#future(task, "/cancel"), { running: running ? undefined : false });
    try {
      await this.#json(callOf("POST", path, { signal }));
      return true;
    } catch (error) {
      if (error instanceof Problem && ["already_done", "already_running"].includes(error.code)) return false;
      throw error;
    }
  }

  retry(task, { fresh, signal } = {}) {
    const path = target(this.#future(task, "/retry"), { fresh: fresh || undefined });
    return this.#json(callOf("POST", path, { again: false, signal }));
  }

  async delete(task, { signal } = {}) {
    try {
      await this.#json(callOf("DELETE", this.#future(task), { signal }));
    } catch (error) {
      if (!(error instanceof Problem && error.code === "unknown_future")) throw error;
    }
  }

  async log(task, { signal } = {}) {
    return (await this.#logPart(task, 0, 0, signal)).text;
  }

  async *followLog(task, { signal } = {}) {
    for (let from = 0; ; ) {
      const part = await this.#logPart(task, from, LONG_POLL_S, signal);
      if (part.text) yield part.text;
      if (part.isLast) return;
      from = part.next;
    }
  }

  async #logPart(task, from, wait, signal) {
    const call = callOf("GET", target(this.#future(task, "/log"), { from, wait: wait || undefined }), { wait, signal });
    const { status, headers, body } = await this.#transport.exchange(call);
    if (status !== 200) throw new Problem(status, parsed(body));
    const isDone = ["succeeded", "failed", "cancelled"].includes(headers["futured-state"]);
    return { text: body.toString("utf8"), next: headers["futured-log-next"] ?? 0, isLast: isDone && !body.length };
  }

  async wait(tasks, { timeout, returnWhen = "ALL_COMPLETED", signal } = {}) {
    const deadline = new Deadline(timeout);
    const what = many(tasks);
    if (what.ids?.length === 0) return { done: [], notDone: [] };
    for (;;) {
      const wait = deadline.poll();
      const value = { ...what, return_when: returnWhen, timeout: wait };
      const found = await this.#json(callOf("POST", "/v1/wait", { value, wait, signal }));
      const isEnough = found.done.length > 0 && returnWhen !== "ALL_COMPLETED" && (await this.#isEnough(found, returnWhen));
      if (!found.not_done.length || deadline.hasPassed() || isEnough)
        return { done: found.done, notDone: found.not_done };
    }
  }

  async #isEnough(found, returnWhen) {
    if (returnWhen === "FIRST_COMPLETED") return true;
    for (const id of found.done) if ((await this.get(id)).state === "failed") return true;
    return false;
  }

  async *events(tasks, { last, kinds, timeout, signal } = {}) {
    const what = many(tasks);
    if (what.ids?.length === 0) return;
    yield* this.#transport.follow(what, { last, kinds, signal }, new Deadline(timeout));
  }

  async *asCompleted(tasks, options) {
    for await (const event of this.events(tasks, options)) if (event.event === "done") yield event.data;
  }

  async *results(tasks, options) {
    const listed = tasks instanceof Batch ? tasks : Array.from(tasks);
    const ids = listed instanceof Batch ? listed.ids : listed.map(idOf);
    const early = new Map();
    const areUnique = new Set(ids).size === ids.length;
    let next = 0;
    for await (const { event, data } of this.events(listed, options)) {
      if (event === "done") early.set(data.id, data);
      if (event === "gone") early.set(data.id, { ...data, state: "gone" });
      for (; next < ids.length && early.has(ids[next]); next += 1) {
        const future = early.get(ids[next]);
        if (areUnique) early.delete(ids[next]);
        yield future;
      }
    }
  }

  async *values(tasks, options) {
    for await (const future of this.results(tasks, options)) {
      if (future.state === "gone") throw new FuturedError(`task ${future.id} was deleted before its result was read`);
      yield valueOf(future);
    }
  }

  async cancelBatch(batch, { signal } = {}) {
    await this.#json(callOf("POST", `/v1/batches/${encodeURIComponent(idOf(batch))}/cancel`, { signal }));
  }

  async *list({ limit = Infinity, signal, ...filters } = {}) {
    for (let cursor, wanted = limit; wanted > 0; ) {
      const query = { ...filters, limit: Math.min(wanted, 1000), cursor };
      const found = await this.#json(callOf("GET", target("/v1/futures", query), { signal }));
      yield* found.futures;
      wanted -= found.futures.length;
      cursor = found.next_cursor;
      if (cursor === null) return;
    }
  }

  async handlers(options) {
    return (await this.request("GET", "/v1/handlers", undefined, options)).handlers;
  }

  async pools(options) {
    return (await this.request("GET", "/v1/pools", undefined, options)).pools;
  }

  async workers(options) {
    return (await this.request("GET", "/v1/workers", undefined, options)).workers;
  }

  stats(options) {
    return this.request("GET", "/v1/stats", undefined, options);
  }

  request(method, path, value, { query, signal } = {}) {
    const again = method !== "POST" || SUBMISSIONS.test(path);
    return this.#json(callOf(method, target(path, query), { value, again, signal }));
  }
}

export class Task {
  #client;

  constructor(client, info) {
    this.#client = client;
    this.info = typeof info === "string" ? { id: info } : info;
    this.id = this.info.id;
  }
  async refresh(options) {
    this.info = await this.#client.get(this.id, options);
    return this.info;
  }
  async done(options) {
    return (await this.refresh(options)).done;
  }
  result(options) {
    return this.#client.result(this.id, options);
  }
  cancel(options) {
    return this.#client.cancel(this.id, options);
  }
  async retry(options) {
    this.info = await this.#client.retry(this.id, options);
    return this.info;
  }
  delete(options) {
    return this.#client.delete(this.id, options);
  }
  log(options) {
    return this.#client.log(this.id, options);
  }
  followLog(options) {
    return this.#client.followLog(this.id, options);
  }
}

export class Batch {
  #client;

  constructor(client, info) {
    this.#client = client;
    this.id = info.id;
    this.ids = info.ids;
  }
  get length() {
    return this.ids.length;
  }
  *[Symbol.iterator]() {
    for (const id of this.ids) yield new Task(this.#client, id);
  }
  refresh(options) {
    return this.#client.request("GET", `/v1/batches/${encodeURIComponent(this.id)}`, undefined, options);
  }
  wait(options) {
    return this.#client.wait(this, options);
  }
  events(options) {
    return this.#client.events(this, options);
  }
  asCompleted(options) {
    return this.#client.asCompleted(this, options);
  }
  results(options) {
    return this.#client.results(this, options);
  }
  values(options) {
    return this.#client.values(this, options);
  }
  cancel(options) {
    return this.#client.cancelBatch(this, options);
  }
}
