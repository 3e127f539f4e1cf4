-- How many transactions have moved rows to other keys, as newer pipelines had it. A record that had been replaced by such a row
-- would be the row of the old key now, and nobody has it but its source: what was committed before such a move is no
-- reason any more to drop it when it is sent again.
alter table database_identity add column moves bigint not null default 0;

create or replace function database_generation() returns text
language sql volatile
as $$
  select concat_ws('/', id, (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint,
                   'records'::regclass::oid, pg_relation_filenode('records'), moves)
  from database_identity
$$;

-- Of a generation; those from before this was counted have none.
create function moves_of(generation text) returns text
language sql immutable
as $$ select coalesce(nullif(split_part(generation, '/', 5), ''), '0') $$;
