import type { Config } from '../../config.ts';
import type { Database } from '../../db/database.ts';

/** What the doctor found: what is wrong, why it is believed to be so, what shows it, and what to type next. */
export type Finding = {
  /** Stable, for programs. */
  code: string;
  severity: 'critical' | 'warning' | 'info';
  title: string;
  cause: string;
  evidence: string;
  /** A command, or what to do where no command does it. */
  next: string;
};

export type DoctorConfig = Pick<
  Config,
  'nodeEnv' | 'retentionDays' | 'retentionByKind' | 'databaseUrl' | 'defaultOrganization' | 'secretMaxAgeDays'
>;

/** Looks at one thing. Cheap at any size of the queue, for the tables it reads are small or asked by index. */
export type Examination = (db: Database, config: DoctorConfig) => Promise<Finding[]>;
