/** What the demo sends, in this order: bodies as Zoho Books sends them, from demo/samples, values invented. */
import { readFileSync } from 'node:fs';

export type Delivery = {
  title: string;
  /** What follows /webhooks/zoho-books: organization, module, action. */
  path: string;
  contentType: string;
  body: string;
};

const JSON_TYPE = 'application/json';

/** Every sample, then an event that the demo's handler fails. `now` makes that one new at each run. */
export function demoDeliveries(organization: string, now: Date): Delivery[] {
  const deliveries = [...checkCalls(), ...transports(), ...records(), ...deletion(), failure(now)];
  return deliveries.map((one) => ({ ...one, path: `${organization}/${one.path}` }));
}

/** Zoho calls once when a webhook is saved: nothing is stored. */
function checkCalls(): Delivery[] {
  const { form, json } = sample('check-call');
  const call = (title: string, wire: Wire) => delivery(title, 'invoice/updated', wire.raw_body, wire.content_type);
  return [call('check call, as a form', form), call('check call, as JSON', json)];
}

type Wire = { content_type: string; raw_body: string };

/** One record in every form a webhook can be configured to send. */
function transports(): Delivery[] {
  const { comment: _, ...wires } = sample('transports') as Record<string, Wire>;
  return Object.entries(wires).map(([name, wire]) =>
    delivery(`invoice, ${name.replaceAll('_', ' ')}`, 'invoice/updated', wire.raw_body, wire.content_type),
  );
}

function records(): Delivery[] {
  const files: [file: string, path: string][] = [
    ['contact', 'contact/created'],
    ['item', 'item/created'],
    ['salesorder', 'salesorder/created'],
    ['invoice', 'invoice/created'],
    ['customerpayment', 'customerpayment/created'],
    ['invoice-paid', 'invoice/updated'],
    ['bill', 'bill/created'],
  ];
  return files.map(([file, path]) => delivery(file, path, text(file)));
}

/** A delete rule sends the id alone; the record stays as a tombstone. */
function deletion(): Delivery[] {
  const { full_snapshot, id_only } = sample('delete');
  return [
    delivery('another invoice', 'invoice/updated', JSON.stringify(full_snapshot)),
    delivery('its deletion', 'invoice/deleted', JSON.stringify(id_only)),
  ];
}

/** demo/handlers/fails-until-retried.ts waits for this action. */
function failure(now: Date): Delivery {
  const contact = { contact_id: '3950000000197999', contact_name: 'Demo', last_modified_time: now.toISOString() };
  return delivery('an event that fails', 'contact/demo_failure', JSON.stringify({ contact }));
}

function delivery(title: string, path: string, body: string, contentType = JSON_TYPE): Delivery {
  return { title, path, contentType, body };
}

function sample(name: string) {
  return JSON.parse(text(name));
}

function text(name: string): string {
  return readFileSync(new URL(`samples/${name}.json`, import.meta.url), 'utf8');
}
