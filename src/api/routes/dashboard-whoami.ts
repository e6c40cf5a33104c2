import { Type } from 'typebox';
import type { Api, Deps } from '../deps.ts';
import { callerOf } from '../plugins/auth.ts';
import { Nullable, Time } from '../schemas.ts';

const Whoami = Type.Object({
  name: Type.String({ examples: ['anna'] }),
  role: Type.Union([Type.Literal('viewer'), Type.Literal('operator'), Type.Literal('admin')]),
  session_expires_at: Nullable({ ...Time, description: 'Null for whoever sent a token, or needs none.' }),
  supervisor: Type.Union([Type.Literal('systemd'), Type.Literal('npm start'), Type.Literal('none')], {
    description: 'What starts the processes again when they end.',
  }),
});

/** Who calls, and what he may do; and who looks after the processes, so that advice names commands that work here. */
export function whoamiRoutes(api: Api, { supervisor = 'none' }: Deps): void {
  const summary = 'Name and role of the caller';
  const schema = { tags: ['dashboard'], summary, response: { 200: Whoami } };

  api.get('/dashboard/whoami', { config: { role: 'viewer' }, schema }, async (request) => {
    const { name, role } = callerOf(request);
    const session = request.headers.authorization ? null : request.known;
    return { name, role, session_expires_at: session?.expiresAt ?? null, supervisor };
  });
}
