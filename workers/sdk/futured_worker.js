// SPDX-License-Identifier: Apache-2.0
'use strict';
/* futured_worker: write a worker handler of futured in JavaScript (Node 16 or later, nothing from npm).
 *
 *     const worker = require('./futured_worker.js');
 *     worker.initializer(async () => { model = await load(); });   // once, before the first task
 *     worker.handler('count', async (task) => {
 *       task.progress(0.5, 'half');
 *       return { words: task.text.split(/\s+/).length };
 *     });
 *     worker.run();
 *
 * A program with one handler serves it under every name that the handlers file gives it. A handler
 * returns a Buffer, a string, a Result(bytes, contentType), or anything that JSON knows. What it throws
 * fails the task: its name is the error's kind, its stack the details; Temporary may be tried again,
 * Permanent never. What stands in its `errorData` (what a handler may return, up to 1 MiB) goes with it,
 * as `error.data` of the future. console.log goes to the task's log. task.signal is an AbortSignal that fires when the
 * task is cancelled; code that computes without ever awaiting does not see it.
 *
 * A task that takes long stores how far it is, and goes on from there when it is run again, whatever
 * ended the run before; with Suspend it ends a run itself and leaves its slot to others meanwhile:
 *
 *     worker.handler('crawl', async (task) => {
 *       for (let page = task.checkpoint ?? 0; page < 100000; page++) {  // what was saved last, or undefined
 *         await fetchPage(page);
 *         await task.save(page + 1);       // on disk once it is awaited; up to 1 MiB; else NotSaved
 *         // The daemon shuts down, or this worker is replaced: goes on as soon as it can.
 *         if (task.shouldYield) throw new worker.Suspend();  // Suspend(60): in a minute
 *       }
 *     });
 *
 * It may suspend itself until others have ended, however long that takes; no slot waits:
 *
 *     worker.handler('order', async (task) => {
 *       const [paid] = Object.values(task.results);    // { id: { state, done, result or error } }
 *       if (!paid) throw new worker.Suspend(3600, { until: [id] });   // an hour at most; 0: no limit
 *       return paid.result;
 *     });
 *
 * A task submits others and waits for them; its slot runs others meanwhile, so a task may wait for tasks of
 * its own pool, also where there is one slot:
 *
 *     worker.handler('fib', async (task) => {
 *       const n = task.json();
 *       if (n < 2) return n;
 *       const [a, b] = await task.map('fib', [n - 1, n - 2]);   // or const f = await task.submit('fib', n - 1);
 *       return a + b;                                           // await f.result()
 *     });
 *
 * A session (POST /v1/sessions) may have an `init`, which each process gets before its first task of it:
 *
 *     worker.session(async (init) => connect(init.json()));   // init.text, init.input; init.id: of the session
 *
 * What it returns is task.session of the session's tasks; what it throws breaks the session. The worker drops it when
 * the session has ended.
 *
 * run({ concurrency: N }): N tasks at once (io lane only); with softCancel: true the process is not given up
 * when one of them does not hear of its cancel. Node passes no descriptors and does not
 * fork, so memfd and fork=1 of the protocol are not offered.
 *
 * workers/wire/PROTOCOL.md of futured has the protocol that this speaks. */
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const { AsyncLocalStorage } = require('node:async_hooks');

const VERSION = 1;
const LINE_MAX = 1024;
const PROGRESS_MAX = 500;
const ERROR_MAX = 32768;
const FAIL_MAX = 2 ** 20; // bytes of an error's text and its data
const LOG_MAX = 65536;
const RESULT_MAX = 2 ** 30;
const TYPE_MAX = 127;
const SUSPEND_MAX = 31536000; // seconds
const SESSIONS_MAX = 64; // that a process is prepared for; the oldest gets its INIT again
const POLL_S = 10; // of one request that waits
const PAUSE_MS = 200; // after an answer that came too early: the daemon shuts down

/** Throw it when the same task may work later: it is tried again while it has retries left. */
class Temporary extends Error {}
/** Throw it when trying again is useless. */
class Permanent extends Error {}
/** Thrown by task.check() when the task was cancelled. */
class Cancelled extends Error {}
/** task.save() rejects with it: the checkpoint was not stored; the one before still counts. */
class NotSaved extends Error {}

/** Throw it to end this run: the task is run again in so many seconds, with its checkpoint, and this
 * run is not charged. until: futures, or ids of tasks, promises and batches: it is run again when all
 * have ended (or, with seconds, then at the latest), and task.results says how. */
