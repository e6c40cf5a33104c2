import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { ConnectionError } from 'fastify';
import type { Logger } from '../../log.ts';
import { PROBLEM_TYPE, Problem, problemText } from '../problem.ts';

/**
 * Answers what is no HTTP request (TLS or HTTP/2 on the plain port, contradictory lengths, endless or overlong headers)
 * in the form of every other error, with one log line and no stack, and closes the connection.
 */
export function answerSocketErrors(log: Logger): (error: ConnectionError, socket: Socket) => void {
  return (error, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
    const problem = toProblem(error.code);
    const requestId = randomUUID();
    const { status, code } = problem;
    const fields = { component: 'http', request_id: requestId, status, problem: code, ip: socket.remoteAddress };
    log.info({ ...fields, cause: error.code }, 'request could not be read');
    socket.end(rawAnswer(problem, requestId), () => socket.destroySoon());
  };
}

function toProblem(code: string): Problem {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new Problem(408, 'request_timeout', 'The request arrived too slowly. Send it again in one go.');
    case 'HPE_HEADER_OVERFLOW':
      return new Problem(431, 'headers_too_large', 'The headers are larger than 16 kB together. Send fewer.');
    default:
      return new Problem(400, 'malformed_request', 'This is not a valid HTTP/1.1 request.');
  }
}

function rawAnswer(problem: Problem, requestId: string): string {
  const body = problemText(problem, requestId);
  return [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}
