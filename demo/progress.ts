/** One line that is written over, and wiped by ''. Only for people: in a file or a pipe it would be noise. */
export function showProgress(line: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${line}`);
}
