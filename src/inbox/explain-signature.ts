/** `npm run explain-signature -- --file body.json --header <signature>`: says step by step why a signature is (not) right. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Config, environmentConfig, orExit } from '../config.ts';
import { type Organizations, organizationsOf } from '../zoho/organizations/organizations.ts';
import { isForm } from './body.ts';
import { type SignedRequest, signaturesOf } from './signature.ts';
import { REJECTION_CAUSES, whyRejected } from './why-rejected.ts';

/** The steps of verifying a signature, a sentence each; the last one is the verdict. No secret and no body in them. */
export function explainSignature(
  request: SignedRequest,
  oldSecrets: readonly string[] = [],
): { isRight: boolean; steps: string[] } {
  const { header = '', query, contentType, body } = request;
  const cause = whyRejected(request, oldSecrets);
  const verdict = cause === undefined ? 'The signature is right.' : REJECTION_CAUSES[cause];
  const steps = [
    `The header X-Zoho-Webhook-Signature is ${header === '' ? 'missing' : `${shortened(header)} (${header.length} characters)`}.`,
    `The body has ${body.length} bytes, SHA-256 ${createHash('sha256').update(body).digest('hex')}.`,
    isForm(contentType)
      ? 'It is a form: its fields are decoded, sorted by name together with those of the query, and signed without separators.'
      : 'It is no form: its bytes are signed as they are, behind the query pairs.',
    query === '' ? 'There is no query.' : `Of the query these names are signed, sorted: ${namesOf(query)}.`,
    ...request.secrets.flatMap((secret, n) => attempts(`Secret ${n + 1}`, request, secret)),
    ...oldSecrets.flatMap((secret, n) => attempts(`Old secret ${n + 1}`, request, secret)),
    ...(cause === 'wrong_secret' ? lineEndings(request) : []),
    `Verdict: ${verdict}`,
  ];
  return { isRight: cause === undefined, steps };
}

export type SignatureOptions = {
  file: string;
  header?: string | undefined;
  query?: string | undefined;
  contentType?: string | undefined;
  organization?: string | undefined;
};

/** The same for a body in a file, with the secrets of its organization; undefined when there are none. */
export function explainFile(config: Config, organizations: Organizations, options: SignatureOptions) {
  const { file, header, query = '', contentType = 'application/json', organization } = options;
  const secrets = organizations.secretsFor(organization ?? organizations.defaultId);
  if (secrets.length === 0) return undefined;
  const request = { header, query: query.replace(/^\?/, ''), contentType, body: readFileSync(file), secrets };
  return explainSignature(request, config.webhookOldSecrets);
}

function attempts(name: string, request: SignedRequest, secret: string): string[] {
  const computed = signaturesOf(request, secret);
  const isRight = computed.includes((request.header ?? '').toLowerCase());
  const shown = computed.map(shortened).join(' or ') || 'nothing: too many fields';
  return [`${name} gives ${shown}: ${isRight ? 'the same' : 'another one'}.`];
}

/** A file that an editor has saved is not what was received. */
function lineEndings(request: SignedRequest): string[] {
  const text = request.body.toString('latin1');
  const variants = {
    'without its last line break': text.replace(/\r?\n$/, ''),
    'with LF for CRLF': text.replaceAll('\r\n', '\n'),
  };
  return Object.entries(variants)
    .filter(([, variant]) => variant !== text)
    .filter(([, variant]) => whyRejected({ ...request, body: Buffer.from(variant, 'latin1') }, []) === undefined)
    .map(([how]) => `The signature is right for the file ${how}: the file is not what was received, byte for byte.`);
}

function shortened(signature: string): string {
  return signature.length > 12 ? `${signature.slice(0, 8)}…${signature.slice(-4)}` : signature;
}

function namesOf(query: string): string {
  return [...new URLSearchParams(query).keys()].sort().join(', ');
}

const USAGE = `Usage: npm run explain-signature -- --file FILE --header SIGNATURE [--query QUERY] [--content-type TYPE]
                                [--organization ID]

Verifies the signature of a webhook delivery step by step, with the organization's own secrets or those of
ZOHO_WEBHOOK_SECRET, and with ZOHO_WEBHOOK_OLD_SECRET.
  --file FILE          the body, byte for byte as received
  --header SIGNATURE   value of X-Zoho-Webhook-Signature
  --query QUERY        what stood behind the ? of the URL
  --content-type TYPE  default application/json
  --organization ID    the one that it is for, where ZOHO_ORGANIZATIONS_FILE names several

Exit codes: 0 the signature is right, 1 it is not, 64 wrong usage, 78 wrong configuration.
`;
const EXIT_WRONG = 1;
const EXIT_USAGE = 64;
const EXIT_CONFIG = 78;

function main(args: string[]): number {
  const text = { type: 'string' } as const;
  const options = {
    ...{ file: text, header: text, query: text, 'content-type': text, organization: text },
    help: { type: 'boolean' },
  } as const;
  const { values } = parseArgs({ args, options });
  if (values.help) return say(USAGE, 0);
  if (values.file === undefined) return say(USAGE, EXIT_USAGE);
  const config = environmentConfig();
  const organizations = orExit(() => organizationsOf(config));
  const given = { ...values, file: values.file, contentType: values['content-type'] };
  const explained = explainFile(config, organizations, given);
  if (!explained) return say('ZOHO_WEBHOOK_SECRET is not set: there is nothing to verify with.\n', EXIT_CONFIG);
  const { isRight, steps } = explained;
  return say(steps.map((step, n) => `${n + 1}. ${step}\n`).join(''), isRight ? 0 : EXIT_WRONG);
}

function say(text: string, exitCode: number): number {
  process.stdout.write(text);
  return exitCode;
}

if (import.meta.main) {
  try {
    process.exitCode = main(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = EXIT_USAGE;
  }
}
