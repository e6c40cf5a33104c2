import { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { recordAudit } from '../../monitor/audit.ts';
import { type ExportFormat, exportText, FORMATS, MEDIA_TYPES } from '../../monitor/export/format.ts';
import { columnsOf, exportRows, KINDS, type Kind } from '../../monitor/export/rows.ts';
import type { Api, Deps } from '../deps.ts';
import { callerOf } from '../plugins/auth.ts';
import { Problem } from '../problem.ts';

// PostgreSQL knows no year 0.
const Moment = Type.String({ format: 'date-time', pattern: '^(?!0000)' });
const Query = Type.Object({
  what: Type.Unsafe<Kind>({
    ...{ type: 'string', enum: KINDS, default: 'events' },
    description: 'pending: what waits; failed: the last attempt failed; dead_letters: the open ones.',
  }),
  format: Type.Unsafe<ExportFormat>({ type: 'string', enum: FORMATS, default: 'csv' }),
  since: Type.Optional(Moment),
  before: Type.Optional(Moment),
  unmask: Type.Optional(Type.Boolean({ description: 'Without redaction. For admins; audited.' })),
});

const Text = { schema: Type.String() };
const Exported = {
  description: 'Streamed, in order of age.',
  content: { 'text/csv': Text, 'application/json': Text, 'application/jsonl': Text },
};

/** The usual time limit of a route would cut a long stream in the middle. */
const LONGEST_EXPORT_MS = 24 * 3_600_000;

/** Events, logs and the audit log as a file; what tells of persons is redacted unless an admin asks for it. */
export function exportRoutes(api: Api, { db }: Deps): void {
  const action = 'export';
  const summary = 'Export as CSV, JSON or JSON lines; personal data redacted';
  const schema = { tags: ['dashboard'], summary, querystring: Query, response: { 200: Exported } };

  const options = { config: { role: 'viewer', action } as const, schema, handlerTimeout: LONGEST_EXPORT_MS };
  api.get('/dashboard/export', options, async (request, reply) => {
    const { what, format, since, before, unmask = false } = request.query;
    const refusal = refusalOf(request, what, unmask);
    const { name: operator } = callerOf(request);
    const entry = { operator, action, target: null, requestId: request.id, detail: { what, format, unmask } };
    await recordAudit(db, { ...entry, result: refusal ? 'denied' : 'exported' });
    if (refusal) throw refusal;
    const window = { since: since ? new Date(since) : undefined, before: before ? new Date(before) : undefined };
    const rows = exportRows(db, what, window);
    const text = exportText(rows, { format, columns: columnsOf(what), unmask });
    return reply
      .type(MEDIA_TYPES[format])
      .header('content-disposition', `attachment; filename="tds-${what}.${format}"`)
      .send(Readable.from(text, { objectMode: false }) as never);
  });
}

function refusalOf(request: FastifyRequest, what: Kind, unmask: boolean): Problem | undefined {
  const { role } = callerOf(request);
  if (unmask && role !== 'admin')
    return new Problem(403, 'forbidden', `unmask needs the role admin; yours is ${role}. Leave it out.`);
  if (what === 'audit' && role === 'viewer')
    return new Problem(403, 'forbidden', 'The audit log needs the role operator; yours is viewer.');
  return undefined;
}
