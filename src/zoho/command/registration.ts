/** Which workflow rules and webhooks are missing, and how each has to look. Pure. */
import { announces, announcingRules, PATH, type Rule, type Webhook } from './rules.ts';

/** A workflow rule of Zoho Books and its webhook. */
export type Wanted = {
  module: string;
  /** Zoho's own name of the module. */
  entity: string;
  rule_type: 'add_edit' | 'delete';
  /** Of the rule and of its webhook. */
  name: string;
  url: string;
  state: 'there' | 'missing' | 'created' | 'by hand';
  /** Why it could not be created. */
  problem: string | null;
  /** The webhook, where only its rule is missing. */
  webhook_id: string | null;
};

/** Where Zoho's name of a module differs from ours; contacts have rules for what they are. */
const ENTITIES: Record<string, string[]> = {
  ...{ contact: ['customer', 'vendor'], customerpayment: ['customer_payment'], vendorpayment: ['vendor_payment'] },
  ...{ vendorcredit: ['vendor_credit'], inventoryadjustment: ['inventory_adjustment'] },
};

const KINDS = [
  {
    rule_type: 'add_edit',
    needs: [
      ['add', 'add_edit'],
      ['edit', 'add_edit'],
    ],
    action: 'upsert',
    word: 'changes',
  },
  { rule_type: 'delete', needs: [['delete']], action: 'deleted', word: 'deletions' },
] as const;

/**
 * Two rules for each entity of these modules: one for new and changed records, one for deletions.
 * @param base address of the API as Zoho reaches it, such as https://api.example.com/tds
 */
export function wantedRules(
  modules: readonly string[],
  rules: readonly Rule[],
  webhooks: readonly Webhook[],
  { base, organizationId }: { base: string; organizationId: string },
): Wanted[] {
  return modules.flatMap((module) => {
    const announcing = announcingRules(module, rules, webhooks);
    return (ENTITIES[module] ?? [module]).flatMap((entity) =>
      KINDS.map(({ rule_type, needs, action, word }) => {
        const isThere = needs.every((types) => announces(announcing, module, entity, types));
        const url = `${base}${PATH}/${organizationId}/${module}/${action}`;
        const same = webhooks.find((webhook) => webhook.url === url && webhook.entity === entity);
        return {
          ...{ module, entity, rule_type, name: `TDS Core ${entity.replace('_', ' ')} ${word}`, url },
          ...{ state: isThere ? ('there' as const) : ('missing' as const), problem: null },
          webhook_id: isThere ? null : (same?.id ?? null),
        };
      }),
    );
  });
}

/** What every webhook has to prove, and how it is told to. */
export type WebhookProof = {
  /** For "I want to secure this webhook"; absent where deliveries prove themselves by the header alone. */
  secret?: string;
  header?: { param_name: string; param_value: string };
};

/** The body of `POST /settings/webhooks`. Without a body type Zoho sends the Default Payload. */
export function webhookOf({ name, entity, url }: Wanted, { secret, header }: WebhookProof): object {
  return {
    ...{ webhook_name: name, entity, url, method: 'POST' },
    ...(secret !== undefined && { secret }),
    ...(header && { headers: [header] }),
  };
}

/** The body of `POST /settings/workflows`. */
export function ruleOf({ name, entity, rule_type }: Wanted, webhookId: string): object {
  return {
    ...{ workflow_name: name, entity, rule_type, apply_rule_always: true, rule: {} },
    instant_actions: [{ action_type: 'webhook', action_id: webhookId }],
  };
}

/** What to enter in Zoho's pages for what could not be created. */
export function byHand({ name, entity, rule_type, url, webhook_id: webhookId }: Wanted, proof: string): string {
  const when = rule_type === 'delete' ? 'when it is deleted' : 'when it is created or edited, every time';
  const module = entity.replace('_', ' ');
  const webhook =
    `Settings > Automation > Workflow Actions > Webhooks > New Webhook: name "${name}", module ${module}, method POST, ` +
    `URL ${url}, no parameters, body Default Payload, ${proof}.\n`;
  const rule =
    `Settings > Automation > Workflow Rules > New Rule: name "${name}", module ${module}, ${when}, no criteria, ` +
    `immediate action: the webhook "${name}".`;
  return `${webhookId === null ? webhook : ''}${rule}`;
}
