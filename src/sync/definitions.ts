/** The workflows that pull from Zoho: SyncAll, SyncChanged and Reconcile, and each of them for one module. */
import { type TObject, Type } from 'typebox';
import type { Config } from '../config.ts';
import type { Database } from '../db/database.ts';
import { TaggedError } from '../errors/tagged.ts';
import { Workflows } from '../workflows/registry.ts';
import type { CompletedRun, Json, Plan, Run, WorkflowDefinition } from '../workflows/workflow.ts';
import type { ClientOptions, ZohoClient } from '../zoho/client/client.ts';
import { createClients } from '../zoho/client/clients.ts';
import { type PullModule, pullModuleNamed, pullModules } from '../zoho/modules/pull-modules.ts';
import { type Approach, approachOf } from './due.ts';
import { markOf } from './marks.ts';
import { planOf } from './plan.ts';
import { type PullPayload, syncAll, syncChanged } from './pull.ts';
import { type ReconcilePayload, reconcile } from './reconcile.ts';
import { databaseTime } from './write-pulled.ts';

type Payload = PullPayload & ReconcilePayload;

type Kind = {
  name: 'SyncAll' | 'SyncChanged' | 'Reconcile';
  payload: TObject;
  run(run: Run<unknown>, given: Payload, client: ZohoClient, modules: readonly PullModule[]): Promise<Json>;
  /** How a module would be read now, for the plan. */
  approach(db: Database, organizationId: string, module: PullModule, payload: Payload): Promise<Approach>;
};

const WHOLE: Approach = { strategy: 'full-scan', since: null };
const strict = { additionalProperties: false };
const since = Type.Optional(Type.String({ format: 'date-time' }));
const approved_run = Type.Optional(Type.String({ format: 'uuid' }));

const KINDS: readonly Kind[] = [
  { name: 'SyncAll', payload: Type.Object({}, strict), run: syncAll, approach: async () => WHOLE },
  {
    name: 'SyncChanged',
    payload: Type.Object({ since }, strict),
    run: syncChanged,
    async approach(db, organizationId, module, payload) {
      const mark = await markOf(db, organizationId, module.name);
      return approachOf(module, mark, payload.since ? new Date(payload.since) : null, await databaseTime(db));
    },
  },
  { name: 'Reconcile', payload: Type.Object({ approved_run }, strict), run: reconcile, approach: async () => WHOLE },
];

/** What the shorthand of one module is called: `SyncAllInvoices`. */
const PLURALS: Record<string, string> = {
  ...{ contact: 'Contacts', item: 'Items', invoice: 'Invoices', bill: 'Bills', expense: 'Expenses' },
  ...{ salesorder: 'SalesOrders', purchaseorder: 'PurchaseOrders', estimate: 'Estimates', journal: 'Journals' },
  ...{ customerpayment: 'CustomerPayments', vendorpayment: 'VendorPayments', creditnote: 'CreditNotes' },
  ...{ vendorcredit: 'VendorCredits', inventoryadjustment: 'InventoryAdjustments', chartofaccount: 'ChartOfAccounts' },
  ...{ bankaccount: 'BankAccounts', banktransaction: 'BankTransactions', tax: 'Taxes', currency: 'Currencies' },
  ...{ user: 'Users', retainerinvoice: 'RetainerInvoices', recurringinvoice: 'RecurringInvoices' },
};

/**
 * The definitions, for the organizations that have a client. All modules unless the payload names some; contact persons
 * come with their contacts.
 */
export function syncDefinitions(db: Database, clients: ReadonlyMap<string, ZohoClient>): WorkflowDefinition<Payload>[] {
  // An enum: of a union, an error names the first eight only.
  const names = Type.Array(Type.Enum(pullModules.map(({ name }) => name)), { minItems: 1, uniqueItems: true });
  const forAll = KINDS.map((kind) =>
    definition(
      db,
      clients,
      kind,
      kind.name,
      Type.Object({ modules: Type.Optional(names), ...kind.payload.properties }, strict),
    ),
  );
  const forOne = pullModules.flatMap((module) =>
    KINDS.map((kind) => definition(db, clients, kind, kind.name + PLURALS[module.name], kind.payload, module)),
  );
  return [...forAll, ...forOne];
}

/**
 * The same as a process registers them: for the organizations that its configuration connects; none without any.
 * @param onCall told of every call of Zoho
 */
export function syncWorkflows(db: Database, config: Config, onCall?: ClientOptions['onCall']): Workflows {
  const clients = createClients(db, config, onCall && { onCall });
  return clients.size === 0 ? new Workflows([], []) : new Workflows(syncDefinitions(db, clients), [...clients.keys()]);
}

function definition(
  db: Database,
  clients: ReadonlyMap<string, ZohoClient>,
  kind: Kind,
  name: string,
  payload: TObject,
  only?: PullModule,
): WorkflowDefinition<Payload> {
  const chosen = (given: Payload) => (only ? [only] : (given.modules?.map(pullModuleNamed) ?? pullModules));
  return {
    name,
    payload,
    plan: (organizationId, given, signal): Promise<Plan> => {
      const approach = (module: PullModule) => kind.approach(db, organizationId, module, given);
      return planOf(db, clientOf(clients, organizationId), chosen(given), approach, signal);
    },
    run: (run) => {
      // A shorthand names its module, which matters to who asks whether it was named.
      const given = only ? { ...run.payload, modules: [only.name] } : run.payload;
      return kind.run(run, given, clientOf(clients, run.organizationId), chosen(given));
    },
    ...(kind.name === 'Reconcile' && { approve: (completed) => approval(name, completed, only === undefined) }),
  };
}

/** The run that applies what a reconciliation withheld: another one, of the same modules, that may go on. */
function approval(name: string, { id, organizationId, result }: CompletedRun, namesModules: boolean) {
  const { verdict, modules = {} } = result as {
    verdict?: string;
    modules?: Record<string, { withheld_deletions: number }>;
  };
  if (verdict !== 'withheld') return null;
  const withheld = Object.keys(modules).filter((module) => (modules[module]?.withheld_deletions ?? 0) > 0);
  const payload = { organization_id: organizationId, approved_run: id, ...(namesModules && { modules: withheld }) };
  return { name, payload };
}

function clientOf(clients: ReadonlyMap<string, ZohoClient>, organizationId: string): ZohoClient {
  const client = clients.get(organizationId);
  if (client !== undefined) return client;
  const how = 'set the ZOHO_ settings of docs/zoho-books.md, or name another organization';
  throw new TaggedError('ValidationError', `Organization ${organizationId} is not connected to Zoho Books: ${how}.`);
}
