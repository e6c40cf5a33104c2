/** The key that encrypts access tokens in the database: whoever can read the database alone cannot call Zoho. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ConfigError } from '../../config.ts';

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ALGORITHM = 'aes-256-gcm';
const FILE_NAME = 'zoho-token.key';

/** Who may read a key file that we make. */
const OWNER_ONLY = 0o600;

export type TokenKey = Buffer;

/**
 * The key of ZOHO_TOKEN_KEY_FILE, else the one in the data directory, which is made at the first call. Processes that
 * share a database must share the key. Throws ConfigError when the file holds no key.
 */
export function tokenKey(options: { zohoTokenKeyFile?: string | undefined; dataDir: string }): TokenKey {
  const { zohoTokenKeyFile, dataDir } = options;
  if (zohoTokenKeyFile !== undefined) return readKey(zohoTokenKeyFile, 'ZOHO_TOKEN_KEY_FILE');
  const file = path.join(dataDir, FILE_NAME);
  return existsSync(file) ? readKey(file, file) : madeKey(file);
}

/** Encrypts a token for one row: the credential is authenticated too, so that rows cannot be exchanged. */
export function encryptToken(key: TokenKey, credential: string, token: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(ALGORITHM, key, nonce).setAAD(Buffer.from(credential));
  const text = Buffer.concat([cipher.update(token, 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), text]);
}

/** The token, or null when another key, or another row's, encrypted it. */
export function decryptToken(key: TokenKey, credential: string, stored: Buffer): string | null {
  const nonce = stored.subarray(0, NONCE_BYTES);
  const tag = stored.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
  try {
    const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(credential)).setAuthTag(tag);
    return decipher.update(stored.subarray(NONCE_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
  } catch {
    return null;
  }
}

function madeKey(file: string): TokenKey {
  const draft = `${file}.${process.pid}`;
  try {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(draft, `${randomBytes(KEY_BYTES).toString('base64')}\n`, { mode: OWNER_ONLY });
    // A link, complete and never over another: of two processes that start at once, the second takes the first one's.
    linkSync(draft, file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST')
      throw new ConfigError([`TDS_DATA_DIR cannot hold ${FILE_NAME} (${code}): set ZOHO_TOKEN_KEY_FILE.`]);
  } finally {
    rmSync(draft, { force: true });
  }
  return readKey(file, file);
}

function readKey(file: string, name: string): TokenKey {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new ConfigError([`${name} cannot be read (${(error as NodeJS.ErrnoException).code}).`]);
  }
  const key = Buffer.from(text, /^[0-9a-f]{64}$/i.test(text) ? 'hex' : 'base64');
  if (key.length === KEY_BYTES) return key;
  throw new ConfigError([
    `${name} must hold ${KEY_BYTES} bytes in base64 or hex: make one with openssl rand -base64 32.`,
  ]);
}
