/* A program that uses the types; tsc must find nothing. */
import { Batch, Client, NotDone, Problem, Task, TaskFailed } from "../../client/node/futured.mjs";

const client = new Client("unix:/run/futured", { token: "t", patience: 5 });
const task: Task = await client.submit("echo", { any: ["value"] }, { retries: 3, run_at: new Date(), unique: "x" });
const id: string = task.id;
const batch: Batch = await client.batch([{ handler: "echo", input: 1, name: "a" }], { failFast: true });
for await (const future of batch.asCompleted({ timeout: 5 })) {
  const state: "succeeded" | string = future.state;
  if (future.error) state.concat(future.error.code);
}
for await (const event of client.events([id, task, { id }])) {
  if (event.event === "progress") event.data.fraction?.toFixed();
  if (event.event === "done") event.data.handler.trim();
}
for await (const value of client.map("echo", new Set([1, 2]), { timeout: 3, priority: 5 })) String(value);
const { done, notDone } = await client.wait(batch, { returnWhen: "FIRST_EXCEPTION" });
done.concat(notDone);
for (const each of batch) await each.cancel({ running: false });
try {
  await task.result({ signal: new AbortController().signal });
} catch (error) {
  if (error instanceof TaskFailed) error.code.trim();
  else if (error instanceof Problem) error.status.toFixed();
  else if (error instanceof NotDone) error.message.trim();
}
