-- SHA-256 over the hash of the record before and the record's own content. NULL in what is older
-- than this step: the chain starts at the first record after it.
ALTER TABLE audit ADD COLUMN hash BLOB;

CREATE TRIGGER audit_is_not_updated BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
