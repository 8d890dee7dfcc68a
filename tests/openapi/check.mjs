// Drives every operation of /v1/openapi.json on a running daemon and checks the answers against it.
//   OPENAPI_TOOLS=DIR node check.mjs http://host:port
// DIR holds node_modules. The daemon needs its built-in handlers only. Exit status 0 or 1.
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const require = createRequire(resolve(process.env.OPENAPI_TOOLS ?? '.', 'package.json'));
const Ajv = require('ajv/dist/2020').default;
const addFormats = require('ajv-formats').default;

const base = process.argv[2];
const doc = await (await fetch(`${base}/v1/openapi.json`)).json();
const ajv = new Ajv({ strict: false, allErrors: true });
addFormats(ajv);
ajv.addSchema(doc, 'doc');

const operations = new Map();
for (const [path, item] of Object.entries(doc.paths))
  for (const [method, op] of Object.entries(item))
    operations.set(op.operationId, { path, method: method.toUpperCase(), op });
const driven = new Set();
let failures = 0;

function fail(what) {
  failures++;
  console.error(`FAIL ${what}`);
}

const follow = (node) => {
  while (node?.$ref) node = node.$ref.slice(2).split('/').reduce((at, key) => at[key], doc);
  return node;
};
// Schemas refer to the document by "#/…": give them its address.
const rebase = (node) =>
  Array.isArray(node) ? node.map(rebase)
  : node && typeof node === 'object'
    ? Object.fromEntries(Object.entries(node).map(([k, v]) =>
        k === '$ref' && typeof v === 'string' ? [k, `doc${v}`] : [k, rebase(v)]))
    : node;

function valid(schema, value, what) {
  const check = ajv.compile(rebase(schema));
  if (!check(value)) fail(`${what}: ${ajv.errorsText(check.errors)}\n  ${JSON.stringify(value)}`);
}

function mediaOf(response, type) {
  const content = response.content ?? {};
  return content[type] ?? content['*/*'];
}

const isJson = (type) => type.endsWith('json') && !type.endsWith('ndjson');

// Calls an operation and returns { status, headers, body }; the answer must be documented.
async function call(id, want, { path = {}, query = {}, headers = {}, body, type } = {}) {
  const { path: pattern, method, op } = operations.get(id);
  const url = new URL(base + pattern.replace(/{(\w+)}/g, (_, name) => encodeURIComponent(path[name])));
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const isText = typeof body === 'string';
  const answer = await fetch(url, {
    method,
    headers: { ...(body !== undefined && { 'Content-Type': type ?? 'application/json' }), ...headers },
    body: body === undefined || isText ? body : JSON.stringify(body),
    redirect: 'manual', signal: AbortSignal.timeout(60000),
  });
  const text = await answer.text();
  const what = `${id} ${method} ${url.pathname}${url.search} ${answer.status}`;
  driven.add(id);
  if (answer.status !== want) fail(`${what}: wanted ${want}: ${text}`);
  const response = follow(op.responses[answer.status]);
  if (!response) fail(`${what}: this status is not documented`);
  for (const [name, header] of Object.entries(response?.headers ?? {})) {
    const value = answer.headers.get(name), schema = follow(header).schema;
    if (value !== null)
      valid(schema, follow(schema).type === 'integer' ? Number(value) : value, `${what} ${name}`);
  }
  const contentType = (answer.headers.get('content-type') ?? '').split(';')[0];
  const media = response && text ? mediaOf(response, contentType) : undefined;
  if (response && text && !media) fail(`${what}: content type ${contentType} is not documented`);
  const parsed = isJson(contentType) ? JSON.parse(text) : text;
  if (media?.schema) valid(media.schema, parsed, what);
  return { status: answer.status, headers: answer.headers, body: parsed, type: contentType };
}

// ---- one future ------------------------------------------------------------------------------
const future = { $ref: '#/components/schemas/Future' };
const sleep = (seconds, more) => ({ handler: 'sleep', input: { seconds }, ...more });
const key = `"check-${Date.now()}"`;

const done = (await call('submitTask', 200, {
  query: { wait: 20 }, headers: { 'Idempotency-Key': key }, body: { handler: 'sha256', input: 'hello' },
})).body;
const again = await call('submitTask', 200, {
  query: { wait: 20 }, headers: { 'Idempotency-Key': key }, body: { handler: 'sha256', input: 'hello' },
});
if (again.body.id !== done.id || again.headers.get('idempotency-replayed') !== 'true')
  fail('the same key brought another future');
