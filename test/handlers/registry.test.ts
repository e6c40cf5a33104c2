import t from 'tap';
import type { Handler } from '../../src/handlers/handler.ts';
import { Registry } from '../../src/handlers/registry.ts';

const handler = (name: string, ...eventTypes: string[]): Handler => ({ name, eventTypes, async handle() {} });

t.test(
  'an event concerns the handlers of its exact type, of its module and of everything, in their order',
  async (t) => {
    const registry = new Registry([
      handler('all', '*'),
      handler('exact', 'invoice.updated'),
      handler('module', 'bill.*', 'invoice.*'),
      handler('other', 'bill.updated'),
    ]);
    const names = (eventType: string) => registry.matching(eventType).map(({ name }) => name);
    t.same(names('invoice.updated'), ['all', 'exact', 'module']);
    t.same(names('invoice.created'), ['all', 'module']);
    t.same(names('invoiceline.created'), ['all']);
  },
);

t.test('an event is taken in sets when each of its handlers takes sets', async (t) => {
  const sets: Handler = { name: 'sets', eventTypes: ['*'], handleBatch: async () => undefined };
  const registry = new Registry([sets, handler('single', 'bill.*')]);
  t.equal(registry.takesSets('invoice.updated'), true);
  t.equal(registry.takesSets('bill.updated'), false);
  t.equal(registry.allTakeSets, false);
  t.equal(new Registry([sets]).allTakeSets, true);
});

t.test('two handlers of one name are refused', async (t) => {
  t.throws(() => new Registry([handler('ship', '*'), handler('ship', 'bill.*')]), /two handlers are named ship/);
});
