/**
 * Preloaded into the children of `npm start`. When their parent is gone, even by kill -9, the channel to it closes and
 * they end as well: politely first, by force if that takes long, because the next start needs their port.
 */
const PATIENCE_MS = 3000;

process.on('disconnect', () => {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), PATIENCE_MS).unref();
});
// Listening on the channel must not keep a process alive that has nothing else to do.
process.channel?.unref();