await call('submitTask', 422, { headers: { 'Idempotency-Key': key }, body: { handler: 'echo' } });
await call('submitTask', 422, { body: { handlre: 'echo' } });
await call('submitTask', 400, { body: '{"handler"' });
const unique = sleep(600, { unique: 'check', retry_on: ['error'], backoff: { first: 2, jitter: 0 }, callback: { url: 'http://localhost:1/none' } });
const held = (await call('submitTask', 202, {
  headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
  body: unique,
})).body;
const same = await call('submitTask', 202, { body: unique });
await call('submitTask', 409, { body: sleep(600, { unique: 'check' }) });
if (same.body.id !== held.id || same.headers.get('futured-coalesced') !== 'true')
  fail('unique did not coalesce');
await call('submitInput', 200, {
  path: { handler: 'echo' }, query: { wait: 20, retries: 2, timeout: 5 }, body: 'a,b', type: 'text/csv',
});
await call('submitInput', 202, { path: { handler: 'sleep' }, body: { seconds: 0.2 } });
await call('submitInput', 404, { path: { handler: 'nobody' }, body: 'x', type: 'text/plain' });

const read = await call('getFuture', 200, { path: { id: done.id } });
const etag = read.headers.get('etag');
await call('getFuture', 304, { path: { id: done.id }, query: { wait: 1 }, headers: { 'If-None-Match': etag } });
await call('getFuture', 200, { path: { id: held.id }, query: { wait: 0.1 } });
await call('getFuture', 404, { path: { id: '01234567-89ab-7def-8123-456789abcdef' } });
await call('getResult', 200, { path: { id: done.id } });
await call('getResult', 409, { path: { id: held.id } });
await call('getLog', 200, { path: { id: done.id }, query: { from: 0, wait: 1 } });
await call('getLog', 400, { path: { id: done.id }, query: { from: 'here' } });
await call('getCheckpoint', 404, { path: { id: done.id } });
await call('getErrorData', 404, { path: { id: done.id } });
await call('getErrorData', 409, { path: { id: held.id } });
if ((await call('getInput', 200, { path: { id: done.id } })).body !== 'hello') fail('the input is another one');
await call('listFutures', 200, { query: { state: 'running,succeeded', limit: 2 } });
await call('listFutures', 400, { query: { cursor: 'x' } });
await call('deleteFuture', 409, { path: { id: held.id } });
await call('cancelFuture', 200, { path: { id: held.id } });
await call('getResult', 409, { path: { id: held.id } });
await call('cancelFuture', 409, { path: { id: done.id } });
const bad = (await call('submitTask', 200, { query: { wait: 20 }, body: { handler: 'sleep', input: 'x' } })).body;
await call('getResult', 422, { path: { id: bad.id } });
await call('retryFuture', 202, { path: { id: bad.id } });
const worse = (await call('getFuture', 200, { path: { id: bad.id }, query: { wait: 20 } })).body;
if (worse.attempts?.length !== 2) fail(`two lives, but ${JSON.stringify(worse.attempts)}`);
await call('retryFuture', 400, { path: { id: done.id }, query: { fresh: 'maybe' } });
await call('retryFuture', 202, { path: { id: bad.id }, query: { fresh: true } });
await call('getFuture', 200, { path: { id: bad.id }, query: { wait: 20 } });
await call('retryFuture', 409, { path: { id: done.id } });
await call('deleteFuture', 204, { path: { id: bad.id } });
await call('deleteFuture', 404, { path: { id: bad.id } });

// ---- queues ---------------------------------------------------------------------------------
const queue = { path: { name: 'check' } };
await call('putQueue', 201, { ...queue, body: { weight: 2, fair_weights: { a: 3 }, rate: { tasks: 5, per: 1 } } });
await call('putQueue', 200, { ...queue, body: { max_running: 1 } });
await call('putQueue', 422, { ...queue, body: { weight: 0 } });
await call('changeQueue', 200, { ...queue, query: { wait: 5 }, body: { paused: true, reason: 'a look' } });
await call('changeQueue', 422, { ...queue, body: { age_after: 0 } });
const queued = await call('submitTask', 202, { body: sleep(600, { queue: 'check' }) });
await call('getFuture', 200, { path: { id: queued.body.id } });
await call('getQueue', 200, queue);
await call('getQueue', 404, { path: { name: 'nobody' } });
await call('listQueues', 200, { query: { limit: 1 } });
await call('listQueues', 400, { query: { limit: 0 } });
await call('listFutures', 200, { query: { queue: 'check', limit: 2 } });
await call('purgeQueue', 200, { ...queue, query: { wait: 20, dry_run: true } });
await call('purgeQueue', 200, { ...queue, query: { wait: 20 } });
await call('purgeQueue', 404, { path: { name: 'a b' } });
await call('deleteQueue', 204, queue);
await call('deleteQueue', 404, queue);
await call('changeHandler', 200, { path: { name: 'sleep' }, query: { wait: 1 }, body: { paused: true, reason: 'a look' } });
await call('listHandlers', 200);
await call('changeHandler', 200, { path: { name: 'sleep' }, body: { paused: false } });
await call('changeHandler', 404, { path: { name: 'nobody' }, body: { paused: true } });
await call('changeHandler', 422, { path: { name: 'sleep' }, body: {} });

