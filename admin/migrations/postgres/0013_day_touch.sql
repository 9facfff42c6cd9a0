-- In which order days of series were written last stands with their sums, which are written with it:
-- a row less for each. Numbers are handed out by whoever holds the ledger's turn, so the index need
-- not look for one that is there twice.
ALTER TABLE ledger_day ADD COLUMN touch BIGINT NOT NULL DEFAULT 0;

-- What has no place yet, since a program wrote it that knew of none, is the latest.
UPDATE ledger_day SET touch = COALESCE((
    SELECT t.touch FROM ledger_touch t
    WHERE t.day = ledger_day.day AND t.series = ledger_day.series
), (SELECT COALESCE(MAX(touch), 0) + 1 FROM ledger_touch));

CREATE INDEX ledger_day_touch ON ledger_day (touch);

DROP TABLE ledger_touch;
