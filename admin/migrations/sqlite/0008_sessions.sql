-- Who is signed in at the console. The text in a browser's cookie is kept as its digest only, and so
-- is the token that was shown: what its owner may do is looked up for each request.
CREATE TABLE sessions (
    digest       BLOB    NOT NULL PRIMARY KEY,
    token_digest BLOB,
    subject      TEXT,
    name         TEXT    NOT NULL,
    role         TEXT,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_expires_at ON sessions (expires_at);
