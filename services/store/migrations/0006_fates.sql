-- What became of each record of the batch, a chowhound.internal.v1.BatchFates. Null: booked before this was kept.
alter table invoices add column detail bytea;
-- Nearly all of it is uuids: compressing would cost and gain nothing.
alter table invoices alter column detail set storage external;
-- Invoices are looked up by when their records were accepted, and lie nearly in that order.
create index invoices_accepted on invoices using brin (accepted_at) with (pages_per_range = 32, autosummarize = on);
create index dead_letters_uuid on dead_letters (tenant_id, uuid);