// ---- limits ---------------------------------------------------------------------------------
const limit = { path: { name: 'check' } };
await call('putLimit', 201, { ...limit, body: { max_running: 1, rate: { tasks: 50, per: 60, burst: 10 } } });
await call('putLimit', 200, { ...limit, body: { max_running: 1, per_key: true } });
await call('putLimit', 422, { ...limit, body: { rate: 1 } });
await call('changeLimit', 200, { ...limit, body: { max_running: 2 } });
const limited = await call('submitTask', 202, { body: sleep(600, { limits: [{ name: 'check', key: 'a' }] }) });
await call('submitTask', 422, { body: sleep(1, { limits: ['nobody'] }) });
await call('getLimit', 200, limit);
await call('getLimit', 404, { path: { name: 'nobody' } });
await call('listLimits', 200);
await call('closeLimit', 200, { ...limit, body: { seconds: 60, key: 'a' } });
await call('cancelFuture', 200, { path: { id: limited.body.id } });
await call('deleteLimit', 204, limit);
await call('deleteLimit', 404, limit);

// ---- one change of many ---------------------------------------------------------------------
const operation = await call('cancelFutures', 200, { query: { wait: 20 }, body: { handler: 'sleep', state: ['queued', 'running'] } });
await call('cancelFutures', 422, { body: {} });
await call('retryFutures', 200, { query: { wait: 20 }, body: { code: 'none', dry_run: true } });
await call('deleteFutures', 200, { query: { wait: 20 }, body: { state: 'failed', before: '2020-01-01T00:00:00Z' } });
await call('listOperations', 200);
await call('getOperation', 200, { path: { id: operation.body.id }, query: { wait: 1 } });
await call('cancelOperation', 200, { path: { id: operation.body.id } });
await call('getOperation', 404, { path: { id: '01234567-89ab-7def-8123-456789abcdef' } });
await call('groupFailures', 200, { query: { limit: 5 } });
await call('groupFailures', 400, { query: { limit: 0 } });

const later = (await call('submitInput', 202, {
  path: { handler: 'echo' }, query: { delay: 3600, expires_in: 4000, deadline: 5000 }, body: 'x', type: 'text/plain',
})).body;
if (later.waiting_for?.code !== 'time') fail('a delayed task does not say so');
await call('submitTask', 422, { body: { handler: 'echo', delay: 1, run_at: '2099-01-01T00:00:00Z' } });
await call('submitTask', 200, { query: { wait: 20 }, body: { handler: 'echo', input: 1, after: [done.id] } });
await call('submitTask', 409, { body: { handler: 'echo', after: [{ id: done.id, on: 'failure' }] } });
const promise = (await call('makePromise', 202, { body: { timeout: 3600 } })).body;
await call('makePromise', 422, { body: { handler: 'echo' } });
await call('completePromise', 422, { path: { id: promise.id }, body: { result: 1, error: { code: 'x' } } });
await call('completePromise', 200, { path: { id: promise.id }, body: { error: { code: 'refused', message: 'no' } } });
await call('completePromise', 409, { path: { id: promise.id }, body: { result: 1 } });
await call('completePromise', 409, { path: { id: done.id }, body: { result: 1 } });

// ---- many ------------------------------------------------------------------------------------
const lines = (text) => text.trim().split('\n').map((line) => JSON.parse(line));
const batch = (await call('submitBatch', 202, { body: { handler: 'sha256', inputs: ['a', 'b', 'c'] } })).body;
await call('submitBatch', 202, {
  query: { fail_fast: true }, type: 'application/x-ndjson',
  body: '{"handler":"echo","input":1}\n{"handler":"echo","input":2}\n',
});
await call('submitBatch', 422, { body: { handler: 'nobody', inputs: [1] } });
const graph = (await call('submitBatch', 202, { body: {
  tasks: [{ name: 'a', handler: 'echo', input: [1] },
    { handler: 'echo', after: ['a'], delay: 0.01, input: { x: { $result: 'a', pointer: '/0', default: null } } }],
  then: { handler: 'echo', on: 'done' } } })).body;
