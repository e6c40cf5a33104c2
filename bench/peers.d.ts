/** The little of the peers' interfaces that is used here, so that `tsc` needs none of them installed. */
declare module 'graphile-worker' {
  export type Task = (payload: unknown) => unknown;
  export type Spec = { identifier: string; payload: unknown; queueName?: string };
  export class Logger {
    constructor(factory: () => () => void);
  }
  export function makeWorkerUtils(options: { connectionString: string; logger: Logger }): Promise<{
    migrate(): Promise<void>;
    addJob(identifier: string, payload: unknown, spec?: { queueName: string }): Promise<unknown>;
    addJobs(specs: Spec[]): Promise<unknown>;
    release(): Promise<void>;
  }>;
  export function run(options: {
    taskList: Record<string, Task>;
    logger: Logger;
    noHandleSignals: boolean;
    preset: { worker: Record<string, unknown> };
  }): Promise<{ stop(): Promise<void> }>;
}

declare module 'pg-boss' {
  export class PgBoss {
    constructor(options: Record<string, unknown>);
    on(event: 'error', listener: (error: Error) => void): void;
    start(): Promise<unknown>;
    stop(options?: object): Promise<void>;
    createQueue(name: string, options?: { policy: string }): Promise<void>;
    insert(name: string, jobs: { data: object; singletonKey?: string }[]): Promise<unknown>;
    send(name: string, data: object, options: Record<string, unknown>): Promise<string | null>;
    fail(name: string, id: string, data?: object): Promise<unknown>;
    fetch<T>(name: string, options: { batchSize: number }): Promise<{ id: string; data: T }[]>;
    complete(name: string, ids: string[]): Promise<unknown>;
  }
}
