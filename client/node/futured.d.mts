// SPDX-License-Identifier: Apache-2.0
/* The types of futured.mjs. Durations are in seconds. Each promise may be rejected with Problem (the daemon refused,
 * and says why), Unreachable (no answer for `patience` seconds) and what `signal` was aborted with. */

/** Bytes go as they are, a string as text, anything else as JSON. A result comes back as the same; bytes as a Buffer. */
export type Input = unknown;
export type State = "scheduled" | "waiting" | "queued" | "running" | "succeeded" | "failed" | "cancelled";
export type ReturnWhen = "ALL_COMPLETED" | "FIRST_COMPLETED" | "FIRST_EXCEPTION";

/** A future as GET /v1/futures/{id} shows it; more members than these: see the contract. */
export interface FutureInfo {
  id: string;
  state: State;
  done: boolean;
  handler: string;
  /** JSON and text as they are; anything else is { content_type, base64, href }. */
  result?: any;
  error?: TaskError | null;
  [member: string]: any;
}
export interface TaskError {
  code: string;
  message?: string;
  type?: string;
  log?: string;
  [member: string]: any;
}
export type ListedInfo = FutureInfo | { id: string; state: "gone" };

export interface Abortable {
  /** Ends the waiting; the task goes on. */
  signal?: AbortSignal;
}
export interface Waiting extends Abortable {
  /** Seconds; without it for ever. NotDone when it is over; the task goes on. */
  timeout?: number;
}
export interface EventOptions extends Waiting {
  /** Only what came behind the event of this number. */
  last?: number;
  /** These beside `end`, in place of done and progress. What is not `done` is of what happens while the stream is open. */
  kinds?: Iterable<"started" | "waiting" | "log" | "done" | "progress">;
}
/** The options of a task: members of POST /v1/tasks, a time as a Date. */
export interface TaskOptions {
  timeout?: number;
  delay?: number;
  run_at?: Date | string;
  expires_in?: number;
  deadline?: number;
  retries?: number;
  retry_on?: string[];
  backoff?: { first?: number; max?: number; jitter?: number };
  queue?: string;
  priority?: number;
  fair_key?: string;
  needs?: string[];
  limits?: (string | { name: string; key: string })[];
  after?: unknown[];
  unique?: string;
  callback?: { url: string };
  name?: string;
  [member: string]: unknown;
}
export interface TaskSpec extends TaskOptions {
  handler: string;
  input?: Input;
}
/** What a stream tells. `id`: its place in the order of completion. */
export type Event =
  | { event: "done"; id: number; data: FutureInfo }
  | { event: "progress"; id: null; data: { id: string; fraction?: number; message?: string; log_end?: number } }
  | { event: "gone"; id: number | null; data: { id: string } }
  | { event: "started"; id: null; data: { id: string; attempt?: number; started_at?: string } }
  | { event: "waiting"; id: null; data: { id: string; attempt?: number; state: State } }
  | { event: "log"; id: null; data: { id: string; from: number; next: number; text: string } }
  | { event: "missed"; id: null; data: { count: number } }
  | { event: "end"; id: null; data: { total: number; sent: number } };
export interface Filters extends Abortable {
  /** At most so many; without it all. */
  limit?: number;
  state?: State | string | State[];
  lane?: string;
  handler?: string;
  batch?: string;
  queue?: string;
  schedule?: string;
  parent?: string;
  code?: string;
  after?: Date | string;
  before?: Date | string;
  older_than?: number;
}
/** Tasks that a method takes: a Batch, or ids, Tasks and futures as the API shows them. */
export type TaskLike = string | { id: string };
export type Tasks = Batch | Iterable<TaskLike>;

/** The base of all errors that say something about the daemon or a task. */
export class FuturedError extends Error {}
/** The daemon did not answer for as long as the client had patience; `cause` is the last error. */
export class Unreachable extends FuturedError {}
/** The time that the caller had is over; the task goes on. */
export class NotDone extends FuturedError {}
/** The task was cancelled. */
export class CancelledError extends FuturedError {}
/** The daemon refused a request: `code` is for programs, `detail` for people, `info` the whole answer. */
export class Problem extends FuturedError {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  /** The member of the body that is wrong, such as `tasks[3].lane`. */
  readonly field?: string;
  readonly info: { [member: string]: any };
}
/** A task failed: `code` is the daemon's word for how, `type` the error's own name in the program that ran it. */
export class TaskFailed extends FuturedError {
  readonly code: string;
  readonly type?: string;
  readonly log: string;
  readonly error: TaskError;
}

export interface ClientOptions {
  /** Default: $FUTURED_TOKEN, or the file $FUTURED_TOKEN_FILE. */
  token?: string;
  /** A file of certificates to trust instead of the system's. */
  ca?: string;
  /** Seconds (30) for which a request is sent again while the daemon is away or refuses for the moment. A submission
   * that is sent again makes one task: each has an Idempotency-Key. A full queue is waited for without end. */
  patience?: number;
}

export class Client {
  /** `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`; default $FUTURED_URL, else http://127.0.0.1:8420. */
  constructor(url?: string, options?: ClientOptions);
  readonly url: string;
  /** Closes idle connections. The client may be used again. */
  close(): void;

