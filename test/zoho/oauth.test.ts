import { sql } from 'kysely';
import t, { type Test } from 'tap';
import { ZohoError } from '../../src/zoho/client/errors.ts';
import type { ZohoAccess } from '../../src/zoho/organizations/organizations.ts';
import { AccessTokens } from '../../src/zoho/tokens/oauth.ts';
import { tokenTroubles } from '../../src/zoho/tokens/token-store.ts';
import { type TestDatabase, testDatabase } from '../helper.ts';
import { callInProcess, failureOf, KEY } from './calling.ts';
import { StandIn } from './stand-in.ts';

let database: TestDatabase;
t.before(async () => {
  database = await testDatabase(t);
});

let refreshTokens = 0;

/** A stand-in whose refresh token no other test has, and a function that makes another process's view of its token. */
async function world(t: Test) {
  const standIn = await StandIn.start(t);
  const { accounts } = standIn;
  accounts.refreshToken = `refresh-token-${++refreshTokens}`;
  const access: ZohoAccess = {
    addresses: { dc: 'eu', accountsUrl: standIn.url },
    ...{ clientId: accounts.clientId, clientSecret: accounts.clientSecret, refreshToken: accounts.refreshToken },
    ...{ callsPerMinute: 100, callsInFlight: 5 },
  };
  const tokens = (key = KEY) => new AccessTokens(database.db, key, '10234695', access);
  /** Lets time pass, here and in the stand-in, in place of waiting. */
  const age = async (seconds: number) => {
    accounts.pass(seconds);
    await sql`update tds_zoho_tokens set refreshed_at = refreshed_at - make_interval(secs => ${seconds}),
        expires_at = expires_at - make_interval(secs => ${seconds}),
        try_again_at = try_again_at - make_interval(secs => ${seconds}),
        token_calls = array(select c - make_interval(secs => ${seconds}) from unnest(token_calls) c)
      where credential = ${tokens().credential}`.execute(database.db);
  };
  return { standIn, accounts, tokens, age };
}

t.test('one token serves everybody: it is fetched once and stored encrypted', async (t) => {
  const { accounts, tokens } = await world(t);
  const asked = await Promise.all([tokens().get(), tokens().get(), tokens().get()]);
  t.strictSame(new Set(asked.map(({ token }) => token)), new Set(accounts.given));
  t.equal(accounts.calls, 1);
  const { rows } = await database.pool.query('select access_token, api_domain from tds_zoho_tokens');
  t.notMatch(rows[0].access_token.toString('latin1'), /1000\./);
  t.equal(rows[0].api_domain, accounts.apiDomain);
});

t.test('three processes that start at once fetch one token', async (t) => {
  const { standIn, accounts } = await world(t);
  const limits = { callsPerMinute: 1000, windowMs: 1000, callsInFlight: 5 };
  const orders = { calls: 2, atOnce: 2, limits };
  const done = await Promise.all([1, 2, 3].map(() => callInProcess(standIn, database.url, orders)));
  t.strictSame(done, [2, 2, 2]);
  t.equal(accounts.calls, 1);
});

t.test('a token is replaced five minutes before it ends, and used on while that fails', async (t) => {
  const { accounts, tokens, age } = await world(t);
  const first = await tokens().get();
  await age(3600 - 310);
  t.equal((await tokens().get()).token, first.token, 'not yet');
  await age(20);
  accounts.nextAnswers.push({ status: 503, body: {} });
  t.equal((await tokens().get()).token, first.token, 'the accounts server is away');
  t.match(await tokenTroubles(database.db), [{ refused: false, failure: /answered 503/ }]);
  t.equal((await tokens().get()).token, first.token, 'and is not asked again at once');
  t.equal(accounts.calls, 2);
  await age(11);
  t.not((await tokens().get()).token, first.token);
  t.equal(accounts.calls, 3);
  t.strictSame(await tokenTroubles(database.db), []);
});

