'use strict';
/* One handler for each thing that a worker can do. tests/tools/worker_conformance knows them.
 *
 *     node tour.js [concurrency=N] [soft] */
const fs = require('node:fs');
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

// Fails with its input as data.
worker.handler('data', (task) => {
  throw Object.assign(new RangeError('no good'), { errorData: new worker.Result(task.input, task.contentType) });
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

// Saves its input, goes on a second later, and ends with what it saved.
worker.handler('resume', async (task) => {
  if (task.checkpoint !== undefined) return task.checkpoint;
  await task.save(new worker.Result(task.input, task.contentType));
  throw new worker.Suspend(1);
});

// What is `bad` breaks the session.
worker.session((init) => {
  if (init.text === 'bad') throw new TypeError('a bad init');
  console.log('preparing');
  return init.text;
});

worker.handler('prepared', (task) => String(task.session));

// Is suspended until the futures end whose ids are the input; ends with what became of them.
worker.handler('join', (task) => {
  if (Object.keys(task.results).length > 0) return task.results;
  throw new worker.Suspend(0, { until: task.text.split('\n') });
});

// Submits its input as another task, and ends with the id of that.
worker.handler('child', async (task) => (await task.submit('echo', task.text)).id);

// Five steps, each saved, in the directory that is the input. After a step it waits while there is a file
// stop-N.
worker.handler('steps', async (task) => {
  for (let step = (task.checkpoint ?? 0) + 1; step <= 5; step++) {
    fs.appendFileSync(`${task.text}/steps`, `${step}\n`);
    await task.save(step);
    while (fs.existsSync(`${task.text}/stop-${step}`)) {
      if (task.shouldYield) throw new worker.Suspend();
      await new Promise((resolve) => setTimeout(resolve, 20));
      task.check();
    }
  }
  return 'five steps';
});

// Saves until it is asked to suspend itself.
worker.handler('yield', async (task) => {
  while (!task.shouldYield) await task.save('so far');
  throw new worker.Suspend();
});

const options = Object.fromEntries(process.argv.slice(2).map((arg) => arg.split('=')));
worker.run({ concurrency: Number(options.concurrency ?? 1), softCancel: 'soft' in options });
