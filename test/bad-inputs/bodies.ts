/** Bodies that the cases bend. */
export const V1 = '2026-06-09T09:46:25-0400';
export const V2 = '2026-06-09T09:47:43-0400';

/** An invoice with these further members, as JSON text. */
export function invoice(members: string, last_modified_time = V2): string {
  return `{"invoice":{"invoice_id":"1","status":"sent","last_modified_time":"${last_modified_time}",${members}}}`;
}
