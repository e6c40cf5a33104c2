import t from 'tap';
import { isLatest } from '../../src/handlers/handler.ts';
import { testDatabase } from '../helper.ts';
import { mirroring, newId, paid, sent, V1, V2, V3 } from './mirroring.ts';

const { db } = await testDatabase(t);
const { batch } = mirroring(db);
const event = (entityId: string, version: string | null) => ({
  ...{ organizationId: '60000000001', module: 'invoice', entityId },
  version: version === null ? null : new Date(version),
});
const ask = (entityId: string, version: string | null) =>
  db.transaction().execute((trx) => isLatest(event(entityId, version), { trx }));

t.test('an event is the latest until a newer version of its record is mirrored', async (t) => {
  const entityId = newId();
  t.equal(await ask(entityId, V1), true, 'nothing is known');
  await batch({
    entityId,
    record: { ...sent, invoice_number: 'INV-1', customer_id: '9', line_items: [], invoice_id: entityId },
    version: V2,
  });
  t.equal(await ask(entityId, V2), true, 'it is what is mirrored');
  t.equal(await ask(entityId, V3), true);
  t.equal(await ask(entityId, V1), false, 'something newer is');
  t.equal(await ask(entityId, null), true, 'without a version nobody can tell');
});

t.test('a newer version of which only a part has come counts too', async (t) => {
  const entityId = newId();
  await batch({
    entityId,
    record: { ...paid, invoice_number: 'INV-1', customer_id: '9', line_items: [], invoice_id: entityId },
    version: V1,
  });
  await batch({ entityId, record: { invoice_id: entityId, status: 'void' }, version: V2 });
  t.equal(await ask(entityId, V1), false);
});
