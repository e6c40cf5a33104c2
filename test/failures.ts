/**
 * Finds what failed in the output of a test run, so that the end of a long log says it.
 * The format is TAP 14 (https://testanything.org/tap-version-14-specification.html): subtests are indented by four
 * spaces, and a failure is followed by a YAML block between `---` and `...`.
 */

/** Lines of one failure's YAML block that are shown; the rest stands further up in the output. */
const SHOWN_LINES = 40;

const indentOf = (line: string): number => line.length - line.trimStart().length;

/** The lines of the YAML block that starts at `start`, without their common indentation; none if no block starts there. */
function blockAt(lines: string[], start: number): string[] {
  const opening = lines[start] ?? '';
  if (opening.trim() !== '---') return [];
  const closing = `${' '.repeat(indentOf(opening))}...`;
  const end = lines.indexOf(closing, start);
  return lines.slice(start + 1, end < 0 ? undefined : end).map((line) => line.slice(indentOf(opening)));
}

/**
 * The failed assertions of `output`, each as `file > test > assertion` and the start of its YAML block below it. A test
 * that failed because of something within it is left out; a file that ended badly by itself is not.
 */
export function failuresOf(output: string): string[] {
  const lines = output.split('\n');
  const failures: string[] = [];
  const open: string[] = [];
  let reportedDepth = -1;
  for (const [index, line] of lines.entries()) {
    const depth = indentOf(line) / 4;
    const subtest = /^ *# Subtest: (.*)$/.exec(line)?.[1];
    if (subtest !== undefined) open.splice(depth, open.length, subtest);
    const name = /^ *not ok \d+(?: - )?(.*?)(?: # time=\S+)?$/.exec(line)?.[1];
    if (name === undefined || / # (?:SKIP|TODO)/i.test(name)) continue;
    const holdsReported = depth < reportedDepth;
    reportedDepth = depth === 0 ? -1 : depth;
    if (holdsReported) continue;
    const path = [...open.slice(0, depth), name].join(' > ');
    failures.push([path, ...blockAt(lines, index + 1).slice(0, SHOWN_LINES)].join('\n    '));
  }
  return failures;
}
