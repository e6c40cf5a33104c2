/** What workflow rules and webhooks of an organization should be there, compared with what is. Pure. */
import { moduleFromPath, spelling } from '../modules/modules.ts';

export type Webhook = {
  id: string;
  name: string;
  url: string;
  method: string;
  /** Zoho's name of the module it is for; absent when Zoho did not say. */
  entity?: string;
};

export type Rule = {
  name: string;
  /** Zoho's name of the module: `invoice`, `customer_payment`; contacts are customers and vendors. */
  entity: string;
  /** `add`, `edit`, `add_edit` or `delete` as Zoho writes it; others are no announcements. */
  type: string;
  active: boolean;
  /** False: it fires only the first time its condition is met; undefined: not said. */
  always: boolean | undefined;
  webhookIds: string[];
};

export type Expected = {
  organizationId: string;
  /** Base of the API as Zoho reaches it, such as https://api.example.com/tds; undefined: any. */
  baseUrl?: string | undefined;
};

/** What a module lacks, a sentence each; none: all its changes are announced. */
export type Finding = { module: string; problems: string[] };

export const PATH = '/webhooks/zoho-books';

/** Contacts have two rules, because Zoho calls them by what they are. */
const ENTITIES: Record<string, string[]> = { contact: ['customer', 'vendor'] };

const ANNOUNCED = [
  { types: ['add', 'add_edit'], what: 'new ones', action: 'created' },
  { types: ['edit', 'add_edit'], what: 'changes', action: 'updated' },
  { types: ['delete'], what: 'deletions', action: 'deleted' },
] as const;

/** Compares the rules with what each of these modules needs: new ones, changes and deletions announced to us, every time. */
export function compareRules(
  modules: readonly string[],
  rules: readonly Rule[],
  webhooks: readonly Webhook[],
  expected: Expected,
): Finding[] {
  const ours = oursOf(webhooks);
  return modules.map((module) => {
    const own = rules.filter(({ entity }) => moduleFromPath(entity)?.name === module);
    const announcing = announcingRules(module, rules, webhooks);
    const problems = [
      ...(ENTITIES[module] ?? [module]).flatMap((entity) => unannounced(module, entity, announcing, expected)),
      ...own.filter(({ active }) => !active).map(({ name }) => `Rule "${name}" is switched off.`),
      ...announcing.flatMap((rule) => flawsOfRule(rule)),
      ...announcing.flatMap((rule) =>
        rule.webhookIds.flatMap((id) => flawsOfWebhook(module, rule, ours.get(id), expected)),
      ),
    ];
    return { module, problems: [...new Set(problems)] };
  });
}

/** The active rules of a module whose webhooks lead to us. */
export function announcingRules(module: string, rules: readonly Rule[], webhooks: readonly Webhook[]): Rule[] {
  const ours = oursOf(webhooks);
  const own = rules.filter(({ entity }) => moduleFromPath(entity)?.name === module);
  return own.filter(({ active, webhookIds }) => active && webhookIds.some((id) => ours.has(id)));
}

/** Whether one of them is of the entity and of such a type; a rule of the entity `contact` stands for both of its kinds. */
export function announces(
  announcing: readonly Rule[],
  module: string,
  entity: string,
  types: readonly string[],
): boolean {
  const names = [spelling(entity), spelling(module)];
  return announcing.some((rule) => types.includes(rule.type) && names.includes(spelling(rule.entity)));
}

function oursOf(webhooks: readonly Webhook[]): Map<string, Webhook> {
  return new Map(webhooks.filter(({ url }) => pathOf(url)?.includes(PATH)).map((webhook) => [webhook.id, webhook]));
}

function unannounced(module: string, entity: string, announcing: readonly Rule[], expected: Expected): string[] {
  return ANNOUNCED.flatMap(({ types, what, action }) => {
    if (announces(announcing, module, entity, types)) return [];
    const url = `${expected.baseUrl ?? ''}${PATH}/${expected.organizationId}/${module}/${action}`;
    const of = entity === module ? '' : ` of entity ${entity}`;
    return [`No active rule${of} announces ${what}: add one of type ${types.at(-1)} whose webhook POSTs to ${url}.`];
  });
}

function flawsOfRule({ name, always }: Rule): string[] {
  if (always !== false) return [];
  return [`Rule "${name}" fires only the first time its condition is met: choose every time (apply_rule_always).`];
}

function flawsOfWebhook(module: string, rule: Rule, webhook: Webhook | undefined, expected: Expected): string[] {
  if (webhook === undefined) return [];
  const { name, url, method } = webhook;
  const path = pathOf(url) ?? '';
  const rest = path.slice(path.indexOf(PATH) + PATH.length).split('/');
  const [, organization = '', named = '', action = ''] = rest;
  const { baseUrl, organizationId } = expected;
  const flaws: [wrong: boolean, sentence: string][] = [
    [baseUrl !== undefined && !url.startsWith(`${baseUrl}${PATH}`), `does not lead to ${baseUrl}`],
    [organization !== organizationId, `names organization ${organization || 'none'} instead of ${organizationId}`],
    [named !== '' && moduleFromPath(named)?.name !== module, `names module ${named} instead of ${module}`],
    [rule.type === 'delete' && !isDeletion(action, method), 'must end with /deleted: a deletion looks like a change'],
    [
      rule.type !== 'delete' && isDeletion(action, method),
      'says that records are deleted, but its rule is for changes',
    ],
  ];
  return flaws.filter(([wrong]) => wrong).map(([, sentence]) => `Webhook "${name}" ${sentence}.`);
}

function isDeletion(action: string, method: string): boolean {
  return /^delet/i.test(action) || method.toUpperCase() === 'DELETE';
}

function pathOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).pathname : undefined;
}