class Suspend extends Error {
  constructor(seconds = 0, { until = [] } = {}) {
    super(`suspended for ${seconds} s`);
    if (!(seconds >= 0 && seconds <= SUSPEND_MAX)) {
      throw new RangeError(`a task is suspended for 0 to ${SUSPEND_MAX} seconds`);
    }
    this.seconds = seconds;
    this.until = (Array.isArray(until) ? until : [until]).map((each) => String(each.id ?? each));
  }
}

/** The daemon did not do what the task asked for. code: such as "deadlock"; status: of HTTP. */
class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `HTTP status ${status}`);
    this.status = status;
    this.code = problem.code ?? '';
    this.problem = problem;
  }
}

/** A future has no result: its task failed or was cancelled. error: as the future shows it. */
class Failed extends Error {
  constructor(future, problem) {
    super(`${future.id}: ${problem.detail || problem.title}`);
    this.future = future;
    this.error = problem.error ?? {};
  }
}

/** Future.result() rejects with it: the future is not done in time. */
class TimeoutError extends Error {}

/** What came from the daemon is not the protocol: the worker ends. */
class ProtocolError extends Error {}

/** Bytes with a content type of their own. */
class Result {
  constructor(data, contentType = 'application/octet-stream') {
    this.data = data;
    this.contentType = contentType;
  }
}

const handlers = new Map();
const initializers = [];
let preparation; // of a session; undefined: this worker takes no init

/** handler(name, async (task) => result) */
function handler(name, run) {
  handlers.set(name, run);
}

/** A function, async or not, that run() waits for before the greeting. */
function initializer(run) {
  initializers.push(run);
}

/** session(async (init) => value): before the first task of a session that has an `init`; the value is
 * task.session of its tasks here. */
function session(prepare) {
  preparation = prepare;
}

// ---- messages ------------------------------------------------------------------------------------

const number = (word) => {
  if (!/^[0-9]{1,19}$/.test(word ?? '')) throw new ProtocolError('a line that is no header');
  return Number(word);
};

function parse(line) {
  const at = line.indexOf(' type=');
  const words = (at < 0 ? line : line.slice(0, at)).split(' ');
  const keys = { type: at < 0 ? 'application/octet-stream' : line.slice(at + 6) };
  for (const word of words.slice(3)) {
    const equals = word.indexOf('=');
    if (equals > 0) keys[word.slice(0, equals)] = word.slice(equals + 1);
  }
  // The id is sent back as it came: it may be larger than a Number holds.
  number(words[1]);
  return { verb: words[0], id: words[1], size: number(words[2]), keys };
}

/** Cuts a stream into messages; however its bytes arrive, each is copied once. */
class Reader {
  constructor(onMessage) {
    this.onMessage = onMessage;
    this.line = Buffer.alloc(0);
    this.head = null;
    this.payload = null;
    this.have = 0;
  }

  get isBetween() {
    return !this.head && this.line.length === 0;
  }

  add(bytes) {
    while (bytes.length > 0) bytes = this.head ? this.addPayload(bytes) : this.addLine(bytes);
  }

  addLine(bytes) {
    const end = bytes.indexOf(10);
    this.line = Buffer.concat([this.line, end < 0 ? bytes : bytes.subarray(0, end)]);
    if (this.line.length >= LINE_MAX) throw new ProtocolError('a header line that is too long');
    if (end < 0) return bytes.subarray(bytes.length);
    this.head = parse(this.line.toString('latin1'));
    this.line = Buffer.alloc(0);
    this.payload = Buffer.allocUnsafe(this.head.size);
    this.have = 0;
    if (this.head.size === 0) this.finish();
    return bytes.subarray(end + 1);
  }

  addPayload(bytes) {
    const n = bytes.copy(this.payload, this.have);
    this.have += n;
    if (this.have === this.payload.length) this.finish();
    return bytes.subarray(n);
  }

  finish() {
    const { head, payload } = this;
    this.head = this.payload = null;
    this.onMessage(head, payload);
  }
}

/** At most max bytes, not cut inside a character. */
function utf8(text, max) {
  const bytes = Buffer.from(text, 'utf8');
  let n = Math.min(bytes.length, max);
  while (n < bytes.length && n > 0 && (bytes[n] & 0xc0) === 0x80) n--;
  return bytes.subarray(0, n);
}

// ---- one task ------------------------------------------------------------------------------------

class Task {
  #say;
  #controller = new AbortController();
  #yield = new AbortController();
  #restored;
  #results;
  #answers = []; // of checkpoints, one at a time

