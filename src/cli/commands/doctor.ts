import type { Command } from '../command.ts';
import { plain } from '../output.ts';

type Diagnosis = {
  status: 'healthy' | 'warning' | 'critical';
  examined: number;
  findings: Record<'severity' | 'title' | 'cause' | 'evidence' | 'next', string>[];
};

const EXIT_CODES = { healthy: 0, warning: 1, critical: 2 } as const;

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'What is wrong, why, and the next command; exit code 0 healthy, 1 warning, 2 critical',
  examples: ['tds doctor', 'tds doctor -o json'],
  reads: true,
  async run({ api }) {
    const data = (await (await api()).get('/dashboard/doctor')) as Diagnosis;
    const text = data.findings.map(
      ({ severity, title, cause, evidence, next }) =>
        `${severity.toUpperCase()}  ${plain(title)}\n  because  ${plain(cause)}\n  seen in  ${plain(evidence)}\n  next     ${plain(next)}\n`,
    );
    const verdict = `${data.examined} things examined: ${data.findings.length || 'no'} findings\n`;
    return { data, rows: data.findings, text: [...text, verdict].join('\n'), exitCode: EXIT_CODES[data.status] };
  },
};
