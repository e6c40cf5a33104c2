-- Tables of your own, in a schema of your own: TDS Core's migrations never touch it. To be run before the handlers that
-- use them, as often as you like: psql "$DATABASE_URL" -f tables.sql
create schema if not exists shop;

create table if not exists shop.open_invoices (
  organization_id text not null,
  invoice_id text not null,
  customer_name text,
  balance numeric not null,
  due_date date,
  primary key (organization_id, invoice_id)
);

create table if not exists shop.contact_changes (
  event_id uuid primary key,
  contact_id text not null,
  received_at timestamptz not null
);
