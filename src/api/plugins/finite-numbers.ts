import type { Api } from '../deps.ts';
import { Problem } from '../problem.ts';

/**
 * Refuses query parameters such as `limit=1e999`: ajv turns them into Infinity and then checks no minimum and no maximum,
 * because those are for finite numbers.
 */
export function refuseInfiniteNumbers(api: Api): void {
  api.addHook('preHandler', (request, _reply, done) => {
    const parameters = Object.entries((request.query ?? {}) as Record<string, unknown>);
    const [name] = parameters.find(([, value]) => typeof value === 'number' && !Number.isFinite(value)) ?? [];
    done(name === undefined ? undefined : tooLarge(name));
  });
}

function tooLarge(name: string): Problem {
  return new Problem(400, 'invalid_request', `Correct the query parameter ${name}: it must be a number of usual size.`);
}
