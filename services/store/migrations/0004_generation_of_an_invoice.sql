-- The generation of the database that booked the invoice: one of a restored database is either from the backup or has
-- been booked anew, and only the former shows that nothing is lost. Null: booked before this was noted.
create function database_generation_number() returns bigint
language sql volatile
as $$ select hashtextextended(database_generation(), 0) $$;
alter table invoices add column generation bigint;
alter table invoices alter column generation set default database_generation_number();
