-- Finds rows by when they landed, or were accepted. A row lies near those that landed with it, so ranges of blocks do: the
-- index is tiny, writers don't notice it, and updates stay HOT.
create index records_times on records using brin (stored_at, accepted_at) with (autosummarize = on);
