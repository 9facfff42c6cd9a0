-- Which single calls a destination has in files.
CREATE TABLE record_cursor (
    destination BLOB    NOT NULL PRIMARY KEY,
    -- The batch of the ledger up to which all are in files.
    through     INTEGER NOT NULL,
    -- The last batch and the name of the file that may not be in its place yet.
    until       INTEGER,
    name        TEXT
) STRICT, WITHOUT ROWID;