await call('getFuture', 200, { path: { id: graph.then }, query: { wait: 20 } });
await call('getBatch', 200, { path: { id: graph.id } });
await call('getBatchGraph', 200, { path: { id: graph.id } });
await call('getBatchGraph', 200, { path: { id: graph.id }, query: { format: 'dot' } });
await call('getBatchGraph', 400, { path: { id: graph.id }, query: { format: 'svg' } });
await call('getBatchGraph', 404, { path: { id: graph.then } });
const results = lines((await call('getBatchResults', 200, { path: { id: batch.id }, query: { wait: 20 } })).body);
if (results.map((r) => r.id).join() !== batch.ids.join()) fail('the results are not in order of submission');
results.forEach((r) => valid(future, r, 'a line of the results'));
await call('getBatch', 200, { path: { id: batch.id } });
await call('getBatch', 404, { path: { id: done.id } });
await call('listBatches', 200, { query: { done: 'true', limit: 5 } });
await call('listBatches', 400, { query: { done: 'perhaps' } });

function checkEvents(answer, what) {
  const events = answer.type === 'application/x-ndjson' ? lines(answer.body)
    : answer.body.split('\n\n').filter((part) => /^event:/m.test(part)).map((part) => ({
        event: /^event: (.*)$/m.exec(part)[1],
        id: Number(/^id: (.*)$/m.exec(part)?.[1]),
        data: JSON.parse(/^data: (.*)$/m.exec(part)[1]),
      }));
  const ends = events.filter((e) => e.event === 'done');
  ends.forEach((e) => valid(future, e.data, what));
  if (new Set(ends.map((e) => e.data.id)).size !== 3 || events.at(-1).event !== 'end')
    fail(`${what}: ${JSON.stringify(events)}`);
}
checkEvents(await call('getBatchEvents', 200, { path: { id: batch.id } }), 'event stream');
checkEvents(await call('asCompleted', 200, {
  headers: { Accept: 'application/x-ndjson' }, body: { ids: batch.ids },
}), 'NDJSON stream');
const session = (await call('openSession', 201, { body: { handler: 'sha256', max_running: 2 } })).body;
const joined = { path: { id: session.id }, body: { handler: 'sha256', inputs: ['a', 'b', 'c'] } };
await call('submitToSession', 202, joined);
await call('submitToSession', 422, { path: { id: session.id }, body: { handler: 'echo', inputs: [1] } });
await call('submitToSession', 404, { ...joined, path: { id: done.id } });
await call('listSessions', 200, { query: { limit: 5 } });
await call('openSession', 422, { body: { handler: 'nobody' } });
await call('getSession', 200, { path: { id: session.id } });
await call('getSession', 404, { path: { id: batch.id } });
await call('closeSession', 200, { path: { id: session.id } });
await call('submitToSession', 409, joined);
checkEvents(await call('getSessionEvents', 200, { path: { id: session.id } }), 'stream of a session');
await call('getSessionEvents', 404, { path: { id: batch.id } });
await call('cancelSession', 200, { path: { id: session.id } });
await call('waitMany', 200, { body: { ids: batch.ids, return_when: 'FIRST_COMPLETED', timeout: 10 } });
await call('waitMany', 200, { body: { batch: batch.id, timeout: 10 } });
await call('waitMany', 422, { body: { ids: [], return_when: 'SOMETIME' } });
const slow = (await call('submitBatch', 202, { body: { tasks: [sleep(600), sleep(600)], fail_fast: true } })).body;
const cut = lines((await call('getBatchResults', 200, { path: { id: slow.id }, query: { wait: 0.1 } })).body);
if (!cut[0].timed_out || cut[2].code !== 'not_done')
  fail(`results that were cut do not say so: ${JSON.stringify(cut)}`);
await call('cancelBatch', 200, { path: { id: slow.id } });

// ---- schedules -------------------------------------------------------------------------------
const nightly = { cron: '30 2 * * *', timezone: 'Europe/Berlin', jitter: 5, task: { handler: 'echo', input: 1 } };
const named = { path: { name: 'nightly' } };
await call('putSchedule', 201, { ...named, body: nightly });
await call('putSchedule', 200, { ...named, body: { ...nightly, overlap: 'skip', catch_up: { all: 3 } } });
await call('putSchedule', 422, { ...named, body: { ...nightly, timezone: 'Mars' } });
const ran = (await call('runSchedule', 202, named)).body;
if ((await call('getFuture', 200, { path: { id: ran.id }, query: { wait: 20 } })).body.schedule !== 'nightly')
  fail('the future of a schedule does not name it');
