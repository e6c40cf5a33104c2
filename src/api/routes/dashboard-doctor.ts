import { Type } from 'typebox';
import { examine } from '../../monitor/doctor/doctor.ts';
import type { Api, Deps } from '../deps.ts';

const Severity = Type.Union([Type.Literal('critical'), Type.Literal('warning'), Type.Literal('info')]);
const Diagnosis = Type.Object({
  status: Type.Union([Type.Literal('healthy'), Type.Literal('warning'), Type.Literal('critical')]),
  examined: Type.Integer({ description: 'How many things were looked at.' }),
  findings: Type.Array(
    Type.Object({
      code: Type.String({ description: 'Stable, for programs.', examples: ['no_worker'] }),
      severity: Severity,
      title: Type.String({ examples: ['No worker is alive'] }),
      cause: Type.String(),
      evidence: Type.String(),
      next: Type.String({ description: 'The next command.', examples: ['systemctl restart tds-core-worker'] }),
    }),
    { description: 'The gravest first.' },
  ),
});

/** What a person with the runbook would find. */
export function doctorRoutes(api: Api, { db, config }: Deps): void {
  const summary = 'What is wrong, why, and what to do next';
  const schema = { tags: ['dashboard'], summary, response: { 200: Diagnosis } };
  api.get('/dashboard/doctor', { config: { role: 'viewer' }, schema }, () => examine(db, config));
}
