-- How many records of an epoch never came, because the ledger was put back to an earlier state and the
-- gateway had them no longer.
ALTER TABLE ledger_mark ADD COLUMN missing INTEGER NOT NULL DEFAULT 0;
