import type { Generated } from 'kysely';
import type { Role } from '../../config.ts';
import type { GeneratedTimestamp, Optional, OptionalTimestamp, Timestamp } from './columns.ts';

/** Who may. */
export type AccessTables = {
  tds_tokens: Tokens;
  tds_sessions: Sessions;
  tds_secrets: Secrets;
};

export type Tokens = {
  id: Generated<string>;
  name: string;
  role: Role;
  token_sha256: Buffer;
  created_at: GeneratedTimestamp;
  created_by: string;
  expires_at: Timestamp;
  last_used_at: OptionalTimestamp;
  revoked_at: OptionalTimestamp;
  revoked_by: Optional<string>;
};

export type Sessions = {
  session_sha256: Buffer;
  token_sha256: Buffer;
  created_at: GeneratedTimestamp;
  expires_at: Timestamp;
};

export type Secrets = {
  name: string;
  salt: Buffer;
  fingerprint: Buffer;
  since: GeneratedTimestamp;
};
