'use strict';
/* One handler for each thing that a worker can do. tests/tools/worker_conformance knows them.
 *
 *     node tour.js [concurrency=N] */
const worker = require('../futured_worker.js');

worker.handler('echo', (task) => new worker.Result(task.input, task.contentType));

worker.handler('report', (task) => {
  task.progress(0.5, `half of ${task.input.length} bytes`);
  task.log('a line for the log');
  return 'reported';
});

worker.handler('fail', (task) => {
  throw new RangeError(`no good: ${task.text}`);
});

worker.handler('refuse', () => {
  throw new worker.Permanent('never');
});

worker.handler('later', async () => {
  throw new worker.Temporary('not now');
});

worker.handler('print', () => {
  console.log('DONE 1 0 a stray line');
  return 'printed';
});

// Until it is cancelled.
worker.handler('wait', async (task) => {
  task.progress(0, 'waiting');
  await new Promise((resolve) => task.signal.addEventListener('abort', resolve));
  task.check();
});

const options = Object.fromEntries(process.argv.slice(2).map((arg) => arg.split('=')));
worker.run({ concurrency: Number(options.concurrency ?? 1) });