  constructor(head, input, say, restored, results) {
    this.#say = say;
    this.#restored = restored;
    this.#results = results;
    this.input = input; // a Buffer
    this.id = head.keys.task ?? ''; // of the future
    this.handler = head.keys.handler ?? '';
    this.attempt = Number(head.keys.attempt ?? 1);
    this.timeout = Number(head.keys.timeout_ms ?? 0); // milliseconds; 0: none
    this.trace = head.keys.trace ?? ''; // traceparent
    this.url = head.keys.url ?? ''; // of the daemon: there this attempt may submit tasks, and wait for them,
    this.token = head.keys.token ?? ''; // with this header: Authorization: Bearer TOKEN
    this.contentType = head.keys.type;
    this.signal = this.#controller.signal;
    this.yieldSignal = this.#yield.signal; // the daemon asks the task to save and throw Suspend
  }

  /** What an earlier run of this task saved last, as it was given to save(); undefined: nothing. */
  get checkpoint() {
    return this.#restored && decode(this.#restored.payload, this.#restored.type);
  }

  /** What became of the futures that the run before threw Suspend for, by their ids: objects of state,
   * done and result or error, as the future shows them. {}: it did not. */
  get results() {
    return this.#results ? JSON.parse(this.#results.payload.toString('utf8')) : {};
  }

  /** Stores a checkpoint in place of the one before: on disk when the promise is kept. It rejects with
   * NotSaved, and the one before still counts. A Buffer, a string, a Result, or what JSON knows. */
  async save(value) {
    const [bytes, type] = result(value);
    const before = this.#answers.at(-1)?.promise;
    const mine = {};
    mine.promise = new Promise((resolve) => (mine.resolve = resolve));
    this.#answers.push(mine);
    await before;
    this.#say('CHECKPOINT', ` type=${type}`, bytes);
    const refused = await mine.promise;
    if (refused !== undefined) throw new NotSaved(refused);
  }

  answered(refused) {
    this.#answers.shift()?.resolve(refused);
  }

  /** Does the daemon ask the task to save and throw Suspend? */
  get shouldYield() {
    return this.yieldSignal.aborted;
  }

  askToYield() {
    this.#yield.abort();
  }

  get text() {
    return this.input.toString('utf8');
  }

  json() {
    return JSON.parse(this.text);
  }

  /** How far it is, 0 to 1 (undefined: not known), and one line about it. */
  progress(fraction, message = '') {
    const known = Number.isFinite(Number(fraction ?? NaN)); // NaN: not known
    const share = known ? ` fraction=${Math.min(1, Math.max(0, Number(fraction))).toFixed(6)}` : '';
    this.#say('PROGRESS', share, utf8(String(message).replaceAll('\n', ' '), PROGRESS_MAX));
  }

  /** A line for this task's log. With concurrency, console.log does not know whose line it is. */
  log(text) {
    const line = String(text);
    const bytes = Buffer.from(line.endsWith('\n') ? line : line + '\n', 'utf8');
    for (let at = 0; at < bytes.length; at += LOG_MAX) this.#say('LOG', '', bytes.subarray(at, at + LOG_MAX));
  }

  /** Submits a task whose parent this one is; a Future. input: a Buffer, or what JSON knows. options:
   * members of POST /v1/tasks (timeout, retries, queue …); key: an Idempotency-Key of this task's, by which
   * another run of it finds what this one has submitted. */
  async submit(handler, input, { key, ...options } = {}) {
    const headers = idempotency(key);
    if (!(input instanceof Uint8Array)) {
      const body = { ...options, handler, ...(input === undefined ? {} : { input }) };
      return new Future(this, (await this.ask('POST', '/v1/tasks', body, headers)).id);
    }
    const query = new URLSearchParams(options).toString();
    headers['Content-Type'] = 'application/octet-stream';
    const path = `/v1/tasks/${encodeURIComponent(handler)}${query ? '?' : ''}${query}`;
    return new Future(this, (await this.ask('POST', path, input, headers)).id);
  }

  /** The results of a task for each input, in order: one batch, which is waited for. */
  async map(handler, inputs, { key, ...options } = {}) {
    const all = [...inputs];
    if (all.length === 0) return [];
    const batch = await this.ask('POST', '/v1/batches', { ...options, handler, inputs: all }, idempotency(key));
    const results = [];
    for (const id of batch.ids) results.push(await new Future(this, id).result());
    return results;
  }

