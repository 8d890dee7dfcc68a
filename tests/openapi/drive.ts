/* A program on the client that a generator makes of api/openapi.json: tsc checks it with what was generated, and it is
 * run against a daemon. Its argument is the daemon's address. */
import { strict as assert } from "node:assert";

import { createClient } from "./client";
import * as api from "./index";

async function drive(baseUrl: string): Promise<void> {
  const client = createClient({ baseUrl });
  const options = { client, throwOnError: true } as const;

  const { data: task } = await api.submitTask({ ...options, body: { handler: "echo", input: { a: [1, "x"] } } });
  const id: string = task.id;
  const { data: future } = await api.getFuture({ ...options, path: { id }, query: { wait: 20 } });
  assert.deepEqual([future.id, future.state, future.result], [id, "succeeded", { a: [1, "x"] }]);
  assert.deepEqual((await api.getResult({ ...options, path: { id } })).data, { a: [1, "x"] });

  const { data: batch } = await api.submitBatch({ ...options, body: { handler: "echo", inputs: [1, 2, 3] } });
  const { data: waited } = await api.waitMany({ ...options, body: { batch: batch.id, timeout: 20 } });
  assert.deepEqual([waited.done, waited.not_done], [batch.ids, []]);
  const { data: page } = await api.listFutures({ ...options, query: { batch: batch.id, state: "succeeded", limit: 2 } });
  assert.equal(page.futures.length, 2);
  assert.ok(page.next_cursor);
  const { data: rest } = await api.listFutures({ ...options, query: { batch: batch.id, cursor: page.next_cursor! } });
  assert.equal(rest.futures.length, 1);

  const events: string[] = [];
  const { stream } = await api.getBatchEvents({
    client, path: { id: batch.id }, sseMaxRetryAttempts: 1, onSseEvent: ({ event }) => event && events.push(event) });
  for await (const _ of stream) if (events.length === 4) break;
  assert.deepEqual(events, ["done", "done", "done", "end"]);

  const { data: later } = await api.submitTask({ ...options, body: { handler: "echo", input: "x", delay: 3600 } });
  const { data: cancelled } = await api.cancelFuture({ ...options, path: { id: later.id } });
  assert.equal(cancelled.state, "cancelled");
  await api.deleteFuture({ ...options, path: { id: later.id } });

  const gone = await api.getFuture({ client, path: { id: later.id } });
  assert.equal(gone.response?.status, 404);
  assert.equal(gone.error?.code, "unknown_future");
  const wrong = await api.submitTask({ client, body: { handler: "echo", priority: 1000 } });
  assert.equal(wrong.response?.status, 422);
  assert.equal(wrong.error?.field, "priority");

  const raw = await api.submitInput({ ...options, path: { handler: "echo" }, body: new Blob(["bytes"]), query: { priority: 5 } });
  assert.equal(raw.data.priority, 5);

  const name = "generated";
  const { data: limit } = await api.putLimit({ ...options, path: { name }, body: { max_running: 3 } });
  assert.equal(limit.max_running, 3);
  await api.deleteLimit({ ...options, path: { name } });
  const { data: schedule } = await api.putSchedule({
    ...options, path: { name }, body: { every: 86400, task: { handler: "echo", input: 1 } } });
  assert.equal(schedule.name, name);
  await api.removeSchedule({ ...options, path: { name } });

  assert.ok((await api.listHandlers(options)).data.handlers.some((each) => each.name === "echo"));
  assert.ok((await api.getStats(options)).data);
}

drive(process.argv[2]!).catch((error) => {
  console.error(error);
  process.exit(1);
});