  /** Submits a task; on disk once fulfilled. `contentType`: of an input of bytes. */
  submit(handler: string, input?: Input, options?: TaskOptions & Abortable & { contentType?: string }): Promise<Task>;
  /** Submits up to 10,000 tasks in one commit, all or none. `failFast`: the first failure cancels the rest. */
  batch(tasks: Iterable<TaskSpec>, options?: Abortable & { failFast?: boolean; callback?: string }): Promise<Batch>;
  /** The results of one handler for up to 10,000 inputs, in their order. All are submitted, in one commit, when the
   * first is asked for. Throws what a task ended with, at its turn. `timeout` is of the whole map. */
  map(handler: string, inputs: Iterable<Input>, options?: TaskOptions & Waiting): AsyncGenerator<any, void, void>;

  /** The future; `wait`: seconds (50 at most) to wait for its end before. */
  get(task: TaskLike, options?: Abortable & { wait?: number }): Promise<FutureInfo>;
  /** Waits for the result. Rejected with TaskFailed, CancelledError, NotDone. */
  result(task: TaskLike, options?: Waiting): Promise<any>;
  /** Cancels it, also while it runs unless `running` is false. false: it had ended otherwise, or runs. */
  cancel(task: TaskLike, options?: Abortable & { running?: boolean }): Promise<boolean>;
  /** Queues a failed or cancelled task again; `fresh`: without its checkpoint. */
  retry(task: TaskLike, options?: Abortable & { fresh?: boolean }): Promise<FutureInfo>;
  /** Forgets a task that is done. One that is not there is no error. */
  delete(task: TaskLike, options?: Abortable): Promise<void>;
  /** What the task has written so far; its last 64 KiB. */
  log(task: TaskLike, options?: Abortable): Promise<string>;
  /** What the task writes, as it comes, until its end. */
  followLog(task: TaskLike, options?: Abortable): AsyncGenerator<string, void, void>;

  /** Waits for all (or as `returnWhen` says): ids in their order. When the time is over that is no error. */
  wait(tasks: Tasks, options?: Waiting & { returnWhen?: ReturnWhen }): Promise<{ done: string[]; notDone: string[] }>;
  /** What happens to the tasks until all are done, with `end` as the last. Goes on by itself after a lost connection
   * or a restart of the daemon, without gap or repeat. */
  events(tasks: Tasks, options?: EventOptions): AsyncGenerator<Event, void, void>;
  /** The futures in the order in which they are done. */
  asCompleted(tasks: Tasks, options?: EventOptions): AsyncGenerator<FutureInfo, void, void>;
  /** The futures in the order of submission, as soon as each is done. One that was deleted before has the state `gone`. */
  results(tasks: Tasks, options?: Waiting): AsyncGenerator<ListedInfo, void, void>;
  /** The results in the order of submission. Throws what a task ended with, at its turn. */
  values(tasks: Tasks, options?: Waiting): AsyncGenerator<any, void, void>;
  /** Cancels what is unfinished of a batch; durable once fulfilled, carried out soon after. */
  cancelBatch(batch: TaskLike, options?: Abortable): Promise<void>;
  /** Futures without results and logs, newest first. */
  list(filters?: Filters): AsyncGenerator<FutureInfo, void, void>;

  /** What can be run. */
  handlers(options?: Abortable): Promise<{ name: string; [member: string]: any }[]>;
  /** The slots of each lane. */
  pools(options?: Abortable): Promise<{ lane: string; [member: string]: any }[]>;
  /** The worker processes. */
  workers(options?: Abortable): Promise<{ pid: number; [member: string]: any }[]>;
  /** Counters of tasks, store, pools and HTTP. */
  stats(options?: Abortable): Promise<{ [member: string]: any }>;
  /** Any other request of the API: `value` is sent as JSON, and the JSON of the answer comes back. A POST is sent
   * again only where the daemon does it once. */
  request(method: string, path: string, value?: unknown,
    options?: Abortable & { query?: { [name: string]: unknown } }): Promise<any>;
}

/** A submitted task: its id, and the methods of Client that are about one. `info` is what was last known. */
export class Task {
  constructor(client: Client, info: string | { id: string });
  readonly id: string;
  info: { id: string } & Partial<FutureInfo>;
  refresh(options?: Abortable & { wait?: number }): Promise<FutureInfo>;
  done(options?: Abortable): Promise<boolean>;
  result(options?: Waiting): Promise<any>;
  cancel(options?: Abortable & { running?: boolean }): Promise<boolean>;
  retry(options?: Abortable & { fresh?: boolean }): Promise<FutureInfo>;
  delete(options?: Abortable): Promise<void>;
  log(options?: Abortable): Promise<string>;
  followLog(options?: Abortable): AsyncGenerator<string, void, void>;
}

/** Tasks that were submitted together, in their order: `ids`. */
export class Batch implements Iterable<Task> {
  constructor(client: Client, info: { id: string; ids: string[] });
  readonly id: string;
  readonly ids: string[];
  readonly length: number;
  [Symbol.iterator](): Iterator<Task>;
  /** How far it is: total, finished, counts, rate, eta … */
  refresh(options?: Abortable): Promise<{ id: string; [member: string]: any }>;
  wait(options?: Waiting & { returnWhen?: ReturnWhen }): Promise<{ done: string[]; notDone: string[] }>;
  events(options?: EventOptions): AsyncGenerator<Event, void, void>;
  asCompleted(options?: EventOptions): AsyncGenerator<FutureInfo, void, void>;
  results(options?: Waiting): AsyncGenerator<ListedInfo, void, void>;
  values(options?: Waiting): AsyncGenerator<any, void, void>;
  cancel(options?: Abortable): Promise<void>;
}
