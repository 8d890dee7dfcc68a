// Queues on PostgreSQL for Node: so many loops that add a job and wait for its result. The job's end
// is heard of in memory, as clients and workers are one process. Prints one line of JSON.
//   node postgres_peers.cjs MODULES pg-boss|graphile-worker URL CLIENTS SECONDS SETTING
'use strict';
const { createRequire } = require('node:module');

const [modules, peer, url, clients, seconds, setting] = process.argv.slice(2);
const load = createRequire(`${modules}/package.json`);
const args = { text: 'x'.repeat(64) };
const ended = new Map(); // id of a job -> who waits for it

function end(id, result) {
  const waiter = ended.get(id);
  ended.delete(id);
  if (waiter) waiter(result);
  else ended.set(id, (wait) => wait(result)); // it ended before its id was known
}

function waitFor(id) {
  return new Promise((resolve) => {
    const early = ended.get(id);
    if (!early) return ended.set(id, resolve);
    ended.delete(id);
    early(resolve);
  });
}

// Its own way to results is a job's output. Fetching and ending in groups by its public calls is the
// fastest; `work` sleeps half a second at least between two fetches. SETTING: loops/jobs of a fetch.
async function pgBoss() {
  const PgBoss = load('pg-boss');
  const [loops, batchSize] = setting.split('/').map(Number);
  const boss = new PgBoss({ connectionString: url, max: 20, supervise: false, schedule: false });
  boss.on('error', (error) => { throw error; });
  await boss.start();
  await boss.createQueue('echo');
  let sleepers = [];
  let waiting = 0;
  const wake = () => { waiting++; sleepers.splice(0, 1).forEach((f) => f()); };
  async function work() {
    for (;;) {
      if (waiting === 0) await new Promise((f) => sleepers.push(f));
      const jobs = await boss.fetch('echo', { batchSize });
      waiting = Math.max(0, waiting - Math.max(1, jobs.length));
      if (!jobs.length) continue;
      await boss.complete('echo', jobs.map((job) => job.id), args);
      jobs.forEach((job) => end(job.id, job.data));
    }
  }
  for (let i = 0; i < loops; i++) work();
  return async () => {
    const id = await boss.send('echo', args);
    wake();
    return waitFor(id);
  };
}

// SETTING: jobs at once/jobs of its queue in memory, 0: none.
async function graphileWorker() {
  const { run, Logger } = load('graphile-worker');
  const { Pool } = load('pg');
  const [concurrentJobs, size] = setting.split('/').map(Number);
  const pgPool = new Pool({ connectionString: url, max: 20 });
  const runner = await run({
    pgPool, logger: new Logger(() => () => {}), noHandleSignals: true,
    taskList: { echo: async () => {} },
    preset: { worker: { concurrentJobs, pollInterval: 1000,
      ...(size ? { localQueue: { size }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } : {}) } },
  });
  runner.events.on('job:success', ({ job }) => end(job.id, job.payload));
  return async () => waitFor((await runner.addJob('echo', args)).id);
}

async function main() {
  const once = await (peer === 'pg-boss' ? pgBoss() : graphileWorker());
  const took = [];
  let until = Infinity;
  async function loop() {
    while (performance.now() < until) {
      const began = performance.now();
      const result = await once();
      if (result.text !== args.text) throw new Error('a wrong result');
      took.push(performance.now() - began);
    }
  }
  for (let i = 0; i < 20; i++) await once(); // everything is prepared and connected
  until = performance.now() + seconds * 1000;
  await Promise.all(Array.from({ length: Number(clients) }, loop));
  took.sort((a, b) => a - b);
  const at = (share) => took[Math.min(took.length - 1, Math.floor(took.length * share))];
  console.log(JSON.stringify({ rate: took.length / seconds, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1) }));
  process.exit(0);
}

main().catch((error) => { console.error(error); process.exit(1); });
