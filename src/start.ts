/** `npm start`: everything in one terminal. PostgreSQL (unless DATABASE_URL names one), the schema, API and worker. */
import { processConfig, runByNpm } from './config.ts';
import { Launcher } from './launcher/launcher.ts';
import { Terminal } from './launcher/terminal.ts';

const PARENT_CHECK_MS = 1000;

/** Signals, a closed terminal, and an npm that was killed (we are then handed to another parent) all mean: stop. */
function stopOnRequest(launcher: Launcher): void {
  const stop = (reason: string) => void launcher.stop(reason).then(() => process.exit(0));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop(signal));
  if (!runByNpm()) return;
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && stop('npm is gone'), PARENT_CHECK_MS).unref();
}

const terminal = new Terminal();
const launcher = new Launcher(processConfig('start'), terminal);
process.stdout.on('error', () => undefined); // `npm start | head`: nobody reads on, but the processes have work to do
stopOnRequest(launcher);
try {
  await launcher.start();
} catch (error) {
  await launcher.stop('start failed');
  terminal.warn(`start failed: ${(error as Error).message}`);
  process.exit(1);
}