  /** { done, notDone } of these futures, when all, the first, or the first that failed ('ALL_COMPLETED',
   * 'FIRST_COMPLETED', 'FIRST_EXCEPTION') is done, or after so many seconds. */
  async wait(futures, { returnWhen = 'ALL_COMPLETED', timeout } = {}) {
    const all = [...futures];
    const end = timeout === undefined ? Infinity : Date.now() + timeout * 1000;
    for (;;) {
      const began = Date.now();
      const seconds = Math.max(0, Math.min(POLL_S, (end - began) / 1000));
      const body = { ids: all.map((each) => each.id), return_when: returnWhen, timeout: seconds };
      const answer = await this.ask('POST', '/v1/wait', body);
      const ids = new Set(answer.done);
      const enough = answer.not_done.length === 0 || (ids.size > 0 && returnWhen !== 'ALL_COMPLETED');
      if (enough || Date.now() >= end) {
        return { done: all.filter((each) => ids.has(each.id)), notDone: all.filter((each) => !ids.has(each.id)) };
      }
      await this.pause(began, seconds);
    }
  }

  /** Between two requests that wait. */
  async pause(began, seconds) {
    this.check();
    if (Date.now() - began < seconds * 500) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    this.check();
  }

  /** What the daemon answers, as JSON; it rejects with Refused. */
  async ask(method, path, body, headers) {
    const { status, bytes } = await this.request(method, path, body, headers);
    const answer = parsed(bytes);
    if (status >= 300) throw new Refused(status, answer);
    return answer;
  }

  /** A request under this attempt's token: { status, headers, bytes }. */
  request(method, path, body, headers = {}) {
    if (!this.url) throw new Refused(0, { detail: 'this daemon gives its tasks no address (FUTURED_URL)' });
    const isBytes = body instanceof Uint8Array;
    const bytes = body === undefined || isBytes ? body : Buffer.from(JSON.stringify(body), 'utf8');
    const all = { ...headers, Authorization: `Bearer ${this.token}` };
    if (bytes && !isBytes) all['Content-Type'] = 'application/json';
    if (bytes) all['Content-Length'] = bytes.length;
    const options = { method, headers: all, agent: false, signal: this.signal };
    const isUnix = this.url.startsWith('unix:');
    const target = isUnix ? { socketPath: this.url.slice(5), path } : new URL(path, this.url);
    const from = !isUnix && target.protocol === 'https:' ? https : http;
    return new Promise((resolve, reject) => {
      const fail = (error) => reject(this.cancelled ? new Cancelled('the task was cancelled') : error);
      const take = (answer) => {
        const parts = [];
        answer.on('data', (part) => parts.push(part));
        answer.on('error', fail);
        answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, bytes: Buffer.concat(parts) }));
      };
      const asked = isUnix ? from.request({ ...target, ...options }, take) : from.request(target, options, take);
      asked.on('error', fail);
      asked.end(bytes);
    });
  }

  get cancelled() {
    return this.signal.aborted;
  }

  /** Throws Cancelled when the task was cancelled. */
  check() {
    if (this.cancelled) throw new Cancelled('the task was cancelled');
  }

  cancel() {
    this.#controller.abort(new Cancelled('the task was cancelled'));
  }
}

/** A task that was submitted. id: its id, by which others may wait for it, too. */
class Future {
  #task;

  constructor(task, id) {
    this.#task = task;
    this.id = id;
  }

