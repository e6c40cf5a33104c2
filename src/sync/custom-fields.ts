/** What follows the last activity of a pull or a reconciliation. */
import { refreshViews } from '../db/refresh-views.ts';
import type { Run } from '../workflows/workflow.ts';

/**
 * Gives the views a column for each custom field that the run brought. Outside of any activity: it commits by itself, and
 * a view that cannot be refreshed must not fail a run that has ended well; the next run tries again.
 */
export async function addCustomFields({ db, log }: Run<unknown>): Promise<void> {
  try {
    const changes = await refreshViews(db);
    const failed = changes.filter(({ change }) => change === 'failed');
    if (failed.length > 0) log.warn({ views: failed }, 'views could not be refreshed');
    if (changes.length > failed.length)
      log.info({ views: changes.filter(({ change }) => change !== 'failed') }, 'views have new columns');
  } catch (error) {
    log.warn({ error }, 'views could not be refreshed');
  }
}
