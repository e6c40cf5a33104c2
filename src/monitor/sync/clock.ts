import cron from 'node-cron';

/** When an expression comes next, UTC; null when it is switched off. */
export async function nextTime(expression: string | null): Promise<Date | null> {
  if (expression === null) return null;
  const task = cron.createTask(expression, () => {}, { timezone: 'UTC' });
  await task.start();
  const next = task.getNextRun();
  await task.destroy();
  return next;
}

/** '5 minutes' for every fifth minute, else the expression itself. */
export function frequencyOf(expression: string | null): string {
  if (expression === null) return 'off';
  const [, minutes] = /^\*\/(\d+) \* \* \* \*$/.exec(expression) ?? [];
  return minutes === undefined ? expression : `${minutes} minutes`;
}
