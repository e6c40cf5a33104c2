import { Type } from 'typebox';
import { WORKFLOW_STATUSES } from '../workflows/state.ts';
import { Nullable, Time, Uuid } from './schemas.ts';

/** A run as every answer shows it. */
export const workflow = {
  id: Uuid,
  name: Type.String({ examples: ['Reconcile'] }),
  organization_id: Type.String({ examples: ['10234695'] }),
  status: Type.String({
    enum: [...WORKFLOW_STATUSES],
    description: 'running also while it waits: waits_for says for what.',
  }),
  payload: Type.Unknown({ description: 'What it was started with.' }),
  result: Type.Unknown({ description: 'What it found; {message, tag, cause} of a failed run; null before its end.' }),
  progress: Type.Object({
    module: Nullable(Type.String()),
    records: Type.Integer(),
    records_total: Nullable(Type.Integer()),
    pages: Type.Integer(),
    calls: Type.Integer(),
  }),
  waits_for: Nullable(Type.String({ description: 'Why no worker has it in hand, as a sentence.' })),
  run_at: Time,
  started_by: Type.String({ description: 'The operator, or schedule.' }),
  worker_id: Nullable(Uuid),
  approved_as: Nullable(Type.String({ description: 'The run that applies what this one withheld.' })),
  created_at: Time,
  updated_at: Time,
};

export const WorkflowSchema = Type.Object(workflow);

export const WorkflowWithHistory = Type.Object({
  ...workflow,
  activities: Type.Array(
    Type.Object({
      name: Type.String({ examples: ['invoice page 7'] }),
      status: Type.String({ enum: ['running', 'retry', 'interrupted', 'completed', 'failed'] }),
      attempt: Type.Integer(),
      started_at: Time,
      completed_at: Nullable(Time),
      output: Type.Unknown({ description: 'The checkpoint.' }),
      error: Type.Unknown({ description: '{message, tag, cause} of the last attempt that failed.' }),
    }),
    { description: 'In their order; of many the latest 200.' },
  ),
  activity_count: Type.Integer(),
  log: Type.Array(
    Type.Object({
      created_at: Time,
      message: Type.String(),
      activity_name: Nullable(Type.String()),
      error_tag: Nullable(Type.String()),
    }),
    { description: 'What happened to it apart from activities that went well; the latest 200 entries.' },
  ),
});

export const PlanSchema = Type.Object({
  records: Nullable(Type.Integer()),
  calls: Nullable(Type.Integer({ description: "Of Zoho's API." })),
  days: Nullable(Type.Number({ description: "At what is left of today's quota." })),
  modules: Type.Unknown(),
});

export const StartBody = Type.Object(
  {
    name: Type.String({ examples: ['Reconcile'], minLength: 1, maxLength: 200 }),
    payload: Type.Optional(Type.Unknown({ examples: [{ organization_id: '10234695', modules: ['invoice'] }] })),
  },
  { additionalProperties: false, examples: [{ name: 'SyncAll', payload: { organization_id: '10234695' } }] },
);
