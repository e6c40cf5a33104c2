import type { Command } from '../command.ts';

export const completenessCommand: Command = {
  name: 'completeness',
  summary: 'Whether each module is complete: holes, stale records, silence',
  examples: ['tds completeness', 'tds completeness -o json'],
  reads: true,
  run: async ({ api }) => ({
    data: await (await api()).get('/dashboard/completeness'),
    columns: [
      ...['organization_id', 'module', 'records', 'holes', 'incomplete', 'stale', 'webhooks_last_24h'],
      ...['last_webhook_at', 'silent'],
    ],
  }),
};