if ((await call('getSchedule', 200, named)).body.runs[0].future !== ran.id)
  fail('a run by hand is not shown');
await call('changeSchedule', 200, { ...named, body: { paused: true } });
await call('changeSchedule', 422, { ...named, body: {} });
await call('listSchedules', 200, { query: { limit: 1 } });
await call('listSchedules', 400, { query: { limit: 0 } });
await call('removeSchedule', 204, named);
await call('removeSchedule', 404, named);
await call('getSchedule', 404, named);

// A stream without end: its first event is read, and the connection closed.
async function driveEvents() {
  const stop = new AbortController();
  const answer = await fetch(`${base}/v1/events?types=ended`, { signal: stop.signal });
  const { value } = await answer.body.getReader().read();
  if (!mediaOf(doc.paths['/v1/events'].get.responses['200'], answer.headers.get('content-type').split(';')[0]) ||
      !Buffer.from(value).toString().includes('event: open'))
    fail(`/v1/events began with ${value}`);
  stop.abort();
  driven.add('getEvents');
}
await call('getEvents', 400, { query: { types: 'eaten' } });

// ---- the daemon ------------------------------------------------------------------------------
await call('listHandlers', 200);
await call('getStats', 200);
await call('getHistory', 200, { query: { points: 5 } });
await call('getHistory', 400, { query: { points: 0 } });
await call('getAccess', 200);
await call('getMetrics', 200);
await driveEvents();
await call('getMetrics', 200, { headers: { Accept: 'application/openmetrics-text' } });
await call('listPools', 200);
if (!(await call('listWorkers', 200)).body.workers.some((w) => w.pid && w.rss_bytes > 0))
  fail('no worker process is shown with its memory');
await call('changePool', 200, { path: { lane: 'cpu' }, body: { capacity: 3, paused: true, reason: 'a look' } });
const waits = (await call('submitTask', 202, { body: { handler: 'sha256', input: 'x' } })).body;
if ((await call('getFuture', 200, { path: { id: waits.id } })).body.waiting_for?.code !== 'lane_paused')
  fail('a task of a paused lane does not say so');
await call('changePool', 200, { path: { lane: 'cpu' }, body: { capacity: null, paused: false } });
await call('changePool', 422, { path: { lane: 'cpu' }, body: { capacity: 0 } });
await call('changePool', 404, { path: { lane: 'gpu' }, body: { paused: true } });
const needing = (await call('submitInput', 202, { path: { handler: 'echo' }, query: { needs: 'check-1,check-2' }, body: 'x', type: 'text/plain' })).body;
if (needing.waiting_for?.code !== 'no_node_for_needs' || needing.waiting_for.missing?.length !== 2)
  fail('a task that needs labels does not say so');
await call('submitTask', 422, { body: { handler: 'echo', needs: ['a b'] } });
const here = (await call('listNodes', 200)).body.nodes.find((n) => n.self);
const thisNode = { path: { name: here.name } };
if ((await call('changeNode', 200, { ...thisNode, body: { draining: true } })).body.state === 'running')
  fail('a drained node does not say so');
const stays = (await call('submitTask', 202, { body: { handler: 'sha256', input: 'x' } })).body;
if ((await call('getFuture', 200, { path: { id: stays.id } })).body.waiting_for?.code !== 'node_draining')
  fail('a task that no node takes does not say so');
await call('changeNode', 200, { ...thisNode, body: { draining: false } });
await call('changeNode', 422, { ...thisNode, body: {} });
await call('changeNode', 404, { path: { name: 'nobody' }, body: { draining: true } });
await call('getOpenapi', 200);
await call('getHealth', 200);
await call('getRoot', 200);
await call('getReadiness', 200);
await call('getProblem', 200, { path: { code: 'queue_full' } });
await call('getProblem', 404, { path: { code: 'x' } });

// ---- the document itself ---------------------------------------------------------------------
for (const [id, { op }] of operations) {
  if (!driven.has(id)) fail(`${id} is documented and was not driven`);
  const contents = [follow(op.requestBody)?.content, ...Object.values(op.responses).map((r) => follow(r).content)];
  for (const [type, media] of contents.flatMap((c) => Object.entries(c ?? {})))
    if ('example' in media) valid(media.schema, media.example, `example of ${id}, ${type}`);
    else fail(`${id}: no example of ${type}`);
}
for (const name of ['Future', 'Task']) {
  const schema = doc.components.schemas[name];
  schema.examples.forEach((e) => valid({ $ref: `#/components/schemas/${name}` }, e, `example of ${name}`));
}
console.log(`${operations.size} operations, ${failures} failures`);
process.exit(failures ? 1 : 0);
