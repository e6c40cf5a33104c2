import type { FastifyRequest, RequestPayload } from 'fastify';
import { parseLossless } from '../../lossless.ts';
import type { Api } from '../deps.ts';
import { Problem } from '../problem.ts';

/** What `curl -d` says, whatever it sends. */
const FORM = 'application/x-www-form-urlencoded';

/**
 * How the operators' routes read a body: as JSON, within the budget of all bodies. JSON without a Content-Type, or with
 * the one that `curl -d` adds by itself, is JSON too, so that the commands of the operations guide need no header. Any
 * other type is a 415: `text/plain` is what another site's page may send without asking.
 */
export function readJsonBodies(api: Api): void {
  readBodies(api, api.getDefaultJsonParser('error', 'error'));
}

/** The same for routes that store what they are sent: numbers stay as they were written, see parseLossless. */
export function keepDigits(api: Api): void {
  readBodies(api, (_request, text, done) => {
    try {
      const value = parseLossless(text);
      // What is nested too deeply to be written again ends here.
      JSON.stringify(value);
      done(null, value);
    } catch {
      done(new Problem(400, 'invalid_json', 'The body is not valid JSON.'));
    }
  });
}

type Parser = (request: FastifyRequest, text: string, done: (error: Error | null, value?: unknown) => void) => unknown;

function readBodies(api: Api, parse: Parser): void {
  const readJson = async (request: FastifyRequest, payload: RequestPayload) => {
    const limit = request.routeOptions.bodyLimit;
    const text = (await api.bodies.read(request, payload, { limit, hasProof: true })).toString('utf8');
    // A form without fields, `curl -d ''`, is no body.
    if (text === '' && !isJson(request)) return undefined;
    return parseWith(parse, request, text);
  };
  api.removeAllContentTypeParsers();
  api.addContentTypeParser(['application/json', FORM], readJson);
  api.addContentTypeParser('*', (request: FastifyRequest, payload: RequestPayload) => {
    if (request.headers['content-type'] === undefined) return readJson(request, payload);
    const detail = 'Send the body as JSON, with Content-Type: application/json.';
    return Promise.reject(new Problem(415, 'unsupported_media_type', detail));
  });
}

function isJson({ headers }: FastifyRequest): boolean {
  return headers['content-type']?.startsWith('application/json') ?? false;
}

function parseWith(parse: Parser, request: FastifyRequest, text: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    parse(request, text, (error, value) => (error ? reject(error) : resolve(value)));
  });
}