t.test('a rejected token is replaced once, whoever reports it', async (t) => {
  const { accounts, tokens } = await world(t);
  const [one, two] = [tokens(), tokens()];
  const rejected = await one.get();
  await two.get();
  const replaced = await Promise.all([one.replace(rejected), one.replace(rejected), two.replace(rejected)]);
  t.strictSame(new Set(replaced.map(({ token }) => token)), new Set([accounts.given[1]]));
  t.equal(accounts.calls, 2);
});

t.test('a revoked refresh token stops: remembered, explained, and Zoho is not asked again', async (t) => {
  const { accounts, tokens, age } = await world(t);
  accounts.revoked = true;
  const error = await failureOf(tokens().get());
  t.match(error, { problem: 'refused-credential', permanent: true, message: /invalid_code/ });
  t.match(error?.message, /another data centre than eu/);
  t.match(error?.message, /npm run zoho -- connect/);
  for (let n = 0; n < 5; n++) t.match(await failureOf(tokens().get()), { problem: 'refused-credential' });
  await age(100_000);
  t.match(await failureOf(tokens().get()), { problem: 'refused-credential' });
  t.equal(accounts.calls, 1);
  t.match(await tokenTroubles(database.db), [{ organizations: ['10234695'], refused: true, failure: /invalid_code/ }]);
  accounts.revoked = false;
  const again = tokens();
  await again.tryAgain();
  t.ok((await again.get()).token, 'until somebody asks for it');
});

t.test('an error in an HTTP 200 is an error, and throttling waits for everybody', async (t) => {
  const { accounts, tokens, age } = await world(t);
  accounts.nextAnswers.push({ status: 200, body: { error: 'Access Denied', error_description: 'too many requests' } });
  t.match(await failureOf(tokens().get()), { problem: 'token', retryAfterSeconds: 60, message: /too many requests/ });
  t.match(await failureOf(tokens().get()), { problem: 'token', permanent: false });
  t.equal(accounts.calls, 1);
  await age(61);
  t.ok((await tokens().get()).token);
});

t.test('never more than ten tokens in ten minutes, whatever Zoho rejects', async (t) => {
  const { accounts, tokens, age } = await world(t);
  const all = tokens();
  let token = await all.get();
  for (let n = 1; n < 10; n++) token = await all.replace(token);
  t.match(await failureOf(all.replace(token)), { problem: 'token', message: /Ten access tokens/ });
  t.equal(accounts.calls, 10);
  await age(631);
  t.ok(await all.replace(token));
  t.equal(accounts.calls, 11);
});

t.test('a process that dies while it fetches holds the others up until its lease ends', async (t) => {
  const { accounts, tokens } = await world(t);
  const { credential } = tokens();
  await database.pool.query(
    `insert into tds_zoho_tokens (credential, refresh_lease, refresh_lease_until)
     values ($1, gen_random_uuid(), clock_timestamp() + interval '0.3 seconds')`,
    [credential],
  );
  t.ok((await tokens().get()).token);
  t.equal(accounts.calls, 1);
});

t.test('a token that another key encrypted is fetched anew', async (t) => {
  const { accounts, tokens } = await world(t);
  await tokens().get();
  t.equal((await tokens(Buffer.alloc(32, 9)).get()).token, accounts.given[1]);
});

t.test('answers that hold no token are failures, and never quote a secret', async (t) => {
  const { accounts, tokens, age } = await world(t);
  for (const body of [{}, { access_token: '' }, { token: 'x' }]) {
    accounts.nextAnswers.push({ status: 200, body });
    const error = await failureOf(tokens().get());
    t.match(error, { problem: 'token', message: /no access_token/ });
    t.notMatch(error?.message, /client-secret|refresh-token/);
    await age(11);
  }
});

t.test('an unreachable accounts server is no reason to give up', async (t) => {
  const { standIn, tokens } = await world(t);
  await standIn.stop();
  const error = await failureOf(tokens().get());
  t.ok(error instanceof ZohoError);
  t.match(error, { problem: 'token', permanent: false, message: /ECONNREFUSED/ });
});
