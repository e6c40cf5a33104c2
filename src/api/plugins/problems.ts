import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Api, Deps } from '../deps.ts';
import { PROBLEM_TYPE, Problem, problemText, toProblem } from '../problem.ts';
import { SECURITY_HEADERS } from './headers.ts';

/**
 * Every error of every route leaves as a problem (RFC 9457); unknown paths are 404, known paths with another method 405.
 * `allowedMethods` lists the methods some route accepts for a path.
 */
export function answerProblems(api: Api, deps: Told, allowedMethods: (path: string) => string[]): void {
  const nothingHere = ({ url, method }: FastifyRequest) => {
    const methods = allowedMethods(url.split('?', 1)[0] ?? '');
    // A route that takes the method and yet found nothing (a file of the docs) is no reason to try another method.
    return methods.length === 0 || methods.includes(method) ? unknownPath() : wrongMethod(method, methods);
  };
  api.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, deps));
  // Before the body is read: nobody wants it, and what is wrong with it would hide what is wrong with the path.
  api.addHook('onRequest', (request, _reply, done) => done(request.is404 ? nothingHere(request) : undefined));
  api.setNotFoundHandler((request, reply) => sendProblem(nothingHere(request), request, reply, deps));
}

/** Who is told of an error that nobody expected. */
type Told = Pick<Deps, 'log' | 'reportError'>;

/** Answers with the problem that `error` amounts to. What nobody expected is logged with its stack, never sent. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply, told: Told): FastifyReply {
  const problem = toProblem(error);
  if (problem.status === 500) {
    told.log.error({ component: 'http', request_id: request.id, error }, 'unexpected error');
    told.reportError?.(error);
  }
  request.problem = problem.code;
  // The headers here too: an unreadable URL is answered before any hook has run.
  return reply
    .code(problem.status)
    .headers({ ...SECURITY_HEADERS, 'x-request-id': request.id, ...problem.headers })
    .type(PROBLEM_TYPE)
    .send(problemText(problem, request.id));
}

function unknownPath(): Problem {
  return new Problem(404, 'not_found', 'There is nothing at this path. The API is described at docs/.');
}

function wrongMethod(method: string, allowed: string[]): Problem {
  const allow = allowed.join(', ');
  return new Problem(405, 'method_not_allowed', `This path does not accept ${method}, only ${allow}.`, { allow });
}