  async done() {
    return (await this.#task.ask('GET', `/v1/futures/${this.id}`)).done;
  }

  /** True when it is cancelled now; false: it is done already. */
  async cancel() {
    const { status, bytes } = await this.#task.request('POST', `/v1/futures/${this.id}/cancel`);
    if (status !== 200 && status !== 409) throw new Refused(status, parsed(bytes));
    return status === 200;
  }

  /** Its result, as a handler would have returned it; it rejects with Failed, or with TimeoutError after
   * so many seconds. */
  async result({ timeout } = {}) {
    const end = timeout === undefined ? Infinity : Date.now() + timeout * 1000;
    for (;;) {
      const began = Date.now();
      const seconds = Math.max(0, Math.min(POLL_S, (end - began) / 1000));
      const path = `/v1/futures/${this.id}/result?wait=${seconds.toFixed(3)}`;
      const { status, headers, bytes } = await this.#task.request('GET', path);
      if (status === 200) return decode(bytes, headers['content-type'] ?? '');
      const problem = parsed(bytes);
      if (problem.code === 'task_failed' || problem.code === 'task_cancelled') throw new Failed(this, problem);
      if (problem.code !== 'not_done') throw new Refused(status, problem);
      if (Date.now() >= end) throw new TimeoutError(`${this.id} is not done`);
      await this.#task.pause(began, seconds);
    }
  }
}

const idempotency = (key) => (key === undefined ? {} : { 'Idempotency-Key': `"${key}"` });

/** What the bytes are as JSON; {}: they are no object. */
function parsed(bytes) {
  try {
    const value = JSON.parse(bytes.toString('utf8'));
    return value && typeof value === 'object' ? value : {};
  } catch {
    return {};
  }
}

function encode(value) {
  if (value instanceof Result) return [Buffer.from(value.data), value.contentType];
  if (value instanceof Uint8Array) return [value, 'application/octet-stream'];
  if (typeof value === 'string') return [Buffer.from(value, 'utf8'), 'text/plain; charset=utf-8'];
  const text = JSON.stringify(value ?? null);
  if (text === undefined) throw new TypeError(`JSON does not know a ${typeof value}`);
  return [Buffer.from(text, 'utf8'), 'application/json'];
}

function decode(bytes, type) {
  const base = type.split(';')[0].trim().toLowerCase();
  if (base === 'application/json') return JSON.parse(bytes.toString('utf8'));
  return base === 'text/plain' ? bytes.toString('utf8') : bytes;
}

/** The bytes and the type of a result, which must fit into a message. */
function result(value) {
  const [bytes, type] = encode(value);
  if (typeof type !== 'string' || type.length > TYPE_MAX || !/^[ -~]+$/.test(type)) {
    throw new TypeError(`a content type is a string of 1 to ${TYPE_MAX} printable ASCII characters`);
  }
  if (bytes.length > RESULT_MAX) {
    throw new RangeError(`the result is ${bytes.length} bytes; allowed: up to ${RESULT_MAX}`);
  }
  return [bytes, type];
}

/** What read() gives as a string; whatever is thrown may have getters and toString that throw. */
function safely(read, instead) {
  try {
    const value = read();
    return typeof value === 'string' && value ? value : instead;
  } catch {
    return instead;
  }
}

const is = (error, type) => {
  try {
    return error instanceof type;
  } catch {
    return false; // a proxy may throw here
  }
};

function failure(error) {
  const isError = is(error, Error);
  const own = isError ? safely(() => error.name, 'Error') : 'Error';
  const name = own !== 'Error' || !isError ? own : safely(() => error.constructor.name, own);
  const kind = name.replace(/[^A-Za-z0-9_.-]/g, '_').slice(0, 64);
  const retry = is(error, Temporary) ? ' retry=1' : is(error, Permanent) ? ' retry=0' : '';
  const text = safely(() => (isError ? error.message : String(error)), kind);
  const first = text.split('\n').find((line) => line.trim()) ?? kind;
  const details = isError ? safely(() => error.stack, '') : '';
  const word = /[A-Za-z0-9]/.test(kind) ? kind : 'Error';
  const lines = utf8(`${first.slice(0, ERROR_MAX / 8)}\n${details}`, ERROR_MAX);
  const [data, type] = isError ? dataOf(error) : [];
  if (!type) return [`${retry} kind=${word}`, lines];
  return [`${retry} kind=${word} text=${lines.length} type=${type}`, Buffer.concat([lines, data])];
}

/** The bytes of its errorData, and their type; []: it has none that can be sent. */
function dataOf(error) {
  try {
    const found = error.errorData === undefined ? [Buffer.alloc(0)] : result(error.errorData);
    return found[0].length <= FAIL_MAX - ERROR_MAX ? found : [];
  } catch {
    return []; // the failure matters more
  }
}

// ---- the worker ----------------------------------------------------------------------------------

function find(name) {
  const found = handlers.get(name) ?? (handlers.size === 1 ? [...handlers.values()][0] : undefined);
  if (!found) throw new Permanent(`this worker has no handler "${name}"`);
  return found;
}

function serve(socket, concurrency, softCancel) {
  const running = new Map();
  let restored; // the checkpoint of the task that comes next
  let results; // what became of the futures that it was suspended for
  const current = new AsyncLocalStorage(); // the task whose code runs

  async function start(head, input) {
    const say = (verb, more, payload) => {
      socket.write(`${verb} ${head.id} ${payload.length}${more}\n`, 'latin1');
      if (payload.length > 0) socket.write(payload);
    };
    const own = restored?.id === head.id ? restored : undefined;
    const told = results?.id === head.id ? results : undefined;
    restored = results = undefined;
    const task = new Task(head, input, say, own, told);
    task.session = sessions.get(head.keys.session); // undefined: it has none, or no init
    // Once: what a task throws besides may end it before its handler returns.
    const answer = (verb, more, payload) => {
      if (running.delete(head.id)) say(verb, more, payload);
    };
    task.fail = (error) => {
      if (is(error, Suspend)) {
        const ids = Buffer.from(error.until.join('\n'), 'utf8');
        answer('SUSPEND', ` for_ms=${Math.round(error.seconds * 1000)}`, ids);
      } else answer('FAIL', ...failure(error));
    };
    running.set(head.id, task);
    try {
      const [bytes, type] = result(await current.run(task, () => find(task.handler)(task)));
      answer('DONE', ` type=${type}`, bytes);
    } catch (error) {
      task.fail(error);
    }
  }

  const sessions = new Map(); // id: what was made of its init, the oldest first

  async function prepare(head, input) {
    const id = head.keys.session;
    const init = { id, contentType: head.keys.type, input, json: () => JSON.parse(input.toString('utf8')) };
    Object.defineProperty(init, 'text', { get: () => input.toString('utf8') });
    try {
      const made = await preparation(init);
      sessions.delete(id);
      if (sessions.size >= SESSIONS_MAX) sessions.delete(sessions.keys().next().value);
      sessions.set(id, made);
      socket.write(`DONE ${head.id} 0\n`, 'latin1');
    } catch (error) {
      const [more, text] = failure(error);
      socket.write(`FAIL ${head.id} ${text.length}${more}\n`, 'latin1');
      socket.write(text);
    }
  }

  // Thrown in a callback, or a promise that nobody awaits: it fails the task whose code that was,
  // and no other. Where that is not known it is only told.
  const stray = (error) => {
    const only = running.size === 1 ? [...running.values()][0] : undefined;
    const task = current.getStore() ?? only;
    if (task) task.fail(error);
    else console.error(`futured_worker: not caught: ${failure(error)[1].toString('utf8')}`);
  };
  process.on('uncaughtException', stray);
  process.on('unhandledRejection', stray);

  const reader = new Reader((head, payload) => {
    const task = running.get(head.id); // unknown: it has just ended
    if (head.verb === 'RUN') start(head, payload);
    else if (head.verb === 'CHECKPOINT') restored = { id: head.id, type: head.keys.type, payload };
    else if (head.verb === 'RESULTS') results = { id: head.id, payload };
    else if (head.verb === 'INIT' && preparation) prepare(head, payload);
    else if (head.verb === 'CLOSE' && preparation) sessions.delete(head.keys.session);
    else if (head.verb === 'CANCEL') task?.cancel();
    else if (head.verb === 'YIELD') task?.askToYield();
    else if (head.verb === 'SAVED') task?.answered();
    else if (head.verb === 'REFUSED') task?.answered(payload.toString('utf8'));
    else throw new ProtocolError(`unexpected ${head.verb}`);
  });
  socket.on('data', (bytes) => {
    try {
      reader.add(bytes);
    } catch (error) {
      giveUp(error);
    }
  });
  socket.on('end', () => (reader.isBetween ? process.exit(0) : giveUp(new ProtocolError('a cut stream'))));
  socket.on('error', () => process.exit(0)); // the daemon is gone
  const size = concurrency > 1 ? ` concurrency=${concurrency}` : '';
  const more = preparation ? ' sessions=1 closes=1' : '';
  const cancel = softCancel ? 'soft' : '1';
  socket.write(`HELLO ${VERSION} 0${size} cancel=${cancel} checkpoint=1 yield=1 results=1 submits=1${more}\n`);
}

function giveUp(error) {
  console.error(`futured_worker: ${error instanceof ProtocolError ? error.message : error.stack}`);
  process.exit(1);
}

/** Serves until the daemon ends the stream. */
async function run({ concurrency = 1, softCancel = false } = {}) {
  const fd = process.env.FUTURED_WORKER_FD;
  if (!fd) giveUp(new ProtocolError('this is a worker program: name it in the handlers file of futured'));
  try {
    for (const each of initializers) await each();
  } catch (error) {
    giveUp(error);
  }
  serve(new net.Socket({ fd: Number(fd), readable: true, writable: true }), concurrency, softCancel);
}

module.exports = {
  handler, initializer, session, run, Future, Result, Temporary, Permanent, Cancelled, Suspend, NotSaved, Refused, Failed,
  TimeoutError,
};
