-- SHA-256 over the hash of the record before and the record's own content. NULL in what is older
-- than this step: the chain starts at the first record after it.
ALTER TABLE audit ADD COLUMN hash BYTEA;

CREATE FUNCTION refuse_audit_change() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is append-only';
END;
$$;

CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
