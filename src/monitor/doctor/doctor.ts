import type { Database } from '../../db/database.ts';
import { classify, isDatabaseAway } from '../../errors.ts';
import { audit } from './audit.ts';
import { database } from './database.ts';
import type { DoctorConfig, Examination, Finding } from './finding.ts';
import { processing } from './processing.ts';
import { secrets } from './secrets.ts';
import { server } from './server.ts';
import { zoho } from './zoho.ts';

export type Diagnosis = {
  status: 'healthy' | 'warning' | 'critical';
  /** How many things were looked at. */
  examined: number;
  /** The gravest first. */
  findings: Finding[];
};

const EXAMINATIONS = [...processing, ...zoho, ...database, ...server, secrets, ...audit];
const GRAVITY = ['critical', 'warning', 'info'];

/** Runs the troubleshooting parts of the runbooks. Throws only when the database is away. */
export async function examine(db: Database, config: DoctorConfig): Promise<Diagnosis> {
  const findings: Finding[] = [];
  // One after the other: whoever is ill should not be asked everything at once.
  for (const one of EXAMINATIONS) findings.push(...(await one(db, config).catch((error) => notExamined(one, error))));
  findings.sort((a, b) => GRAVITY.indexOf(a.severity) - GRAVITY.indexOf(b.severity));
  const worst = findings[0]?.severity ?? 'info';
  return { status: worst === 'info' ? 'healthy' : worst, examined: EXAMINATIONS.length, findings };
}

function notExamined(one: Examination, error: unknown): Finding[] {
  if (isDatabaseAway(error)) throw error;
  return [
    {
      ...{ code: 'not_examined', severity: 'warning', title: 'Something could not be examined' },
      cause: classify(error).tag,
      evidence: one.name,
      next: 'tds migrate status',
    },
  ];
}
