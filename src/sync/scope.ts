import type { Run } from '../workflows/workflow.ts';
import type { ZohoClient } from '../zoho/client/client.ts';
import type { PullModule } from '../zoho/modules/pull-modules.ts';
import type { Part } from './pages.ts';

/** One module's part of a run, with what its steps need. */
export type Scope = {
  run: Run<unknown>;
  client: ZohoClient;
  module: PullModule;
  part: Part;
  /** Records of the modules that the run has done before, for its progress. */
  before: number;
  /** What the run's progress counts: rows that were compared, or only those that are new. */
  counts: 'rows' | 'new';
};
